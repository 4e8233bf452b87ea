// Sixteen float32 or int32 lanes in one zmm. The other folders have types of the same names and the same results.

struct F32x16 {
  __m512 v;
};
struct I32x16 {
  __m512i v;
};
// Four bytes that may stand anywhere and be anything.
using Quad [[gnu::may_alias, gnu::aligned(1)]] = int32_t;

// How many rows (tokens times heads) attention keeps in registers at once.
inline constexpr int kAttentionRowTile = 8;
// And while adding values: rows times lines of 16 dims.
inline constexpr int kAttentionValueRows = 4;
inline constexpr int kAttentionLines = 4;

static inline F32x16 Load(const float* p) { return {_mm512_loadu_ps(p)}; }
static inline void Store(float* p, F32x16 a) { _mm512_storeu_ps(p, a.v); }
static inline F32x16 Set1(float a) { return {_mm512_set1_ps(a)}; }
static inline F32x16 Zero() { return {_mm512_setzero_ps()}; }
static inline F32x16 Add(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
static inline F32x16 Sub(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
static inline F32x16 Mul(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
static inline F32x16 Div(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
static inline F32x16 Fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
static inline F32x16 Max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
static inline F32x16 Abs(F32x16 a) { return {_mm512_abs_ps(a.v)}; }
static inline F32x16 LessThanSelect(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), no.v, yes.v)};
}
// Lanes below `count` keep their value, the others get `other`.
static inline F32x16 KeepFirst(F32x16 a, int count, float other) {
  const __mmask16 mask = static_cast<__mmask16>(count >= 16 ? 0xffff : (count <= 0 ? 0 : (1u << count) - 1));
  return {_mm512_mask_blend_ps(mask, _mm512_set1_ps(other), a.v)};
}
static inline F32x16 LoadFirst(const float* p, int count) {
  const __mmask16 mask = static_cast<__mmask16>(count >= 16 ? 0xffff : (1u << count) - 1);
  return {_mm512_maskz_loadu_ps(mask, p)};
}
static inline void StoreFirst(float* p, F32x16 a, int count) {
  const __mmask16 mask = static_cast<__mmask16>(count >= 16 ? 0xffff : (1u << count) - 1);
  _mm512_mask_storeu_ps(p, mask, a.v);
}

static inline F32x16 LoadF16(const void* p) { return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)))}; }
static inline I32x16 LoadI32(const void* p) { return {_mm512_loadu_si512(p)}; }
// What was loaded stays in a register instead of being loaded again by each instruction that needs it.
static inline I32x16 InRegister(I32x16 a) {
  __asm__("" : "+v"(a.v));
  return a;
}
static inline void StoreI32(void* p, I32x16 a) { _mm512_storeu_si512(p, a.v); }
static inline I32x16 Set1I32(int32_t a) { return {_mm512_set1_epi32(a)}; }
static inline I32x16 AddI32(I32x16 a, I32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
static inline I32x16 SubI32(I32x16 a, I32x16 b) { return {_mm512_sub_epi32(a.v, b.v)}; }
static inline I32x16 And(I32x16 a, I32x16 b) { return {_mm512_and_si512(a.v, b.v)}; }
static inline I32x16 Xor(I32x16 a, I32x16 b) { return {_mm512_xor_si512(a.v, b.v)}; }
// a | (b & mask)
static inline I32x16 MergeBits(I32x16 a, I32x16 b, int32_t mask) {
  return {_mm512_ternarylogic_epi32(a.v, b.v, _mm512_set1_epi32(mask), 0xf8)};
}
template <int kBits>
static inline I32x16 ShiftLeft(I32x16 a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
template <int kBits>
static inline I32x16 ShiftRight(I32x16 a) {
  return {_mm512_srli_epi32(a.v, kBits)};
}
template <int kBits>
static inline I32x16 ShiftRightSigned(I32x16 a) {
  return {_mm512_srai_epi32(a.v, kBits)};
}
static inline I32x16 ShiftRightBy(I32x16 a, int bits) { return {_mm512_srl_epi32(a.v, _mm_cvtsi32_si128(bits))}; }
static inline I32x16 LoadU8(const void* p) { return {_mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)))}; }
static inline I32x16 LoadI8(const void* p) { return {_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)))}; }
// Bytes of places 0..15 in kIq4Values to value + 128.
static inline I32x16 LookUpIq4(I32x16 places) {
  const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kIq4Values));
  const __m128i shifted = _mm_xor_si128(values, _mm_set1_epi8(static_cast<char>(0x80)));
  return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(shifted), places.v)};
}
static inline F32x16 ToF32(I32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
static inline I32x16 RoundToI32(F32x16 a) { return {_mm512_cvtps_epi32(a.v)}; }
static inline F32x16 BitsToF32(I32x16 a) { return {_mm512_castsi512_ps(a.v)}; }
static inline I32x16 F32ToBits(F32x16 a) { return {_mm512_castps_si512(a.v)}; }

// Sixteen lanes as the low bytes, saturated to int8.
static inline void StoreI8(int8_t* p, I32x16 a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(a.v)); }

static inline void StoreU16(uint16_t* p, I32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(a.v));
}
// Sums of 16 int8 and of the 16 behind them.
static inline void SumHalves(const int8_t* values, int32_t* sums) {
  const __m256i bytes = _mm256_load_si256(reinterpret_cast<const __m256i*>(values));
  __m256i quads = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), bytes);
  quads = _mm256_add_epi32(quads, _mm256_shuffle_epi32(quads, 0xb1));
  quads = _mm256_add_epi32(quads, _mm256_shuffle_epi32(quads, 0x4e));
  sums[0] = _mm256_cvtsi256_si32(quads);
  sums[1] = _mm_cvtsi128_si32(_mm256_extracti128_si256(quads, 1));
}

// See avx2/vec16.h: here a line's products are summed at once, and bytes are what they are.
template <int kMaxWeight>
inline constexpr int kWordLines = 1;
inline constexpr bool kTakesOff128 = false;

// acc[lane] += sum over 4 bytes of weight (unsigned) times activation (signed): one line of 16 rows times 4 columns of one
// token. kMaxWeight bounds the weights' values: 15 for nibbles, 255 for bytes. In assembly, because GCC 12 loads and broadcasts
// the activations by an instruction of its own, which takes an eighth of the speed.
template <int kMaxWeight>
static inline I32x16 DotU8I8(I32x16 acc, I32x16 weights, const int8_t* quad) {
  __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(acc.v) : "v"(weights.v), "m"(*reinterpret_cast<const Quad*>(quad)));
  return acc;
}
// acc[lane] += sum over 2 int16 of weight times activation.
static inline I32x16 DotI16(I32x16 acc, I32x16 weights, const void* pair) {
  __asm__("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(acc.v) : "v"(weights.v), "m"(*static_cast<const Quad*>(pair)));
  return acc;
}
#if defined(__AVX512BF16__)
// acc[lane] + high * high, then + low * low, each rounded once, of a pair of BF16: what every path computes here.
static inline F32x16 DotBf16(F32x16 acc, I32x16 weights, const void* pair) {
  __asm__("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(acc.v) : "v"(weights.v), "m"(*static_cast<const Quad*>(pair)));
  return acc;
}
#else
static inline F32x16 DotBf16(F32x16 acc, I32x16 weights, const void* pair) {
  const __m512i x = _mm512_set1_epi32(*static_cast<const Quad*>(pair));
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  acc.v = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(weights.v, high)), _mm512_castsi512_ps(_mm512_and_si512(x, high)),
                          acc.v);
  return {_mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(weights.v, 16)), _mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                          acc.v)};
}
#endif

#if defined(__AVX512BF16__)
// BF16 of lanes that are zero or normal: the instruction takes subnormal ones for zero.
#define AUTOGLM_HAS_STORE_NORMAL_BF16
static inline void StoreNormalBf16(uint16_t* p, F32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(a.v)));
}
// A line of pairs, [16 lanes][low, high], of such lanes.
[[maybe_unused]] static inline void StoreNormalBf16Pairs(void* p, F32x16 low, F32x16 high) {
  alignas(64) static constexpr uint16_t kInTurn[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                       8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const auto halves = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high.v, low.v));
  _mm512_storeu_si512(p, _mm512_permutexvar_epi16(_mm512_load_si512(kInTurn), halves));
}
#endif

static inline int32_t ReduceAddI32(I32x16 a) { return _mm512_reduce_add_epi32(a.v); }
static inline float ReduceMax(F32x16 a) { return _mm512_reduce_max_ps(a.v); }
