#include "engine/loaded_model.h"

#include <sys/stat.h>

#include <utility>

namespace autoglm {
namespace {

// The file's last change: stable for /v1/models across restarts. 0 where the system does not say.
int64_t ChangedUnixSeconds(const std::filesystem::path& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 ? static_cast<int64_t>(status.st_mtime) : 0;
}

}  // namespace

Result<std::shared_ptr<LoadedModel>> LoadedModel::Load(const std::filesystem::path& path, const ModelLoadOptions& options,
                                                       ThreadPool& pool) {
  std::shared_ptr<LoadedModel> model(new LoadedModel());
  model->path_ = path;
  model->name_ = path.extension() == ".gguf" ? path.stem().string() : path.filename().string();
  model->created_unix_seconds_ = ChangedUnixSeconds(path);
  AUTOGLM_TRY(model->file_, GgufFile::Open(path));
  AUTOGLM_TRY(model->tokenizer_, Tokenizer::FromGguf(*model->file_));
  if (const std::string* source = model->file_->FindString("tokenizer.chat_template")) {
    AUTOGLM_TRY(model->chat_template_, ChatTemplate::Parse(*source));
  }
  AUTOGLM_TRY(model->lm_, CausalLm::Load(*model->file_, options, pool));
  if (model->tokenizer_->vocab_size() > model->lm_->config().vocab_size) {
    return Fail(ErrorCode::kCorruptFile, "the tokenizer has " + std::to_string(model->tokenizer_->vocab_size()) +
                                             " tokens, the embedding only " + std::to_string(model->lm_->config().vocab_size));
  }
  return model;
}

}  // namespace autoglm
