// GGUF files: whatever the bytes are, Parse answers with a file or an error, and what it gives lies inside the bytes.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "tokenizer/tokenizer.h"
#include "weights/gguf_file.h"

namespace autoglm {
namespace {

void ReadTensors(const GgufFile& file) {
  for (const TensorView& tensor : file.tensors()) {
    AUTOGLM_CHECK(file.HasTensor(tensor.name));
    AUTOGLM_CHECK(*file.FindTensor(tensor.name) == &tensor);
    AUTOGLM_CHECK(tensor.num_rows() * tensor.row_bytes() == static_cast<int64_t>(tensor.bytes.size()));
    const std::vector<std::byte> copy(tensor.bytes.begin(), tensor.bytes.end());
    file.DropPages(tensor);
  }
  for (const auto& unknown : file.unknown_tensors()) {
    AUTOGLM_CHECK(file.HasTensor(unknown.name));
    AUTOGLM_CHECK(file.FindTensor(unknown.name).error().code == ErrorCode::kUnsupported);
  }
}

void AskForEveryKind(const GgufFile& file) {
  for (const auto& [key, value] : file.metadata()) {
    const int num_kinds = (file.FindString(key) != nullptr) + (file.FindStrings(key) != nullptr) +
                          (file.FindIntegers(key) != nullptr) + (file.FindFloats(key) != nullptr) +
                          file.Integer(key).has_value() + file.Float(key).has_value() + file.Bool(key).has_value() +
                          std::holds_alternative<std::vector<bool>>(value);
    AUTOGLM_CHECK(num_kinds == 1);
  }
}

}  // namespace
}  // namespace autoglm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  // A copy: aligned as a mapping is, and its end is where the sanitizer watches.
  std::vector<std::byte> bytes(num_bytes);
  if (num_bytes > 0) std::memcpy(bytes.data(), data, num_bytes);
  const auto file = GgufFile::Parse(bytes);
  if (!file) {
    AUTOGLM_CHECK(!file.error().message.empty());
    return 0;
  }
  ReadTensors(**file);
  AskForEveryKind(**file);

  const auto tokenizer = Tokenizer::FromGguf(**file);
  if (!tokenizer) return 0;
  const auto tokens = (*tokenizer)->Encode("Hello, w\xc3\xb6rld <bos> 123", SpecialTokens::kParse);
  (void)(*tokenizer)->Decode(tokens);
  return 0;
}
