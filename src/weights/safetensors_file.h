#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/mapped_file.h"
#include "tensor/tensor_view.h"
#include "weights/tensor_source.h"

namespace autoglm {

struct SafetensorsHeader;
struct SafetensorsEntry;

// A safetensors file (github.com/huggingface/safetensors, README), mapped: opening reads the header only, tensor bytes are read
// when touched. Tensors may begin at any byte: read them with memcpy.
//
// The file is untrusted: the header's length is bounded by the file and by kHeaderBytesMax before it is read, its JSON builds
// nothing but names, shapes and metadata, and the tensors must lie one after another from the first byte of data to the last.
class SafetensorsFile : public TensorSource {
 public:
  static constexpr size_t kHeaderBytesMax = 100'000'000;  // the format's own limit

  // Errors: kNotFound, kIo, kCorruptFile. Messages name the file and the tensor at fault.
  static Result<std::unique_ptr<SafetensorsFile>> Open(const std::filesystem::path& path);
  // Parses bytes that outlive the object (tests, fuzzing).
  static Result<std::unique_ptr<SafetensorsFile>> Parse(std::span<const std::byte> bytes);

  // The texts of `__metadata__`.
  const std::map<std::string, std::string, std::less<>>& metadata() const { return metadata_; }
  // F32, F16 and BF16, in the order of their bytes. The shape is the file's; a scalar has shape [1].
  const std::vector<TensorView>& tensors() const override { return tensors_; }
  // All others, such as I64 or F8_E4M3: listed here, refused by FindTensor.
  struct UnknownTensor {
    std::string name;
    std::string dtype;
  };
  const std::vector<UnknownTensor>& unknown_tensors() const { return unknown_tensors_; }

  bool HasTensor(std::string_view name) const override;
  Result<const TensorView*> FindTensor(std::string_view name) const override;
  void DropPages(const TensorView& tensor) const override;
  std::vector<FileIdentity> Identities() const override;
  std::vector<std::span<const std::byte>> Headers() const override { return {bytes_.first(header_bytes_)}; }

 private:
  struct TensorPlace {
    bool is_known = false;
    size_t index = 0;  // into tensors_ or unknown_tensors_
  };

  SafetensorsFile() = default;

  Status ReadHeader();
  Status AddTensors(SafetensorsHeader header, std::span<const std::byte> data);
  Status AddTensor(SafetensorsEntry entry, std::span<const std::byte> data);

  std::unique_ptr<MappedFile> file_;  // null for Parse()
  std::span<const std::byte> bytes_;
  size_t header_bytes_ = 0;
  std::map<std::string, std::string, std::less<>> metadata_;
  std::vector<TensorView> tensors_;
  std::vector<UnknownTensor> unknown_tensors_;
  std::map<std::string, TensorPlace, std::less<>> tensor_places_;
};

}  // namespace autoglm
