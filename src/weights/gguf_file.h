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
#include "weights/gguf_value.h"
#include "weights/tensor_source.h"

namespace autoglm {

class GgufReader;

// A GGUF v2 or v3 file (ggml docs/gguf.md), mapped: opening reads the header only, tensor bytes are read when touched.
//
// The file is untrusted. Every count, length, product, offset and alignment is checked against the file's size before
// anything is allocated, so memory stays below a small multiple of the header's size (at worst 12: tiny keys), and the header
// itself ends within kHeaderBytesMax.
class GgufFile : public TensorSource {
 public:
  // Real headers take up to 20 MB (a vocabulary of 260,000 tokens with its merges).
  static constexpr size_t kHeaderBytesMax = size_t{256} << 20;
  // general.alignment is a power of two between these; 32 where the file does not say. With 8, every element type is aligned.
  static constexpr int64_t kAlignmentMin = 8;
  static constexpr int64_t kAlignmentMax = int64_t{1} << 20;

  // Errors: kNotFound, kIo, kCorruptFile, kUnsupported (version, big endian). Messages name the key or tensor at fault.
  static Result<std::unique_ptr<GgufFile>> Open(const std::filesystem::path& path);
  // Parses bytes that outlive the object (tests, fuzzing). They start at an address that is a multiple of kAlignmentMin.
  static Result<std::unique_ptr<GgufFile>> Parse(std::span<const std::byte> bytes);

  uint32_t version() const { return version_; }
  int64_t file_bytes() const { return static_cast<int64_t>(bytes_.size()); }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  // In file order. A tensor whose type this program does not know is listed in unknown_tensors() and refused by FindTensor.
  const std::vector<TensorView>& tensors() const override { return tensors_; }
  struct UnknownTensor {
    std::string name;
    uint32_t type_id = 0;
  };
  const std::vector<UnknownTensor>& unknown_tensors() const { return unknown_tensors_; }

  // nullptr where absent or of another kind.
  const std::string* FindString(std::string_view key) const;
  const std::vector<std::string>* FindStrings(std::string_view key) const;
  const std::vector<int64_t>* FindIntegers(std::string_view key) const;
  const std::vector<double>* FindFloats(std::string_view key) const;
  // Errors: kCorruptFile for a value of another kind; kNotFound where absent.
  Result<int64_t> Integer(std::string_view key) const;
  Result<double> Float(std::string_view key) const;
  Result<bool> Bool(std::string_view key) const;
  // `otherwise` where absent or of another kind; where another kind must not pass, ask with Integer, Float or Bool.
  int64_t IntegerOr(std::string_view key, int64_t otherwise) const;
  double FloatOr(std::string_view key, double otherwise) const;
  bool BoolOr(std::string_view key, bool otherwise) const;

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

  GgufFile() = default;

  Status ReadHeader();
  Status ReadMetadata(GgufReader& reader, uint64_t num_values);
  Status ReadTensors(GgufReader& reader, uint64_t num_tensors);
  Result<int64_t> Alignment() const;
  Status AddTensor(std::string name, uint32_t type_id, std::vector<int64_t> shape, uint64_t offset,
                   std::span<const std::byte> data);
  template <typename T>
  const T* Find(std::string_view key) const;
  template <typename T>
  Result<T> Get(std::string_view key, std::string_view wanted) const;

  std::unique_ptr<MappedFile> file_;  // null for Parse()
  std::span<const std::byte> bytes_;
  size_t header_bytes_ = 0;
  uint32_t version_ = 0;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<TensorView> tensors_;
  std::map<std::string, TensorPlace, std::less<>> tensor_places_;
  std::vector<UnknownTensor> unknown_tensors_;
};

}  // namespace autoglm
