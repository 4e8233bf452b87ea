#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "weights/safetensors_file.h"
#include "weights/tensor_source.h"

namespace autoglm {

// A checkpoint as Hugging Face keeps it: a folder with config.json, the tokenizer, and the tensors in model.safetensors or in
// the shards that model.safetensors.index.json names. The folder is untrusted as its files are.
class SafetensorsFolder : public TensorSource {
 public:
  static constexpr size_t kIndexBytesMax = 64 << 20;
  static constexpr size_t kShardsMax = 4096;

  // Errors: kNotFound without tensors or where a shard is missing; kInvalidArgument where the path is no folder; kCorruptFile;
  // kIo. Messages name the file at fault.
  static Result<std::unique_ptr<SafetensorsFolder>> Open(const std::filesystem::path& folder);

  // A file that lies beside the tensors, such as config.json or tokenizer.json; whether it exists is for the reader to see.
  std::filesystem::path FilePath(std::string_view name) const { return folder_ / name; }
  const std::vector<std::unique_ptr<SafetensorsFile>>& files() const { return files_; }

  // Of a shard's tensors only those that the index assigns to it.
  const std::vector<TensorView>& tensors() const override { return tensors_; }
  bool HasTensor(std::string_view name) const override { return file_of_.contains(name); }
  Result<const TensorView*> FindTensor(std::string_view name) const override;
  void DropPages(const TensorView& tensor) const override;
  std::vector<FileIdentity> Identities() const override;
  std::vector<std::span<const std::byte>> Headers() const override;

 private:
  using WeightMap = std::map<std::string, std::string, std::less<>>;  // tensor to shard

  SafetensorsFolder() = default;

  Status OpenSingleFile(const std::filesystem::path& path);
  Status OpenShards(const std::filesystem::path& index_path);
  Status AddFile(std::unique_ptr<SafetensorsFile> file, const WeightMap& weight_map, std::string_view shard);

  std::filesystem::path folder_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::vector<TensorView> tensors_;
  std::map<std::string, const SafetensorsFile*, std::less<>> file_of_;  // a tensor's
};

}  // namespace autoglm
