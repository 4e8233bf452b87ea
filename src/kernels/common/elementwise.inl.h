// Element by element kernels over F32x16. Included once per instruction set, inside its namespace, after vec16.h.

// One order of addition on every path: lanes 8 apart, then 4, 2, 1.
static inline float ReduceSum(F32x16 a) {
  float lanes[16];
  Store(lanes, a);
  for (int step = 8; step > 0; step /= 2) {
    for (int i = 0; i < step; ++i) lanes[i] += lanes[i + step];
  }
  return lanes[0];
}

// The end of e^x = e^r * 2^n: what is left of the polynomial in r when the terms above the third power are in p; 0 below
// `lowest`.
static inline F32x16 FinishExp(F32x16 p, F32x16 r, I32x16 n, F32x16 x, F32x16 lowest) {
  p = Fma(p, r, Set1(1.0f / 6));
  p = Fma(p, r, Set1(0.5f));
  p = Fma(p, r, Set1(1.0f));
  p = Fma(p, r, Set1(1.0f));
  const F32x16 power = BitsToF32(ShiftLeft<23>(AddI32(n, Set1I32(127))));
  return LessThanSelect(x, lowest, Zero(), Mul(p, power));
}

// e^x within 2 ulp; exactly 1 at 0 and exactly 0 below -87.3 (e^x is subnormal there). Cody-Waite reduction to
// [-ln2/2, ln2/2], then the Taylor polynomial of degree 7 (truncation error 6e-9).
static inline F32x16 Exp(F32x16 x) {
  const F32x16 lowest = Set1(-87.3f);
  const F32x16 clamped = Sub(Zero(), Max(Sub(Zero(), Max(x, lowest)), Set1(-88.0f)));  // min(max(x, lowest), 88)
  const I32x16 n = RoundToI32(Mul(clamped, Set1(1.44269504f)));
  const F32x16 nf = ToF32(n);
  F32x16 r = Fma(nf, Set1(-0.693359375f), clamped);
  r = Fma(nf, Set1(2.12194440e-4f), r);
  F32x16 p = Set1(1.0f / 5040);
  p = Fma(p, r, Set1(1.0f / 720));
  p = Fma(p, r, Set1(1.0f / 120));
  p = Fma(p, r, Set1(1.0f / 24));
  return FinishExp(p, r, n, x, lowest);
}

static void RmsNorm(const float* x, const float* weight, int64_t n, float eps, float* out) {
  F32x16 squares = Zero();
  for (int64_t i = 0; i < n; i += 16) {
    const F32x16 v = LoadFirst(x + i, static_cast<int>(n - i < 16 ? n - i : 16));
    squares = Fma(v, v, squares);
  }
  const float scale = 1.0f / __builtin_sqrtf(ReduceSum(squares) / static_cast<float>(n) + eps);
  for (int64_t i = 0; i < n; i += 16) {
    const int count = static_cast<int>(n - i < 16 ? n - i : 16);
    StoreFirst(out + i, Mul(Mul(LoadFirst(x + i, count), Set1(scale)), LoadFirst(weight + i, count)), count);
  }
}

static void SiluMul(const float* gate, const float* up, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += 16) {
    const int count = static_cast<int>(n - i < 16 ? n - i : 16);
    const F32x16 g = LoadFirst(gate + i, count);
    const F32x16 silu = Div(g, Add(Set1(1.0f), Exp(Sub(Zero(), g))));
    StoreFirst(out + i, Mul(silu, LoadFirst(up + i, count)), count);
  }
}

static void GeluTanhMul(const float* gate, const float* up, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += 16) {
    const int count = static_cast<int>(n - i < 16 ? n - i : 16);
    const F32x16 g = LoadFirst(gate + i, count);
    const F32x16 cubic = Mul(Mul(g, g), Mul(g, Set1(0.044715f)));
    const F32x16 minus_2u = Mul(Add(g, cubic), Set1(-1.5957691216f));
    const F32x16 gelu = Div(g, Add(Set1(1.0f), Exp(minus_2u)));
    StoreFirst(out + i, Mul(gelu, LoadFirst(up + i, count)), count);
  }
}

static void AddScaled(const float* x, float scale, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += 16) {
    const int count = static_cast<int>(n - i < 16 ? n - i : 16);
    StoreFirst(out + i, Fma(LoadFirst(x + i, count), Set1(scale), LoadFirst(out + i, count)), count);
  }
}

// cap * tanh(x / cap), tanh(y) = 1 - 2 / (e^(2y) + 1): within 2 ulp of cap, which is all that a capped score asks for.
static inline F32x16 SoftCapped(F32x16 x, float cap) {
  const F32x16 e = Exp(Mul(x, Set1(2.0f / cap)));
  const F32x16 tanh = Sub(Set1(1.0f), Div(Set1(2.0f), Add(e, Set1(1.0f))));
  return Mul(tanh, Set1(cap));
}

static void SoftCap(float* x, float cap, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    const int count = static_cast<int>(n - i < 16 ? n - i : 16);
    StoreFirst(x + i, SoftCapped(LoadFirst(x + i, count), cap), count);
  }
}

static void RopeInterleaved(float* head, const float* cos, const float* sin, int64_t num_pairs) {
  for (int64_t i = 0; i < num_pairs; ++i) {
    const float a = head[2 * i];
    const float b = head[2 * i + 1];
    head[2 * i] = a * cos[i] - b * sin[i];
    head[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

static void RopeHalf(float* head, const float* cos, const float* sin, int64_t num_pairs) {
  for (int64_t i = 0; i < num_pairs; ++i) {
    const float a = head[i];
    const float b = head[i + num_pairs];
    head[i] = a * cos[i] - b * sin[i];
    head[i + num_pairs] = b * cos[i] + a * sin[i];
  }
}

// ---- Activations in the forms that products ask for.

// Where four columns (quad) of token t of a tile stand among its values.
static inline int64_t QuadAt(int64_t width, int64_t quad, int64_t t) {
  return kTokenMajor ? (quad / 8 * width + t) * kGroupColumns + quad % 8 * 4 : (quad * width + t) * 4;
}

// Groups of one token whose scales are found before their values are rounded, so that neither waits for the other.
inline constexpr int64_t kGroupsAtOnce = 16;

// The largest magnitude of each of `count` groups, and 127 over it (0 for a group of zeros).
static inline void FindScales(const float* x, int64_t count, float* largest, float* inverse) {
  for (int64_t g = 0; g < count; ++g) {
    largest[g] = ReduceMax(Max(Abs(Load(x + g * kGroupColumns)), Abs(Load(x + g * kGroupColumns + 16))));
  }
  const F32x16 all = Load(largest);
  Store(inverse, LessThanSelect(Zero(), all, Div(Set1(127.0f), all), Zero()));
}

// Puts the scale and the sums of group g, of a tile's token i, where the formats in use want them.
static inline void StoreGroup(const QuantizedActivations& out, int64_t b, int64_t width, int64_t i, int64_t g, float scale,
                              const int32_t* half_sums) {
  const int32_t sum = half_sums[0] + half_sums[1];
  const int64_t groups = out.columns / kGroupColumns;
  const int64_t at = b * groups + g * width + i;
  out.scales[at] = scale;
  if (out.starts_8 != nullptr) out.starts_8[at] = -8 * sum;
  if (out.starts_16 != nullptr) out.starts_16[at] = -16 * sum;
  if (out.starts_128 != nullptr) out.starts_128[at] = -128 * sum;
  if (out.scaled_sums != nullptr) out.scaled_sums[at] = scale * static_cast<float>(sum);
  if (out.half_starts_32 != nullptr) {
    int32_t* starts = out.half_starts_32 + (b * groups + g * width) * 2 + i;
    starts[0] = -32 * half_sums[0];
    starts[width] = -32 * half_sums[1];
  }
}

static void QuantizeTile(const float* rows, int64_t stride, int64_t b, int64_t width, const QuantizedActivations& out) {
  const int64_t groups = out.columns / kGroupColumns;
  int8_t* tile = out.values + b * out.columns;
  alignas(64) float largest[kGroupsAtOnce] = {};
  alignas(64) float inverse[kGroupsAtOnce];
  alignas(64) int8_t values[kGroupsAtOnce * kGroupColumns];
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t first = 0; first < groups; first += kGroupsAtOnce) {
      const int64_t count = groups - first < kGroupsAtOnce ? groups - first : kGroupsAtOnce;
      const float* x = rows + i * stride + first * kGroupColumns;
      FindScales(x, count, largest, inverse);
      for (int64_t g = 0; g < count; ++g) {
        int8_t* group = values + g * kGroupColumns;
        const F32x16 factor = Set1(inverse[g]);
        StoreI8(group, RoundToI32(Mul(Load(x + g * kGroupColumns), factor)));
        StoreI8(group + 16, RoundToI32(Mul(Load(x + g * kGroupColumns + 16), factor)));
      }
      constexpr int64_t kTogether = kTokenMajor ? 8 : 1;  // quads that stand side by side
      for (int64_t quad = 0; quad < count * 8; quad += kTogether) {
        __builtin_memcpy(tile + QuadAt(width, first * 8 + quad, i), values + quad * 4, kTogether * 4);
      }
      for (int64_t g = 0; g < count; ++g) {
        int32_t half_sums[2];
        SumHalves(values + g * kGroupColumns, half_sums);
        StoreGroup(out, b, width, i, first + g, largest[g] / 127.0f, half_sums);
      }
    }
  }
}

// BF16 of sixteen values in the low bits of each lane, to the nearest, ties to even. NaN stays NaN.
static inline I32x16 RoundToBf16(F32x16 x) {
  const I32x16 bits = F32ToBits(x);
  const I32x16 tie = And(ShiftRight<16>(bits), Set1I32(1));
  const F32x16 rounded = BitsToF32(AddI32(bits, AddI32(tie, Set1I32(0x7fff))));
  return ShiftRight<16>(F32ToBits(LessThanSelect(Abs(x), Set1(__builtin_inff()), rounded, x)));
}

// Pairs (2p, 2p + 1) of sixteen columns of a token, `width` pairs apart.
static inline void StorePairs(const uint16_t* columns, uint16_t* out, int64_t width) {
  for (int64_t p = 0; p < 8; ++p) __builtin_memcpy(out + p * width * 2, columns + p * 2, 4);
}

// A tile for matrix tiles.
static inline void Bf16TileByTokens(const float* rows, int64_t stride, int64_t b, int64_t width, const PairActivations& out) {
  const int64_t groups = (out.columns + kGroupColumns - 1) / kGroupColumns;
  uint16_t* tile = out.values + b * groups * kGroupColumns;
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t k = 0; k < groups * kGroupColumns; k += 16) {
      const int64_t left = out.columns - k;
      const int n = static_cast<int>(left < 0 ? 0 : (left < 16 ? left : 16));
      StoreU16(tile + (k / kGroupColumns * width + i) * kGroupColumns + k % kGroupColumns,
               RoundToBf16(LoadFirst(rows + i * stride + k, n)));
    }
  }
}

static void Bf16Tile(const float* rows, int64_t stride, int64_t b, int64_t width, const PairActivations& out) {
  if constexpr (kTokenMajor) return Bf16TileByTokens(rows, stride, b, width, out);
  const int64_t num_pairs = (out.columns + 1) / 2;
  uint16_t* tile = out.values + b * num_pairs * 2;
  for (int64_t i = 0; i < width; ++i) {
    const float* row = rows + i * stride;
    for (int64_t k = 0; k < out.columns; k += 16) {
      const int64_t n = out.columns - k < 16 ? out.columns - k : 16;
      alignas(32) uint16_t columns[16];
      StoreU16(columns, RoundToBf16(LoadFirst(row + k, static_cast<int>(n))));
      if (n == 16) {
        StorePairs(columns, tile + (k / 2 * width + i) * 2, width);
      } else {
        for (int64_t p = 0; p < (n + 1) / 2; ++p) __builtin_memcpy(tile + ((k / 2 + p) * width + i) * 2, columns + p * 2, 4);
      }
    }
  }
}

static void Int16Tile(const float* rows, int64_t stride, int64_t b, int64_t width, const PairActivations& out) {
  // With 13 bits of weights, the largest that cannot overflow a sum of 32 products.
  constexpr float kLargest = 8190;
  const int64_t groups = (out.columns + kGroupColumns - 1) / kGroupColumns;
  uint16_t* tile = out.values + b * groups * kGroupColumns;
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t g = 0; g < groups; ++g) {
      const float* x = rows + i * stride + g * kGroupColumns;
      const int n =
          static_cast<int>(out.columns - g * kGroupColumns < kGroupColumns ? out.columns - g * kGroupColumns : kGroupColumns);
      const F32x16 half[2] = {LoadFirst(x, n < 16 ? n : 16), n > 16 ? LoadFirst(x + 16, n - 16) : Zero()};
      const float largest = ReduceMax(Max(Abs(half[0]), Abs(half[1])));
      const F32x16 inverse = Set1(largest > 0 ? kLargest / largest : 0.0f);
      for (int h = 0; h < 2; ++h) {
        alignas(32) uint16_t columns[16];
        StoreU16(columns, RoundToI32(Mul(half[h], inverse)));
        StorePairs(columns, tile + ((g * 16 + h * 8) * width + i) * 2, width);
      }
      out.scales[b * groups + g * width + i] = largest / kLargest;
    }
  }
}

static void TransposeTile(const float* rows, int64_t stride, int64_t b, int64_t width, const FloatActivations& out) {
  const int64_t even = (out.columns + 1) / 2 * 2;
  float* tile = out.values + b * even;
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t k = 0; k < out.columns; ++k) tile[k * width + i] = rows[i * stride + k];
    if (even > out.columns) tile[out.columns * width + i] = 0.0f;
  }
}
