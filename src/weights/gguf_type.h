#pragma once

#include <cstddef>
#include <cstdint>

namespace autoglm {

// How a metadata value is stored (ggml docs/gguf.md).
enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

inline constexpr size_t kGgufNameBytesMax = 65535;  // of keys and tensors
inline constexpr size_t kGgufDimensionsMax = 4;

}  // namespace autoglm
