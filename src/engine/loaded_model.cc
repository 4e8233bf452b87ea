#include "engine/loaded_model.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "models/folder_config.h"
#include "tokenizer/read_chat_template.h"
#include "weights/content_digest.h"
#include "weights/gguf_file.h"
#include "weights/safetensors_folder.h"

namespace autoglm {
namespace {

// The file's last change: stable for /v1/models across restarts. 0 where the system does not say.
int64_t ChangedUnixSeconds(const std::filesystem::path& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 ? static_cast<int64_t>(status.st_mtime) : 0;
}

// Counts up whenever keys and values of the same tokens of the same file would differ: another order in memory, another order of
// sums.
constexpr int kKvVersion = 1;

}  // namespace

std::string ModelNameOf(const std::filesystem::path& path) {
  // "models/glm/" names the folder, not what stands behind the slash.
  const std::filesystem::path named = path.has_filename() ? path : path.parent_path();
  return (named.extension() == ".gguf" ? named.stem() : named.filename()).string();
}

Result<std::shared_ptr<LoadedModel>> LoadedModel::Load(const std::filesystem::path& path, const ModelLoadOptions& options) {
  std::shared_ptr<LoadedModel> model(new LoadedModel());
  model->path_ = path;
  model->options_ = options;
  model->name_ = ModelNameOf(path);
  model->created_unix_seconds_ = ChangedUnixSeconds(path);
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    AUTOGLM_TRY_VOID(model->LoadFolder(options));
  } else {
    AUTOGLM_TRY_VOID(model->LoadFile(options));
  }
  if (model->tokenizer_->vocab_size() > model->lm_->config().vocab_size) {
    return Fail(ErrorCode::kCorruptFile, "the tokenizer has " + std::to_string(model->tokenizer_->vocab_size()) +
                                             " tokens, the embedding only " + std::to_string(model->lm_->config().vocab_size));
  }
  return model;
}

Status LoadedModel::LoadFile(const ModelLoadOptions& options) {
  AUTOGLM_TRY(std::unique_ptr<GgufFile> file, GgufFile::Open(path_));
  AUTOGLM_TRY(tokenizer_, Tokenizer::FromGguf(*file));
  AUTOGLM_TRY(chat_template_, ReadChatTemplate(*file));
  AUTOGLM_TRY(lm_, CausalLm::Open(*file, options));
  source_ = std::move(file);
  return {};
}

Status LoadedModel::LoadFolder(const ModelLoadOptions& options) {
  AUTOGLM_TRY(std::unique_ptr<SafetensorsFolder> folder, SafetensorsFolder::Open(path_));
  AUTOGLM_TRY(FolderConfig config, ReadFolderConfig(path_));
  AUTOGLM_TRY(tokenizer_, Tokenizer::FromFolder(path_, config.eos_tokens));
  AUTOGLM_TRY(chat_template_, ReadChatTemplate(path_));
  AUTOGLM_TRY(lm_, CausalLm::Open(*folder, std::move(config.config), options));
  source_ = std::move(folder);
  return {};
}

std::string LoadedModel::KvFingerprint() const {
  const KvLayout layout = lm_->kv_layout();
  std::string config;  // a folder's settings stand beside its tensors
  std::error_code error;
  if (std::filesystem::is_directory(path_, error)) {
    std::ifstream file(path_ / "config.json", std::ios::binary);
    config.assign(std::istreambuf_iterator<char>(file), {});
  }
  return fmt::format("version {}\ncontent {}\nisa {}\narithmetic {}\nprecision {}\nlayout {} {} {} {}\n{}", kKvVersion,
                     ContentDigest(*source_), static_cast<int>(options_.isa), static_cast<int>(options_.arithmetic),
                     static_cast<int>(options_.precision), static_cast<int>(layout.type), layout.num_layers, layout.num_kv_heads,
                     layout.head_dim, config);
}

}  // namespace autoglm
