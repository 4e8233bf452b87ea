// Sixteen float32 or int32 lanes in two ymm.

struct F32x16 {
  __m256 lo, hi;
};
struct I32x16 {
  __m256i lo, hi;
};
// Four bytes that may stand anywhere and be anything.
using Quad [[gnu::may_alias, gnu::aligned(1)]] = int32_t;

inline constexpr int kAttentionRowTile = 2;
inline constexpr int kAttentionValueRows = 2;
inline constexpr int kAttentionLines = 2;

static inline F32x16 Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
static inline void Store(float* p, F32x16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
static inline F32x16 Set1(float a) { return {_mm256_set1_ps(a), _mm256_set1_ps(a)}; }
static inline F32x16 Zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
static inline F32x16 Add(F32x16 a, F32x16 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
static inline F32x16 Sub(F32x16 a, F32x16 b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
static inline F32x16 Mul(F32x16 a, F32x16 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
static inline F32x16 Div(F32x16 a, F32x16 b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
static inline F32x16 Fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
static inline F32x16 Max(F32x16 a, F32x16 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
static inline F32x16 Abs(F32x16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
static inline F32x16 LessThanSelect(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
          _mm256_blendv_ps(no.hi, yes.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))};
}
static inline I32x16 FirstMask(int count) {
  const __m256i limit = _mm256_set1_epi32(count);
  return {_mm256_cmpgt_epi32(limit, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),
          _mm256_cmpgt_epi32(limit, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15))};
}
static inline F32x16 KeepFirst(F32x16 a, int count, float other) {
  const I32x16 mask = FirstMask(count);
  const __m256 fill = _mm256_set1_ps(other);
  return {_mm256_blendv_ps(fill, a.lo, _mm256_castsi256_ps(mask.lo)), _mm256_blendv_ps(fill, a.hi, _mm256_castsi256_ps(mask.hi))};
}
static inline F32x16 LoadFirst(const float* p, int count) {
  const I32x16 mask = FirstMask(count);
  return {_mm256_maskload_ps(p, mask.lo), _mm256_maskload_ps(p + 8, mask.hi)};
}
static inline void StoreFirst(float* p, F32x16 a, int count) {
  const I32x16 mask = FirstMask(count);
  _mm256_maskstore_ps(p, mask.lo, a.lo);
  _mm256_maskstore_ps(p + 8, mask.hi, a.hi);
}

static inline F32x16 LoadF16(const void* p) {
  const __m128i* half = static_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(half)), _mm256_cvtph_ps(_mm_loadu_si128(half + 1))};
}
static inline I32x16 LoadI32(const void* p) {
  const __m256i* half = static_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(half), _mm256_loadu_si256(half + 1)};
}
static inline I32x16 InRegister(I32x16 a) { return a; }
static inline void StoreI32(void* p, I32x16 a) {
  __m256i* half = static_cast<__m256i*>(p);
  _mm256_storeu_si256(half, a.lo);
  _mm256_storeu_si256(half + 1, a.hi);
}
static inline I32x16 Set1I32(int32_t a) { return {_mm256_set1_epi32(a), _mm256_set1_epi32(a)}; }
static inline I32x16 AddI32(I32x16 a, I32x16 b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }
static inline I32x16 SubI32(I32x16 a, I32x16 b) { return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)}; }
static inline I32x16 And(I32x16 a, I32x16 b) { return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)}; }
static inline I32x16 Xor(I32x16 a, I32x16 b) { return {_mm256_xor_si256(a.lo, b.lo), _mm256_xor_si256(a.hi, b.hi)}; }
// a | (b & mask)
static inline I32x16 MergeBits(I32x16 a, I32x16 b, int32_t mask) {
  const I32x16 masked = And(b, Set1I32(mask));
  return {_mm256_or_si256(a.lo, masked.lo), _mm256_or_si256(a.hi, masked.hi)};
}
template <int kBits>
static inline I32x16 ShiftLeft(I32x16 a) {
  return {_mm256_slli_epi32(a.lo, kBits), _mm256_slli_epi32(a.hi, kBits)};
}
template <int kBits>
static inline I32x16 ShiftRight(I32x16 a) {
  return {_mm256_srli_epi32(a.lo, kBits), _mm256_srli_epi32(a.hi, kBits)};
}
template <int kBits>
static inline I32x16 ShiftRightSigned(I32x16 a) {
  return {_mm256_srai_epi32(a.lo, kBits), _mm256_srai_epi32(a.hi, kBits)};
}
static inline I32x16 ShiftRightBy(I32x16 a, int bits) {
  const __m128i count = _mm_cvtsi32_si128(bits);
  return {_mm256_srl_epi32(a.lo, count), _mm256_srl_epi32(a.hi, count)};
}
static inline I32x16 LoadU8(const void* p) {
  const __m128i bytes = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}
static inline I32x16 LoadI8(const void* p) {
  const __m128i bytes = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
}
static inline I32x16 LookUpIq4(I32x16 places) {
  const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kIq4Values));
  const __m256i shifted = _mm256_broadcastsi128_si256(_mm_xor_si128(values, _mm_set1_epi8(static_cast<char>(0x80))));
  return {_mm256_shuffle_epi8(shifted, places.lo), _mm256_shuffle_epi8(shifted, places.hi)};
}
static inline F32x16 ToF32(I32x16 a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
static inline I32x16 RoundToI32(F32x16 a) { return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)}; }
static inline F32x16 BitsToF32(I32x16 a) { return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)}; }

static inline I32x16 F32ToBits(F32x16 a) { return {_mm256_castps_si256(a.lo), _mm256_castps_si256(a.hi)}; }

static inline void StoreI8(int8_t* p, I32x16 a) {
  // packs works within 128-bit halves; the permutation puts the four quarters back in order.
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.lo, a.hi), 0xd8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

static inline void StoreU16(uint16_t* p, I32x16 a) {
  const __m256i mask = _mm256_set1_epi32(0xffff);
  const __m256i words = _mm256_packus_epi32(_mm256_and_si256(a.lo, mask), _mm256_and_si256(a.hi, mask));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(words, 0xd8));
}
// Sums of 16 int8 and of the 16 behind them.
static inline void SumHalves(const int8_t* values, int32_t* sums) {
  const __m256i bytes = _mm256_load_si256(reinterpret_cast<const __m256i*>(values));
  const __m256i words = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
  __m256i quads = _mm256_madd_epi16(words, _mm256_set1_epi16(1));
  quads = _mm256_add_epi32(quads, _mm256_shuffle_epi32(quads, 0xb1));
  quads = _mm256_add_epi32(quads, _mm256_shuffle_epi32(quads, 0x4e));
  sums[0] = _mm256_cvtsi256_si32(quads);
  sums[1] = _mm_cvtsi128_si32(_mm256_extracti128_si256(quads, 1));
}

// A line of weights (unsigned) times four columns of a token (signed): 32 sums of two products, in 16 bits.
template <int kMaxWeight>
static inline I32x16 WordsU8I8(I32x16 weights, const int8_t* quad) {
  const __m256i x = _mm256_set1_epi32(*reinterpret_cast<const Quad*>(quad));
  return {_mm256_maddubs_epi16(weights.lo, x), _mm256_maddubs_epi16(weights.hi, x)};
}
static inline I32x16 AddWords(I32x16 a, I32x16 b) { return {_mm256_add_epi16(a.lo, b.lo), _mm256_add_epi16(a.hi, b.hi)}; }
// Sums of two words.
static inline I32x16 SumWords(I32x16 words) {
  const __m256i ones = _mm256_set1_epi16(1);
  return {_mm256_madd_epi16(words.lo, ones), _mm256_madd_epi16(words.hi, ones)};
}
// How many lines' words add up before they could overflow: a power of two, 1 where even one could.
template <int kMaxWeight>
inline constexpr int kWordLines = kMaxWeight <= 15 ? 8 : (kMaxWeight <= 31 ? 4 : (kMaxWeight <= 63 ? 2 : 1));
static_assert(8 * 2 * 15 * 127 < 32768 && 4 * 2 * 31 * 127 < 32768 && 2 * 2 * 63 * 127 < 32768);

// Bytes up to 255 would overflow a word. Those have a zero point of 128: it is taken off here, and the sums start at zero.
inline constexpr bool kTakesOff128 = true;
template <int kMaxWeight>
static inline I32x16 DotU8I8(I32x16 acc, I32x16 weights, const int8_t* quad) {
  static_assert(kMaxWeight == 255);
  const __m256i x = _mm256_set1_epi32(*reinterpret_cast<const Quad*>(quad));
  const auto dot = [&](__m256i sums, __m256i bytes) {
    const __m256i w = _mm256_xor_si256(bytes, _mm256_set1_epi8(static_cast<char>(0x80)));
    const __m256i words = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(words, _mm256_set1_epi16(1)));
  };
  return {dot(acc.lo, weights.lo), dot(acc.hi, weights.hi)};
}
static inline I32x16 DotI16(I32x16 acc, I32x16 weights, const void* pair) {
  const __m256i x = _mm256_set1_epi32(*static_cast<const Quad*>(pair));
  return {_mm256_add_epi32(acc.lo, _mm256_madd_epi16(weights.lo, x)), _mm256_add_epi32(acc.hi, _mm256_madd_epi16(weights.hi, x))};
}
static inline F32x16 DotBf16(F32x16 acc, I32x16 weights, const void* pair) {
  const I32x16 x = Set1I32(*static_cast<const Quad*>(pair));
  const I32x16 high = Set1I32(static_cast<int32_t>(0xffff0000u));
  acc = Fma(BitsToF32(And(weights, high)), BitsToF32(And(x, high)), acc);
  return Fma(BitsToF32(ShiftLeft<16>(weights)), BitsToF32(ShiftLeft<16>(x)), acc);
}

static inline int32_t ReduceAddI32(I32x16 a) {
  const __m256i eight = _mm256_add_epi32(a.lo, a.hi);
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}
static inline float ReduceMax(F32x16 a) {
  const __m256 eight = _mm256_max_ps(a.lo, a.hi);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
