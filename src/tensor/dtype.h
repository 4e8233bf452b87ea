#pragma once

#include <cstdint>
#include <string_view>

namespace autoglm {

// Element formats of tensors in files. Values are GGUF's type ids (ggml docs/gguf.md).
enum class DType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kBF16 = 30,
};

struct DTypeInfo {
  std::string_view name;
  int64_t block_elements = 0;  // elements that share one block
  int64_t block_bytes = 0;
};

// nullptr for a type id this program does not know.
const DTypeInfo* FindDType(uint32_t type_id);
const DTypeInfo& Info(DType dtype);

}  // namespace autoglm
