// Attention over paged keys and values. Included once per instruction set, inside its namespace.
//
// A block's keys are lines of 16 tokens, its values lines of 16 dims (models/kv_pool.h), so neither product needs a
// horizontal sum. Rows are query heads of one KV head at some tokens; kAttentionRowTile of them share each line read.

static inline uint16_t RoundToBf16(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40);  // NaN stays NaN
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// The scale of a token's key or value as 8 bits, stored among those of its block. Gives its inverse.
static inline float StoreInt8Scale(const float* x, int64_t n, int64_t offset, std::byte* half) {
  float largest = 0;
  for (int64_t d = 0; d < n; ++d) {
    const float magnitude = __builtin_fabsf(x[d]);
    largest = magnitude > largest ? magnitude : largest;
  }
  reinterpret_cast<float*>(half)[offset] = largest / 127;
  return largest > 0 ? 127 / largest : 0.0f;
}

static inline int8_t ToInt8(float x, float inverse_scale) {
  const float level = __builtin_nearbyintf(x * inverse_scale);
  return static_cast<int8_t>(level > 127 ? 127 : (level < -127 ? -127 : (level == level ? level : 0)));
}

static void WriteKeys(const float* key, int64_t head_dim, int64_t padded_head_dim, KvType type, int64_t offset, std::byte* keys) {
  const float inverse_scale = type == KvType::kInt8 ? StoreInt8Scale(key, head_dim, offset, keys) : 0.0f;
  for (int64_t d = 0; d < padded_head_dim; ++d) {
    const float k = d < head_dim ? key[d] : 0.0f;
    if (type == KvType::kBf16) {
      reinterpret_cast<uint16_t*>(keys)[(d / 2 * kKvBlockTokens + offset) * 2 + d % 2] = RoundToBf16(k);
    } else if (type == KvType::kF32) {
      reinterpret_cast<float*>(keys)[d * kKvBlockTokens + offset] = k;
    } else {
      reinterpret_cast<int8_t*>(keys + kKvScaleBytes)[d * kKvBlockTokens + offset] = ToInt8(k, inverse_scale);
    }
  }
}

static void WriteValues(const float* value, int64_t head_dim, int64_t padded_head_dim, KvType type, int64_t offset,
                        std::byte* values) {
  const float inverse_scale = type == KvType::kInt8 ? StoreInt8Scale(value, head_dim, offset, values) : 0.0f;
  for (int64_t d = 0; d < padded_head_dim; ++d) {
    const float v = d < head_dim ? value[d] : 0.0f;
    if (type == KvType::kBf16) {
      reinterpret_cast<uint16_t*>(values)[(offset / 2 * padded_head_dim + d) * 2 + offset % 2] = RoundToBf16(v);
    } else if (type == KvType::kF32) {
      reinterpret_cast<float*>(values)[offset * padded_head_dim + d] = v;
    } else {
      reinterpret_cast<int8_t*>(values + kKvScaleBytes)[offset * padded_head_dim + d] = ToInt8(v, inverse_scale);
    }
  }
}

static inline F32x16 LowBf16(I32x16 pairs) { return BitsToF32(ShiftLeft<16>(pairs)); }
static inline F32x16 HighBf16(I32x16 pairs) { return BitsToF32(And(pairs, Set1I32(static_cast<int32_t>(0xffff0000u)))); }

// scores[row][32] = queries . keys of a block; of keys in 8 bits without their scales.
template <KvType kType, int kRows>
static inline void Scores(const std::byte* keys, const float* queries, int64_t head_dim, F32x16 (&scores)[kRows][2]) {
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) scores[r][0] = scores[r][1] = Zero();
  for (int64_t d = 0; d < head_dim; d += 2) {
    F32x16 even[2], odd[2];
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      if constexpr (kType == KvType::kBf16) {
        const I32x16 pairs = LoadI32(keys + d / 2 * 128 + half * 64);
        even[half] = LowBf16(pairs);
        odd[half] = HighBf16(pairs);
      } else if constexpr (kType == KvType::kInt8) {
        const std::byte* line = keys + kKvScaleBytes + d * kKvBlockTokens + half * 16;
        even[half] = ToF32(LoadI8(line));
        odd[half] = ToF32(LoadI8(line + kKvBlockTokens));
      } else {
        const float* line = reinterpret_cast<const float*>(keys) + d * kKvBlockTokens + half * 16;
        even[half] = Load(line);
        odd[half] = Load(line + kKvBlockTokens);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const F32x16 q0 = Set1(queries[r * head_dim + d]);
      const F32x16 q1 = Set1(queries[r * head_dim + d + 1]);
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        scores[r][half] = Fma(even[half], q0, scores[r][half]);
        scores[r][half] = Fma(odd[half], q1, scores[r][half]);
      }
    }
  }
}

// accumulator[row][d .. d + 16 * kLines) += weights[row][32] . values, over the first num_tokens of the block. The weights of
// values in 8 bits have their scales in them.
template <KvType kType, int kRows, int kLines>
static inline void AddValues(const std::byte* values, int64_t head_dim, int64_t d, int64_t num_tokens,
                             const float (&weights)[kRows][32], float* accumulator) {
  F32x16 acc[kRows][kLines];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int line = 0; line < kLines; ++line) acc[r][line] = Load(accumulator + r * head_dim + d + line * 16);
  }
  for (int64_t token = 0; token < num_tokens; token += 2) {
    F32x16 even[kLines], odd[kLines];
#pragma GCC unroll 4
    for (int line = 0; line < kLines; ++line) {
      if constexpr (kType == KvType::kBf16) {
        const I32x16 pairs = LoadI32(values + (token / 2 * head_dim + d + line * 16) * 4);
        even[line] = LowBf16(pairs);
        odd[line] = HighBf16(pairs);
      } else if constexpr (kType == KvType::kInt8) {
        const std::byte* row = values + kKvScaleBytes + token * head_dim + d + line * 16;
        even[line] = ToF32(LoadI8(row));
        odd[line] = ToF32(LoadI8(row + head_dim));
      } else {
        const float* row = reinterpret_cast<const float*>(values) + token * head_dim + d + line * 16;
        even[line] = Load(row);
        odd[line] = Load(row + head_dim);
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const F32x16 w0 = Set1(weights[r][token]);
      const F32x16 w1 = Set1(weights[r][token + 1]);
#pragma GCC unroll 4
      for (int line = 0; line < kLines; ++line) {
        acc[r][line] = Fma(even[line], w0, acc[r][line]);
        acc[r][line] = Fma(odd[line], w1, acc[r][line]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int line = 0; line < kLines; ++line) Store(accumulator + r * head_dim + d + line * 16, acc[r][line]);
  }
}

// Lanes that stand for tokens [first, end) keep their score, the others get minus infinity.
static inline F32x16 KeepVisible(F32x16 scores, int64_t first, int64_t end) {
  const float minus_infinity = -__builtin_inff();
  if (end < 16) scores = KeepFirst(scores, static_cast<int>(end), minus_infinity);
  if (first > 0) {
    static constexpr float kLanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    scores = LessThanSelect(Load(kLanes), Set1(static_cast<float>(first < 16 ? first : 16)), Set1(minus_infinity), scores);
  }
  return scores;
}

// Online softmax (Milakov, Gimelshein 2018) of rows [row, row + kRows) over one block that starts at token `block_begin`.
template <KvType kType, int kRows>
static void AttendBlock(const AttentionTask& task, const std::byte* keys, int64_t block_begin, int64_t row) {
  const float minus_infinity = -__builtin_inff();
  int64_t most_visible = 0;
  int64_t least_first = kKvBlockTokens;
  for (int r = 0; r < kRows; ++r) {
    const int64_t visible = task.visible[row + r] - block_begin;
    const int64_t first = task.first_visible[row + r] - block_begin;
    most_visible = visible > most_visible ? visible : most_visible;
    least_first = first < least_first ? first : least_first;
  }
  if (most_visible <= 0 || least_first >= kKvBlockTokens) return;
  if (most_visible > kKvBlockTokens) most_visible = kKvBlockTokens;

  F32x16 scores[kRows][2];
  Scores<kType, kRows>(keys, task.queries + row * task.head_dim, task.head_dim, scores);
  const std::byte* values = keys + task.half_head_bytes;
  alignas(64) float weights[kRows][32];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const int64_t visible = task.visible[row + r] - block_begin;
    const int64_t first = task.first_visible[row + r] - block_begin;
    if constexpr (kType == KvType::kInt8) {
      scores[r][0] = Mul(scores[r][0], Load(reinterpret_cast<const float*>(keys)));
      scores[r][1] = Mul(scores[r][1], Load(reinterpret_cast<const float*>(keys) + 16));
    }
    if (task.score_cap > 0) {
      scores[r][0] = SoftCapped(scores[r][0], task.score_cap);
      scores[r][1] = SoftCapped(scores[r][1], task.score_cap);
    }
    if (visible < kKvBlockTokens || first > 0) {
      scores[r][0] = KeepVisible(scores[r][0], first, visible);
      scores[r][1] = KeepVisible(scores[r][1], first - 16, visible - 16);
    }
    const float old_maximum = task.maximum[row + r];
    const float block_maximum = ReduceMax(Max(scores[r][0], scores[r][1]));
    const float maximum = block_maximum > old_maximum ? block_maximum : old_maximum;
    if (maximum > minus_infinity) {
      const F32x16 shift = Set1(maximum);
      scores[r][0] = Exp(Sub(scores[r][0], shift));
      scores[r][1] = Exp(Sub(scores[r][1], shift));
    } else {
      scores[r][0] = scores[r][1] = Zero();  // a row that sees nothing yet
    }
    float* sum = task.sum + (row + r) * 16;
    if (maximum > old_maximum) {
      const F32x16 shrink = Exp(Set1(old_maximum - maximum));
      float* acc = task.accumulator + (row + r) * task.head_dim;
      for (int64_t d = 0; d < task.head_dim; d += 16) Store(acc + d, Mul(Load(acc + d), shrink));
      Store(sum, Mul(Load(sum), shrink));
      task.maximum[row + r] = maximum;
    }
    Store(sum, Add(Load(sum), Add(scores[r][0], scores[r][1])));
    if constexpr (kType == KvType::kInt8) {
      scores[r][0] = Mul(scores[r][0], Load(reinterpret_cast<const float*>(values)));
      scores[r][1] = Mul(scores[r][1], Load(reinterpret_cast<const float*>(values) + 16));
    }
    Store(weights[r], scores[r][0]);
    Store(weights[r] + 16, scores[r][1]);
  }

  float* accumulator = task.accumulator + row * task.head_dim;
  int64_t d = 0;
  for (; d + 64 <= task.head_dim; d += 64) {
    AddValues<kType, kRows, 4>(values, task.head_dim, d, most_visible, weights, accumulator);
  }
  for (; d < task.head_dim; d += 16) {
    AddValues<kType, kRows, 1>(values, task.head_dim, d, most_visible, weights, accumulator);
  }
}

template <KvType kType>
static void AttentionRangeAs(const AttentionTask& task) {
  int64_t first = task.num_rows > 0 ? task.first_visible[0] : 0;
  int64_t end = 0;
  for (int64_t r = 0; r < task.num_rows; ++r) {
    task.maximum[r] = -__builtin_inff();
    Store(task.sum + r * 16, Zero());
    first = task.first_visible[r] < first ? task.first_visible[r] : first;
    end = task.visible[r] > end ? task.visible[r] : end;
  }
  for (int64_t i = 0; i < task.num_rows * task.head_dim; i += 16) Store(task.accumulator + i, Zero());
  if (end > task.range_begin + kAttentionRangeTokens) end = task.range_begin + kAttentionRangeTokens;
  first = first / kKvBlockTokens * kKvBlockTokens;  // whole blocks before every window are not read
  for (int64_t begin = first > task.range_begin ? first : task.range_begin; begin < end; begin += kKvBlockTokens) {
    const std::byte* keys = task.blocks[(begin - task.range_begin) / kKvBlockTokens];
    int64_t row = 0;
    for (; row + kAttentionRowTile <= task.num_rows; row += kAttentionRowTile)
      AttendBlock<kType, kAttentionRowTile>(task, keys, begin, row);
    if (row < task.num_rows) {
      WithCount<kAttentionRowTile>(task.num_rows - row,
                                   [&](auto count) { AttendBlock<kType, decltype(count)::value>(task, keys, begin, row); });
    }
  }
}

static void AttentionRange(const AttentionTask& task) {
  switch (task.kv_type) {
    case KvType::kBf16:
      return AttentionRangeAs<KvType::kBf16>(task);
    case KvType::kF32:
      return AttentionRangeAs<KvType::kF32>(task);
    case KvType::kInt8:
      return AttentionRangeAs<KvType::kInt8>(task);
  }
}

static void MergeAttention(float* m, float* l, float* acc, float m2, const float* l2, const float* acc2, int64_t head_dim) {
  if (!(m2 > -__builtin_inff())) return;
  const float maximum = *m > m2 ? *m : m2;
  const F32x16 keep = Exp(Set1(*m - maximum));
  const F32x16 add = Exp(Set1(m2 - maximum));
  Store(l, Fma(Load(l2), add, Mul(Load(l), keep)));
  for (int64_t d = 0; d < head_dim; d += 16) Store(acc + d, Fma(Load(acc2 + d), add, Mul(Load(acc + d), keep)));
  *m = maximum;
}

static void FinishAttention(const float* acc, const float* l, int64_t n, float* out) {
  const F32x16 inverse = Set1(1.0f / ReduceSum(Load(l)));
  for (int64_t i = 0; i < n; i += 16) {
    const int count = static_cast<int>(n - i < 16 ? n - i : 16);
    StoreFirst(out + i, Mul(LoadFirst(acc + i, count), inverse), count);
  }
}
