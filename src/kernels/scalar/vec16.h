// Sixteen float32 or int32 lanes in plain arrays: the reference the other paths are tested against, and the path of any
// processor without one of its own. std::fma rounds once, as the instruction does.

struct F32x16 {
  float v[16];
};
struct I32x16 {
  int32_t v[16];
};

inline constexpr int kAttentionRowTile = 1;
inline constexpr int kAttentionValueRows = 1;
inline constexpr int kAttentionLines = 1;

template <typename Lane>
static inline F32x16 MakeF32(Lane lane) {
  F32x16 result;
  for (int i = 0; i < 16; ++i) result.v[i] = lane(i);
  return result;
}
template <typename Lane>
static inline I32x16 MakeI32(Lane lane) {
  I32x16 result;
  for (int i = 0; i < 16; ++i) result.v[i] = static_cast<int32_t>(lane(i));
  return result;
}

static inline F32x16 Load(const float* p) {
  return MakeF32([&](int i) { return p[i]; });
}
static inline void Store(float* p, F32x16 a) { std::memcpy(p, a.v, sizeof(a.v)); }
static inline F32x16 Set1(float a) {
  return MakeF32([&](int) { return a; });
}
static inline F32x16 Zero() { return Set1(0.0f); }
static inline F32x16 Add(F32x16 a, F32x16 b) {
  return MakeF32([&](int i) { return a.v[i] + b.v[i]; });
}
static inline F32x16 Sub(F32x16 a, F32x16 b) {
  return MakeF32([&](int i) { return a.v[i] - b.v[i]; });
}
static inline F32x16 Mul(F32x16 a, F32x16 b) {
  return MakeF32([&](int i) { return a.v[i] * b.v[i]; });
}
static inline F32x16 Div(F32x16 a, F32x16 b) {
  return MakeF32([&](int i) { return a.v[i] / b.v[i]; });
}
static inline F32x16 Fma(F32x16 a, F32x16 b, F32x16 c) {
  return MakeF32([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
}
// As vmaxps: the second operand where either is NaN.
static inline F32x16 Max(F32x16 a, F32x16 b) {
  return MakeF32([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
static inline F32x16 Abs(F32x16 a) {
  return MakeF32([&](int i) { return std::fabs(a.v[i]); });
}
static inline F32x16 LessThanSelect(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) {
  return MakeF32([&](int i) { return a.v[i] < b.v[i] ? yes.v[i] : no.v[i]; });
}
static inline F32x16 KeepFirst(F32x16 a, int count, float other) {
  return MakeF32([&](int i) { return i < count ? a.v[i] : other; });
}
static inline F32x16 LoadFirst(const float* p, int count) {
  return MakeF32([&](int i) { return i < count ? p[i] : 0.0f; });
}
static inline void StoreFirst(float* p, F32x16 a, int count) {
  std::memcpy(p, a.v, sizeof(float) * static_cast<size_t>(count < 16 ? count : 16));
}

static inline float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 31;
  const uint32_t mantissa = half & 1023;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const uint32_t bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | (mantissa << 13);
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
static inline F32x16 LoadF16(const void* p) {
  uint16_t halves[16];
  std::memcpy(halves, p, sizeof(halves));
  return MakeF32([&](int i) { return HalfToFloat(halves[i]); });
}
static inline I32x16 LoadI32(const void* p) {
  I32x16 result;
  std::memcpy(result.v, p, sizeof(result.v));
  return result;
}
static inline I32x16 InRegister(I32x16 a) { return a; }
static inline void StoreI32(void* p, I32x16 a) { std::memcpy(p, a.v, sizeof(a.v)); }
static inline I32x16 Set1I32(int32_t a) {
  return MakeI32([&](int) { return a; });
}
static inline I32x16 AddI32(I32x16 a, I32x16 b) {
  return MakeI32([&](int i) { return static_cast<uint32_t>(a.v[i]) + static_cast<uint32_t>(b.v[i]); });
}
static inline I32x16 SubI32(I32x16 a, I32x16 b) {
  return MakeI32([&](int i) { return static_cast<uint32_t>(a.v[i]) - static_cast<uint32_t>(b.v[i]); });
}
static inline I32x16 And(I32x16 a, I32x16 b) {
  return MakeI32([&](int i) { return a.v[i] & b.v[i]; });
}
static inline I32x16 Xor(I32x16 a, I32x16 b) {
  return MakeI32([&](int i) { return a.v[i] ^ b.v[i]; });
}
// a | (b & mask)
static inline I32x16 MergeBits(I32x16 a, I32x16 b, int32_t mask) {
  return MakeI32([&](int i) { return a.v[i] | (b.v[i] & mask); });
}
template <int kBits>
static inline I32x16 ShiftLeft(I32x16 a) {
  return MakeI32([&](int i) { return static_cast<uint32_t>(a.v[i]) << kBits; });
}
template <int kBits>
static inline I32x16 ShiftRight(I32x16 a) {
  return MakeI32([&](int i) { return static_cast<uint32_t>(a.v[i]) >> kBits; });
}
template <int kBits>
static inline I32x16 ShiftRightSigned(I32x16 a) {
  return MakeI32([&](int i) { return a.v[i] >> kBits; });
}
static inline I32x16 ShiftRightBy(I32x16 a, int bits) {
  return MakeI32([&](int i) { return static_cast<uint32_t>(a.v[i]) >> bits; });
}
static inline I32x16 LoadU8(const void* p) {
  return MakeI32([&](int i) { return static_cast<const uint8_t*>(p)[i]; });
}
static inline I32x16 LoadI8(const void* p) {
  return MakeI32([&](int i) { return static_cast<const int8_t*>(p)[i]; });
}
static inline I32x16 LookUpIq4(I32x16 places) {
  uint8_t bytes[64];
  std::memcpy(bytes, places.v, sizeof(bytes));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(kIq4Values[byte] + 128);
  return LoadI32(bytes);
}
static inline F32x16 ToF32(I32x16 a) {
  return MakeF32([&](int i) { return static_cast<float>(a.v[i]); });
}
// Halves to even; out of range and NaN give the smallest integer, as vcvtps2dq does.
static inline I32x16 RoundToI32(F32x16 a) {
  return MakeI32([&](int i) {
    const float rounded = std::nearbyint(a.v[i]);
    return rounded >= -2147483648.0f && rounded < 2147483648.0f ? static_cast<int32_t>(rounded) : INT32_MIN;
  });
}
static inline F32x16 BitsToF32(I32x16 a) {
  F32x16 result;
  std::memcpy(result.v, a.v, sizeof(a.v));
  return result;
}
static inline I32x16 F32ToBits(F32x16 a) {
  I32x16 result;
  std::memcpy(result.v, a.v, sizeof(a.v));
  return result;
}
static inline void StoreI8(int8_t* p, I32x16 a) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<int8_t>(a.v[i] > 127 ? 127 : (a.v[i] < -128 ? -128 : a.v[i]));
}
static inline void StoreU16(uint16_t* p, I32x16 a) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<uint16_t>(a.v[i]);
}
// Sums of 16 int8 and of the 16 behind them.
static inline void SumHalves(const int8_t* values, int32_t* sums) {
  sums[0] = sums[1] = 0;
  for (int i = 0; i < 32; ++i) sums[i / 16] += values[i];
}

// See avx2/vec16.h: here a line's products are summed at once, and bytes are what they are.
template <int kMaxWeight>
inline constexpr int kWordLines = 1;
inline constexpr bool kTakesOff128 = false;

template <int kMaxWeight>
static inline I32x16 DotU8I8(I32x16 acc, I32x16 weights, const int8_t* quad) {
  uint8_t w[64];
  std::memcpy(w, weights.v, sizeof(w));
  for (int row = 0; row < 16; ++row) {
    for (int i = 0; i < 4; ++i) acc.v[row] += w[row * 4 + i] * quad[i];
  }
  return acc;
}
static inline I32x16 DotI16(I32x16 acc, I32x16 weights, const void* pair) {
  int16_t w[32];
  int16_t x[2];
  std::memcpy(w, weights.v, sizeof(w));
  std::memcpy(x, pair, sizeof(x));
  for (int row = 0; row < 16; ++row) acc.v[row] += w[row * 2] * x[0] + w[row * 2 + 1] * x[1];
  return acc;
}
static inline F32x16 DotBf16(F32x16 acc, I32x16 weights, const void* pair) {
  int32_t bits;
  std::memcpy(&bits, pair, sizeof(bits));
  const I32x16 x = Set1I32(bits);
  const I32x16 high = Set1I32(static_cast<int32_t>(0xffff0000u));
  acc = Fma(BitsToF32(And(weights, high)), BitsToF32(And(x, high)), acc);
  return Fma(BitsToF32(ShiftLeft<16>(weights)), BitsToF32(ShiftLeft<16>(x)), acc);
}

static inline int32_t ReduceAddI32(I32x16 a) {
  int32_t total = 0;
  for (const int32_t lane : a.v) total += lane;
  return total;
}
static inline float ReduceMax(F32x16 a) {
  float maximum = a.v[0];
  for (int i = 1; i < 16; ++i) maximum = a.v[i] > maximum ? a.v[i] : maximum;
  return maximum;
}
