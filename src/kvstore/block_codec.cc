#include "kvstore/block_codec.h"

#include <zstd.h>

#include <cstring>
#include <string>

#include "base/check.h"

namespace autoglm {
namespace {

// What is encoded: the rest of all elements, then their exponents as a zstd frame.
template <typename T>
T Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <typename T>
void Store(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

constexpr uint16_t kLow7 = 0x7f;

// BF16: sign, 8 bits of exponent, 7 of mantissa.
void SplitBf16(const std::byte* block, size_t count, std::byte* rest, std::byte* exponents) {
  for (size_t i = 0; i < count; ++i) {
    const auto value = Load<uint16_t>(block + 2 * i);
    exponents[i] = static_cast<std::byte>(value >> 7);
    rest[i] = static_cast<std::byte>((value >> 8 & 0x80) | (value & kLow7));
  }
}

void JoinBf16(const std::byte* rest, const std::byte* exponents, size_t count, std::byte* block) {
  for (size_t i = 0; i < count; ++i) {
    const auto low = static_cast<uint16_t>(rest[i]);
    const auto exponent = static_cast<uint16_t>(exponents[i]);
    Store(block + 2 * i, static_cast<uint16_t>((low & 0x80) << 8 | exponent << 7 | (low & kLow7)));
  }
}

// F32: sign, 8 bits of exponent, 23 of mantissa; of the rest the low 16 bits first, then sign and the high 7.
void SplitF32(const std::byte* block, size_t count, std::byte* rest, std::byte* exponents) {
  std::byte* const high = rest + 2 * count;
  for (size_t i = 0; i < count; ++i) {
    const auto value = Load<uint32_t>(block + 4 * i);
    exponents[i] = static_cast<std::byte>(value >> 23);
    Store(rest + 2 * i, static_cast<uint16_t>(value));
    high[i] = static_cast<std::byte>((value >> 24 & 0x80) | (value >> 16 & kLow7));
  }
}

void JoinF32(const std::byte* rest, const std::byte* exponents, size_t count, std::byte* block) {
  const std::byte* const high = rest + 2 * count;
  for (size_t i = 0; i < count; ++i) {
    const auto upper = static_cast<uint32_t>(high[i]);
    const auto exponent = static_cast<uint32_t>(exponents[i]);
    Store(block + 4 * i, (upper & 0x80) << 24 | exponent << 23 | (upper & kLow7) << 16 | Load<uint16_t>(rest + 2 * i));
  }
}

}  // namespace

BlockCodec::BlockCodec(int64_t block_bytes, int64_t element_bytes)
    : num_elements_(static_cast<size_t>(block_bytes / element_bytes)),
      element_bytes_(static_cast<size_t>(element_bytes)),
      compressor_(ZSTD_createCCtx()),
      decompressor_(ZSTD_createDCtx()),
      exponents_(num_elements_),
      encoded_(num_elements_ * (element_bytes_ - 1) + ZSTD_compressBound(num_elements_)) {
  AUTOGLM_CHECK(element_bytes == 1 || element_bytes == 2 || element_bytes == 4);
  AUTOGLM_CHECK(block_bytes % element_bytes == 0 && compressor_ != nullptr && decompressor_ != nullptr);
  // Of matches there are none worth the search: only the entropy coder counts.
  ZSTD_CCtx_setParameter(compressor_, ZSTD_c_compressionLevel, 1);
  ZSTD_CCtx_setParameter(compressor_, ZSTD_c_strategy, ZSTD_fast);
  ZSTD_CCtx_setParameter(compressor_, ZSTD_c_minMatch, 7);
  ZSTD_CCtx_setParameter(compressor_, ZSTD_c_hashLog, 8);
  ZSTD_CCtx_setParameter(compressor_, ZSTD_c_targetLength, 0);
}

BlockCodec::~BlockCodec() {
  ZSTD_freeCCtx(compressor_);
  ZSTD_freeDCtx(decompressor_);
}

std::span<const std::byte> BlockCodec::Encode(std::span<const std::byte> block) {
  AUTOGLM_CHECK(block.size() == num_elements_ * element_bytes_);
  const std::byte* exponents = exponents_.data();
  switch (element_bytes_) {
    case 2:
      SplitBf16(block.data(), num_elements_, encoded_.data(), exponents_.data());
      break;
    case 4:
      SplitF32(block.data(), num_elements_, encoded_.data(), exponents_.data());
      break;
    default:
      exponents = block.data();
  }
  const size_t num_rest = num_elements_ * (element_bytes_ - 1);
  const size_t size =
      ZSTD_compress2(compressor_, encoded_.data() + num_rest, encoded_.size() - num_rest, exponents, num_elements_);
  AUTOGLM_CHECK(ZSTD_isError(size) == 0);  // there is room for the worst case
  return std::span(encoded_).first(num_rest + size);
}

Status BlockCodec::Decode(std::span<const std::byte> encoded, std::span<std::byte> block) {
  AUTOGLM_CHECK(block.size() == num_elements_ * element_bytes_);
  const size_t num_rest = num_elements_ * (element_bytes_ - 1);
  if (encoded.size() < num_rest) return Fail(ErrorCode::kInvalidArgument, "a compressed block is cut short");
  std::byte* const exponents = element_bytes_ == 1 ? block.data() : exponents_.data();
  const size_t size =
      ZSTD_decompressDCtx(decompressor_, exponents, num_elements_, encoded.data() + num_rest, encoded.size() - num_rest);
  if (ZSTD_isError(size) != 0 || size != num_elements_) {
    return Fail(ErrorCode::kInvalidArgument, std::string("a compressed block is damaged: ") +
                                                 (ZSTD_isError(size) != 0 ? ZSTD_getErrorName(size) : "its length"));
  }
  if (element_bytes_ == 2) JoinBf16(encoded.data(), exponents, num_elements_, block.data());
  if (element_bytes_ == 4) JoinF32(encoded.data(), exponents, num_elements_, block.data());
  return {};
}

}  // namespace autoglm
