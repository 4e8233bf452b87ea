#include "kvstore/block_codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/random.h"

namespace autoglm {
namespace {

// Values like those of attention: of any sign, most of about the same size within a channel.
std::vector<float> Values(size_t count) {
  Random random(7);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    const float scale = std::exp2(static_cast<float>(i / 32 % 4));
    const auto sum = static_cast<float>(random.NextBelow(2001) + random.NextBelow(2001) + random.NextBelow(2001));
    values[i] = scale * (sum / 3000 - 1);
  }
  return values;
}

std::vector<std::byte> BytesOf(const void* data, size_t size) {
  std::vector<std::byte> bytes(size);
  std::memcpy(bytes.data(), data, size);
  return bytes;
}

std::vector<std::byte> Bf16(const std::vector<float>& values) {
  std::vector<uint16_t> halves;
  for (const float value : values) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    halves.push_back(static_cast<uint16_t>(bits >> 16));
  }
  return BytesOf(halves.data(), 2 * halves.size());
}

// What a block becomes in terms of its size. It comes back bit for bit.
double RoundTrip(const std::vector<std::byte>& block, int64_t element_bytes) {
  BlockCodec codec(std::ssize(block), element_bytes);
  const auto encoded = codec.Encode(block);
  const std::vector<std::byte> kept(encoded.begin(), encoded.end());
  std::vector<std::byte> decoded(block.size());
  EXPECT_TRUE(codec.Decode(kept, decoded));
  EXPECT_EQ(decoded, block);
  return static_cast<double>(kept.size()) / static_cast<double>(block.size());
}

TEST(BlockCodec, Bf16_ComesBackFromTwoThirds) { EXPECT_LT(RoundTrip(Bf16(Values(1 << 16)), 2), 0.72); }

TEST(BlockCodec, F32_ComesBackFromFiveSixths) {
  const auto values = Values(1 << 16);
  EXPECT_LT(RoundTrip(BytesOf(values.data(), 4 * values.size()), 4), 0.86);
}

TEST(BlockCodec, AnyBits_ComeBack) {
  Random random(3);
  std::vector<std::byte> bytes(1 << 14);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.NextBelow(256));
  for (const int64_t element_bytes : {1, 2, 4}) EXPECT_LT(RoundTrip(bytes, element_bytes), 1.01);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> odd = {0, -0.0F, kInfinity, -kInfinity, std::nanf(""), 1e-42F, -1e-42F, 1};
  RoundTrip(BytesOf(odd.data(), 4 * odd.size()), 4);
  RoundTrip(Bf16(odd), 2);
  RoundTrip(std::vector<std::byte>(4096), 2);
}

TEST(BlockCodec, WhatWasNotEncoded_IsRefused) {
  const auto block = Bf16(Values(4096));
  BlockCodec codec(std::ssize(block), 2);
  const auto encoded = codec.Encode(block);
  std::vector<std::byte> kept(encoded.begin(), encoded.end());
  std::vector<std::byte> decoded(block.size());
  for (const size_t size : {size_t{0}, size_t{4095}, size_t{4096}, kept.size() - 1}) {
    EXPECT_FALSE(codec.Decode(std::span(kept).first(size), decoded)) << size;
  }
  kept[4096] = std::byte{0};  // zstd's magic number
  EXPECT_FALSE(codec.Decode(kept, decoded));
}

}  // namespace
}  // namespace autoglm
