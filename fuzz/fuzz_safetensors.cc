// safetensors files: whatever the bytes are, Parse answers with a file or an error, and what it gives lies inside the bytes.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "weights/dequantize.h"
#include "weights/safetensors_file.h"

namespace autoglm {
namespace {

void ReadRows(const TensorView& tensor) {
  std::vector<float> row(static_cast<size_t>(tensor.num_columns()));
  for (int64_t i = 0; !row.empty() && i < tensor.num_rows(); ++i) DequantizeRow(tensor, i, row);
}

void ReadTensors(const SafetensorsFile& file) {
  for (const TensorView& tensor : file.tensors()) {
    AUTOGLM_CHECK(file.HasTensor(tensor.name));
    AUTOGLM_CHECK(*file.FindTensor(tensor.name) == &tensor);
    AUTOGLM_CHECK(tensor.num_rows() * tensor.row_bytes() == static_cast<int64_t>(tensor.bytes.size()));
    // A tensor without bytes may have any number of rows or columns.
    if (!tensor.bytes.empty()) ReadRows(tensor);
    file.DropPages(tensor);
  }
  for (const auto& unknown : file.unknown_tensors()) {
    AUTOGLM_CHECK(file.HasTensor(unknown.name));
    AUTOGLM_CHECK(file.FindTensor(unknown.name).error().code == ErrorCode::kUnsupported);
  }
}

}  // namespace
}  // namespace autoglm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  // A copy: its end is where the sanitizer watches.
  std::vector<std::byte> bytes(num_bytes);
  if (num_bytes > 0) std::memcpy(bytes.data(), data, num_bytes);
  const auto file = SafetensorsFile::Parse(bytes);
  if (!file) {
    AUTOGLM_CHECK(!file.error().message.empty());
    return 0;
  }
  ReadTensors(**file);
  return 0;
}
