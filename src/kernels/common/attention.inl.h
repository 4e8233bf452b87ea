// Attention over paged keys and values. Included once per instruction set, inside its namespace.
//
// A block's keys are lines of 16 tokens, its values lines of 16 dims (models/kv_pool.h), so neither product needs a
// horizontal sum. Rows are query heads of one KV head at some tokens; kAttentionRowTile of them share each line read. Keys and
// values in BF16 meet queries and weights rounded to BF16, others meet them in float32.

#ifndef AUTOGLM_HAS_STORE_NORMAL_BF16
static inline void StoreNormalBf16(uint16_t* p, F32x16 a) { StoreU16(p, RoundToBf16(a)); }
#endif

// e^x of x <= 0 within 3e-6, a thousandth of what BF16 rounds; exactly 1 at 0 and exactly 0 below -87.3, so never subnormal.
static inline F32x16 ExpForBf16(F32x16 x) {
  const F32x16 lowest = Set1(-87.3f);
  const F32x16 clamped = Max(x, lowest);
  const I32x16 n = RoundToI32(Mul(clamped, Set1(1.44269504f)));
  const F32x16 r = Fma(ToF32(n), Set1(-0.693147181f), clamped);
  return FinishExp(Fma(Set1(1.0f / 120), r, Set1(1.0f / 24)), r, n, x, lowest);
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

// Calls store(d, BF16 of x[d]) for d in [0, padded), zero from n on.
template <typename StoreAt>
static inline void ForEachBf16(const float* x, int64_t n, int64_t padded, const StoreAt& store) {
  for (int64_t d = 0; d < padded; d += 16) {
    alignas(32) uint16_t lanes[16];
    StoreU16(lanes, RoundToBf16(n - d >= 16 ? Load(x + d) : LoadFirst(x + d, n > d ? static_cast<int>(n - d) : 0)));
    for (int64_t i = 0; i < 16; ++i) store(d + i, lanes[i]);
  }
}

static void WriteKeys(const float* key, int64_t head_dim, int64_t padded_head_dim, KvType type, int64_t offset, std::byte* keys) {
  if (type == KvType::kBf16) {
    auto* halves = reinterpret_cast<uint16_t*>(keys);
    ForEachBf16(key, head_dim, padded_head_dim,
                [&](int64_t d, uint16_t k) { halves[(d / 2 * kKvBlockTokens + offset) * 2 + d % 2] = k; });
    return;
  }
  const float inverse_scale = type == KvType::kInt8 ? StoreInt8Scale(key, head_dim, offset, keys) : 0.0f;
  for (int64_t d = 0; d < padded_head_dim; ++d) {
    const float k = d < head_dim ? key[d] : 0.0f;
    if (type == KvType::kF32) {
      reinterpret_cast<float*>(keys)[d * kKvBlockTokens + offset] = k;
    } else {
      reinterpret_cast<int8_t*>(keys + kKvScaleBytes)[d * kKvBlockTokens + offset] = ToInt8(k, inverse_scale);
    }
  }
}

static void WriteValues(const float* value, int64_t head_dim, int64_t padded_head_dim, KvType type, int64_t offset,
                        std::byte* values) {
  if (type == KvType::kBf16) {
    auto* halves = reinterpret_cast<uint16_t*>(values) + offset / 2 * padded_head_dim * 2 + offset % 2;
    ForEachBf16(value, head_dim, padded_head_dim, [&](int64_t d, uint16_t v) { halves[d * 2] = v; });
    return;
  }
  const float inverse_scale = type == KvType::kInt8 ? StoreInt8Scale(value, head_dim, offset, values) : 0.0f;
  for (int64_t d = 0; d < padded_head_dim; ++d) {
    const float v = d < head_dim ? value[d] : 0.0f;
    if (type == KvType::kF32) {
      reinterpret_cast<float*>(values)[offset * padded_head_dim + d] = v;
    } else {
      reinterpret_cast<int8_t*>(values + kKvScaleBytes)[offset * padded_head_dim + d] = ToInt8(v, inverse_scale);
    }
  }
}

// Tokens whose scores are known before the softmax goes on: its maximum and its rescaling cost once for all of them.
inline constexpr int64_t kSoftmaxTokens = 128;
inline constexpr int64_t kSoftmaxBlocks = kSoftmaxTokens / kKvBlockTokens;
static_assert(kAttentionRangeTokens % kSoftmaxTokens == 0);

// What a softmax leaves for values in BF16; for others, weights stand where the scores were.
template <int kRows>
struct Bf16Weights {
  alignas(64) uint16_t bf16[kRows][kSoftmaxTokens];
};

// scores[row][0, 32) = queries . keys of a block; of keys in 8 bits without their scales.
template <KvType kType, int kRows>
static inline void Scores(const std::byte* keys, const AttentionTask& task, int64_t row, F32x16 (&scores)[kRows][2]) {
  const int64_t head_dim = task.head_dim;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) scores[r][0] = scores[r][1] = Zero();
  if constexpr (kType == KvType::kBf16) {
    const uint16_t* queries = task.bf16_queries + row * head_dim;
    for (int64_t pair = 0; pair < head_dim / 2; ++pair) {
      const I32x16 lower = LoadI32(keys + pair * 128);
      const I32x16 upper = LoadI32(keys + pair * 128 + 64);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        scores[r][0] = DotBf16(scores[r][0], lower, queries + (pair * kRows + r) * 2);
        scores[r][1] = DotBf16(scores[r][1], upper, queries + (pair * kRows + r) * 2);
      }
    }
  } else {
    const float* queries = task.queries + row * head_dim;
    for (int64_t d = 0; d < head_dim; ++d) {
      F32x16 lines[2];
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        if constexpr (kType == KvType::kInt8) {
          lines[half] = ToF32(LoadI8(keys + kKvScaleBytes + d * kKvBlockTokens + half * 16));
        } else {
          lines[half] = Load(reinterpret_cast<const float*>(keys) + d * kKvBlockTokens + half * 16);
        }
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const F32x16 q = Set1(queries[r * head_dim + d]);
        scores[r][0] = Fma(lines[0], q, scores[r][0]);
        scores[r][1] = Fma(lines[1], q, scores[r][1]);
      }
    }
  }
}

// accumulator[row][d .. d + 16 * kLines) += weights[row] . values, over the first num_tokens (even) of the chunk's blocks. The
// weights of values in 8 bits have their scales in them.
template <KvType kType, int kRows, int kLines, typename Weights>
static inline void AddValues(const std::byte* const* blocks, const AttentionTask& task, int64_t d, int64_t num_tokens,
                             const Weights& weights, int first_row, float* accumulator) {
  const int64_t head_dim = task.head_dim;
  F32x16 acc[kRows][kLines];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int line = 0; line < kLines; ++line) acc[r][line] = Load(accumulator + r * head_dim + d + line * 16);
  }
  for (int64_t begin = 0; begin < num_tokens; begin += kKvBlockTokens) {
    const std::byte* values = blocks[begin / kKvBlockTokens] + task.half_head_bytes;
    const int64_t count = num_tokens - begin < kKvBlockTokens ? num_tokens - begin : kKvBlockTokens;
    for (int64_t token = 0; token < count; token += kType == KvType::kBf16 ? 2 : 1) {
      if constexpr (kType == KvType::kBf16) {
        I32x16 lines[kLines];
#pragma GCC unroll 4
        for (int line = 0; line < kLines; ++line) lines[line] = LoadI32(values + (token / 2 * head_dim + d + line * 16) * 4);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
          for (int line = 0; line < kLines; ++line) {
            acc[r][line] = DotBf16(acc[r][line], lines[line], weights.bf16[first_row + r] + begin + token);
          }
        }
      } else {
        F32x16 lines[kLines];
#pragma GCC unroll 4
        for (int line = 0; line < kLines; ++line) {
          if constexpr (kType == KvType::kInt8) {
            lines[line] = ToF32(LoadI8(values + kKvScaleBytes + token * head_dim + d + line * 16));
          } else {
            lines[line] = Load(reinterpret_cast<const float*>(values) + token * head_dim + d + line * 16);
          }
        }
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const F32x16 weight = Set1(weights.floats[first_row + r][begin + token]);
#pragma GCC unroll 4
          for (int line = 0; line < kLines; ++line) acc[r][line] = Fma(lines[line], weight, acc[r][line]);
        }
      }
    }
  }
#pragma GCC unroll 8
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

// Online softmax (Milakov, Gimelshein 2018) of one row over `num_lines` lines of 16 scores, which become weights there.
template <KvType kType>
static inline void Softmax(const AttentionTask& task, const std::byte* const* blocks, int64_t row, int64_t num_lines,
                           float* scores, uint16_t* bf16) {
  const float minus_infinity = -__builtin_inff();
  F32x16 most = Load(scores);
  for (int64_t line = 1; line < num_lines; ++line) most = Max(most, Load(scores + line * 16));
  const float old_maximum = task.maximum[row];
  const float chunk_maximum = ReduceMax(most);
  const float maximum = chunk_maximum > old_maximum ? chunk_maximum : old_maximum;
  const bool sees_nothing = !(maximum > minus_infinity);  // yet
  const F32x16 shift = Set1(sees_nothing ? 0.0f : maximum);
  float* sum = task.sum + row * 16;
  if (maximum > old_maximum) {
    const F32x16 shrink = Exp(Set1(old_maximum - maximum));
    float* acc = task.accumulator + row * task.head_dim;
    for (int64_t d = 0; d < task.head_dim; d += 16) Store(acc + d, Mul(Load(acc + d), shrink));
    Store(sum, Mul(Load(sum), shrink));
    task.maximum[row] = maximum;
  }
  F32x16 total = Load(sum);
  for (int64_t line = 0; line < num_lines; ++line) {
    const F32x16 score = Sub(Load(scores + line * 16), shift);
    F32x16 weight = Zero();
    if (!sees_nothing) weight = kType == KvType::kBf16 ? ExpForBf16(score) : Exp(score);
    total = Add(total, weight);
    if constexpr (kType == KvType::kBf16) {
      StoreNormalBf16(bf16 + line * 16, weight);
    } else {
      if constexpr (kType == KvType::kInt8) {
        const std::byte* values = blocks[line / 2] + task.half_head_bytes;
        weight = Mul(weight, Load(reinterpret_cast<const float*>(values) + line % 2 * 16));
      }
      Store(scores + line * 16, weight);
    }
  }
  Store(sum, total);
}

// How many tokens of the chunk at `begin` some of the rows [row, row + num_rows) see, counted from its first; 0: none.
static inline int64_t MostVisible(const AttentionTask& task, int64_t begin, int64_t row, int64_t num_rows) {
  int64_t most_visible = 0;
  int64_t least_first = kSoftmaxTokens;
  for (int64_t r = row; r < row + num_rows; ++r) {
    const int64_t visible = task.visible[r] - begin;
    const int64_t first = task.first_visible[r] - begin;
    most_visible = visible > most_visible ? visible : most_visible;
    least_first = first < least_first ? first : least_first;
  }
  if (most_visible <= 0 || least_first >= kSoftmaxTokens) return 0;
  return most_visible < kSoftmaxTokens ? most_visible : kSoftmaxTokens;
}

// Scores of a row over the first num_blocks blocks of the chunk at `begin` become weights.
template <KvType kType>
static inline void MaskAndSoftmax(const AttentionTask& task, const std::byte* const* blocks, int64_t begin, int64_t row,
                                  int64_t num_blocks, float* scores, uint16_t* bf16) {
  const int64_t visible = task.visible[row] - begin;
  const int64_t first = task.first_visible[row] - begin;
  if (visible < num_blocks * kKvBlockTokens || first > 0) {
    for (int64_t at = 0; at < num_blocks * kKvBlockTokens; at += 16) {
      if (visible >= at + 16 && first <= at) continue;
      Store(scores + at, KeepVisible(Load(scores + at), first - at, visible - at));
    }
  }
  Softmax<kType>(task, blocks, row, num_blocks * 2, scores, bf16);
}

// Rows [row, row + kRows) over the blocks of one chunk, whose first token is `begin`.
template <KvType kType, int kRows>
static void AttendChunk(const AttentionTask& task, const std::byte* const* blocks, int64_t begin, int64_t row) {
  const int64_t most_visible = MostVisible(task, begin, row, kRows);
  if (most_visible == 0) return;

  alignas(64) float scores[kRows][kSoftmaxTokens];
  const int64_t num_blocks = (most_visible + kKvBlockTokens - 1) / kKvBlockTokens;
  for (int64_t i = 0; i < num_blocks; ++i) {
    F32x16 block_scores[kRows][2];
    Scores<kType, kRows>(blocks[i], task, row, block_scores);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        F32x16 score = block_scores[r][half];
        if constexpr (kType == KvType::kInt8) {
          score = Mul(score, Load(reinterpret_cast<const float*>(blocks[i]) + half * 16));
        }
        if (task.score_cap > 0) score = SoftCapped(score, task.score_cap);
        Store(scores[r] + i * kKvBlockTokens + half * 16, score);
      }
    }
  }
  Bf16Weights<kRows> weights;
  for (int r = 0; r < kRows; ++r) {
    MaskAndSoftmax<kType>(task, blocks, begin, row + r, num_blocks, scores[r], weights.bf16[r]);
  }

  const int64_t num_tokens = (most_visible + 1) / 2 * 2;
  float* accumulator = task.accumulator + row * task.head_dim;
  constexpr int kValueRows = kRows < kAttentionValueRows ? kRows : kAttentionValueRows;
  const auto add_values = [&](const auto& row_weights) {
    for (int first = 0; first + kValueRows <= kRows; first += kValueRows) {
      float* own = accumulator + first * task.head_dim;
      int64_t d = 0;
      for (; d + kAttentionLines * 16 <= task.head_dim; d += kAttentionLines * 16)
        AddValues<kType, kValueRows, kAttentionLines>(blocks, task, d, num_tokens, row_weights, first, own);
      for (; d < task.head_dim; d += 16) AddValues<kType, kValueRows, 1>(blocks, task, d, num_tokens, row_weights, first, own);
    }
    constexpr int kRest = kRows % kValueRows;
    if constexpr (kRest > 0) {
      float* own = accumulator + (kRows - kRest) * task.head_dim;
      int64_t d = 0;
      for (; d + kAttentionLines * 16 <= task.head_dim; d += kAttentionLines * 16)
        AddValues<kType, kRest, kAttentionLines>(blocks, task, d, num_tokens, row_weights, kRows - kRest, own);
      for (; d < task.head_dim; d += 16) AddValues<kType, kRest, 1>(blocks, task, d, num_tokens, row_weights, kRows - kRest, own);
    }
  };
  if constexpr (kType == KvType::kBf16) {
    add_values(weights);
  } else {
    struct {
      const float (*floats)[kSoftmaxTokens];
    } float_weights{scores};
    add_values(float_weights);
  }
}

// Queries as BF16, those of a tile of rows side by side: [head_dim / 2][rows of the tile][2].
static inline void RoundQueries(const AttentionTask& task) {
  for (int64_t row = 0; row < task.num_rows; ++row) {
    const int64_t tile = row / kAttentionRowTile * kAttentionRowTile;
    const int64_t width = task.num_rows - tile < kAttentionRowTile ? task.num_rows - tile : kAttentionRowTile;
    uint16_t* out = task.bf16_queries + tile * task.head_dim + (row - tile) * 2;
    for (int64_t d = 0; d < task.head_dim; d += 16) {
      alignas(32) uint16_t columns[16];
      StoreU16(columns, RoundToBf16(Load(task.queries + row * task.head_dim + d)));
      StorePairs(columns, out + d * width, width);
    }
  }
}

// The tokens of a range that some row sees: from the beginning of a chunk on.
struct SeenTokens {
  int64_t begin, end;
};

// Lets every row begin with nothing.
static inline SeenTokens BeginRange(const AttentionTask& task) {
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
  first = first / kSoftmaxTokens * kSoftmaxTokens;  // whole chunks before every window are not read
  return {first > task.range_begin ? first : task.range_begin, end};
}

template <KvType kType>
static void AttentionRangeAs(const AttentionTask& task) {
  const SeenTokens seen = BeginRange(task);
  if constexpr (kType == KvType::kBf16) RoundQueries(task);
  for (int64_t begin = seen.begin; begin < seen.end; begin += kSoftmaxTokens) {
    const std::byte* const* blocks = task.blocks + (begin - task.range_begin) / kKvBlockTokens;
    int64_t row = 0;
    for (; row + kAttentionRowTile <= task.num_rows; row += kAttentionRowTile)
      AttendChunk<kType, kAttentionRowTile>(task, blocks, begin, row);
    if (row < task.num_rows) {
      WithCount<kAttentionRowTile>(task.num_rows - row,
                                   [&](auto count) { AttendChunk<kType, decltype(count)::value>(task, blocks, begin, row); });
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
