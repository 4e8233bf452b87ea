#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace autoglm {

// Keys and values in fewer bytes, and back without loss of a bit.
//
// Of a float, the sign and the mantissa are as good as random; the exponents of neighbours are alike. So each element is split:
// its exponent goes into a plane of bytes, which zstd's entropy coder brings down to some 2.8 bits each, and the rest is stored
// as it is. That leaves two thirds of BF16 and five sixths of F32. Bytes (INT8) are coded whole; little is gained.
//
// One thread at a time.
class BlockCodec {
 public:
  // `element_bytes`: 2 (BF16), 4 (F32), 1 (anything else). `block_bytes` is a multiple of it.
  BlockCodec(int64_t block_bytes, int64_t element_bytes);
  ~BlockCodec();
  BlockCodec(const BlockCodec&) = delete;
  BlockCodec& operator=(const BlockCodec&) = delete;

  // `block` [block_bytes]. Valid until the next call.
  std::span<const std::byte> Encode(std::span<const std::byte> block);
  // Fills `block` [block_bytes]. Errors: kInvalidArgument where `encoded` is not what Encode gave.
  Status Decode(std::span<const std::byte> encoded, std::span<std::byte> block);

 private:
  const size_t num_elements_;
  const size_t element_bytes_;
  ZSTD_CCtx_s* compressor_;
  ZSTD_DCtx_s* decompressor_;
  std::vector<std::byte> exponents_;  // [num_elements_]
  std::vector<std::byte> encoded_;
};

}  // namespace autoglm
