#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/result.h"
#include "tensor/dtype.h"
#include "weights/gguf_type.h"
#include "weights/gguf_value.h"

namespace autoglm {

// What stands before the tensor bytes of a GGUF v3 file: metadata, and the tensors in the order of their bytes.
class GgufHeader {
 public:
  static constexpr int64_t kAlignment = 32;

  // Stores integers, and lists of them, as the first of uint32, int32, int64 that holds all (lists: int32, uint32, int64), floats
  // as float32: what readers of GGUF expect of counts, token ids and factors. A key again replaces nothing: it is an error.
  // Errors: kInvalidArgument for a key that GgufFile would refuse, one given twice, and general.alignment, which is the writer's.
  Status Add(std::string_view key, const GgufValue& value);
  // Stores the value, or each item of a list, as `type`. Errors: as above, and kInvalidArgument where the type is of another
  // kind or too narrow.
  Status AddAs(GgufType type, std::string_view key, const GgufValue& value);

  // `shape` is row-major, as in TensorView. Errors: kInvalidArgument for a name that GgufFile would refuse or one given twice,
  // and for a shape it would refuse.
  Status AddTensor(std::string_view name, DType dtype, const std::vector<int64_t>& shape);

 private:
  friend class GgufWriter;
  std::vector<std::byte> Bytes() const;  // padded to the first tensor

  std::set<std::string, std::less<>> keys_;
  std::set<std::string, std::less<>> tensor_names_;
  std::vector<int64_t> tensor_bytes_;  // of each tensor, without padding
  std::vector<std::byte> value_bytes_;
  std::vector<std::byte> tensor_info_bytes_;
  int64_t data_bytes_ = 0;
};

// Writes a GGUF file, tensor after tensor, without holding more than what it is given. The file appears whole or not at all.
//   AUTOGLM_TRY(GgufWriter writer, GgufWriter::Create(path, header));
//   for (each tensor of the header, in its order) AUTOGLM_TRY_VOID(writer.Write(bytes));
//   AUTOGLM_TRY_VOID(writer.Commit());
class GgufWriter {
 public:
  // Writes the header and takes the space for the whole file. Errors: kNotFound for a missing folder; kIo, such as a full disk.
  static Result<GgufWriter> Create(const std::filesystem::path& target, GgufHeader header);

  // The next bytes of the tensors: a piece may be a row or a whole tensor, but never reaches into the next one. Errors: kIo.
  Status Write(std::span<const std::byte> piece);
  // After the last byte of the last tensor. Errors: kIo.
  Status Commit();

 private:
  GgufWriter(AtomicFile file, GgufHeader header) : file_(std::move(file)), header_(std::move(header)) {}

  AtomicFile file_;
  GgufHeader header_;
  size_t tensor_index_ = 0;  // of the tensor being written
  int64_t num_written_ = 0;  // of its bytes
};

}  // namespace autoglm
