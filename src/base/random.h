#pragma once

#include <cstdint>

namespace autoglm {

// splitmix64: one multiply-and-shift chain a draw, the same numbers on every machine. Source: Steele, Lea, Flood 2014.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t NextU64() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  // Uniform in [0, 1), 53 bits.
  double NextDouble() { return static_cast<double>(NextU64() >> 11) * 0x1.0p-53; }

  // Uniform in [0, bound), bound > 0; the bias is below bound / 2^64.
  uint64_t NextBelow(uint64_t bound) { return static_cast<uint64_t>((static_cast<unsigned __int128>(NextU64()) * bound) >> 64); }

 private:
  uint64_t state_;
};

}  // namespace autoglm
