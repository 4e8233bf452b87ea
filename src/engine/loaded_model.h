#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/isa.h"
#include "models/causal_lm.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"
#include "weights/tensor_source.h"

namespace autoglm {

// The name of a model at a path: the file's without ".gguf", the folder's.
std::string ModelNameOf(const std::filesystem::path& path);

// A model with everything needed to serve it: weights, tokenizer, chat template; from a GGUF file or a Hugging Face folder.
// What describes it is there and unchanging after Load; the weights arrive as CausalLm says.
class LoadedModel {
 public:
  // Errors: as GgufFile::Open and SafetensorsFolder::Open; kUnsupported for another architecture or tensor type; kCorruptFile for
  // missing tensors or wrong shapes, naming them.
  static Result<std::shared_ptr<LoadedModel>> Load(const std::filesystem::path& path, const ModelLoadOptions& options);

  const std::string& name() const { return name_; }  // ModelNameOf(path())
  const std::filesystem::path& path() const { return path_; }
  const ModelLoadOptions& options() const { return options_; }
  CausalLm& lm() const { return *lm_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  // nullptr where the file has none.
  const ChatTemplate* chat_template() const { return chat_template_.get(); }
  // The files it was opened from; what they make of a prompt is the same as long as these are.
  std::vector<FileIdentity> identities() const { return source_->Identities(); }
  // The name of everything that the keys and values of a token depend on beside the tokens: the files' content, wherever they lie
  // and whatever they are called, and how they are computed.
  std::string KvFingerprint() const;
  int64_t created_unix_seconds() const { return created_unix_seconds_; }

 private:
  LoadedModel() = default;

  Status LoadFile(const ModelLoadOptions& options);
  Status LoadFolder(const ModelLoadOptions& options);

  std::string name_;
  std::filesystem::path path_;
  ModelLoadOptions options_;
  std::unique_ptr<TensorSource> source_;
  std::unique_ptr<CausalLm> lm_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ChatTemplate> chat_template_;
  int64_t created_unix_seconds_ = 0;
};

}  // namespace autoglm
