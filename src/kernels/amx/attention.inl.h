// Attention over keys and values in BF16 on matrix tiles: rows of queries, and of weights, are activations; a block's lines of
// keys and of values are tiles of weights as they stand. Included once per path, after attention.inl.h; keys and values in other
// types go the way of all paths.

inline constexpr int64_t kTileRows = 16;
// Heads beyond it go the way of all paths.
inline constexpr int64_t kMaxTileHeadDim = 256;

// scores[row][0, 128) of a chunk's first num_blocks blocks: queries [rows][head_dim] times keys [head_dim / 2][32 tokens][2].
template <typename Tiles>
static inline void ScoresByTiles(Tiles& tiles, const std::byte* const* blocks, int64_t num_blocks, const uint16_t* queries,
                                 int64_t head_dim, float (*scores)[kSoftmaxTokens]) {
  constexpr int64_t kLineBytes = kKvBlockTokens * 4;
  const int64_t whole = head_dim / 32 * 32;
  for (int64_t i = 0; i < num_blocks; ++i) {
    tiles.template Zero<0>();
    tiles.template Zero<1>();
    for (int64_t d = 0; d < whole; d += 32) {
      const std::byte* keys = blocks[i] + d / 2 * kLineBytes;
      tiles.template LoadActivations<0>(queries + d, head_dim * 2);
      tiles.template LoadWeights<0>(keys, kLineBytes);
      tiles.template AddBf16<0, 0, 0>();
      tiles.template LoadWeights<1>(keys + 64, kLineBytes);
      tiles.template AddBf16<1, 0, 1>();
    }
    if (whole < head_dim) {
      // Sixteen dims are left: with as many zeros behind them.
      alignas(64) uint16_t rest_queries[kTileRows][32] = {};
      alignas(64) std::byte rest_keys[16][kLineBytes] = {};
      for (int64_t r = 0; r < kTileRows; ++r) __builtin_memcpy(rest_queries[r], queries + r * head_dim + whole, 32);
      __builtin_memcpy(rest_keys, blocks[i] + whole / 2 * kLineBytes, 8 * kLineBytes);
      tiles.template LoadActivations<0>(rest_queries, 64);
      tiles.template LoadWeights<0>(rest_keys, kLineBytes);
      tiles.template AddBf16<0, 0, 0>();
      tiles.template LoadWeights<1>(&rest_keys[0][64], kLineBytes);
      tiles.template AddBf16<1, 0, 1>();
    }
    tiles.template StoreSums<0>(&scores[0][i * kKvBlockTokens], kSoftmaxTokens * 4);
    tiles.template StoreSums<1>(&scores[0][i * kKvBlockTokens + 16], kSoftmaxTokens * 4);
  }
}

// accumulator[row][0, head_dim) += weights[row] . values of the first num_blocks blocks; values are [16 pairs of
// tokens][head_dim][2].
template <typename Tiles>
static inline void AddValuesByTiles(Tiles& tiles, const std::byte* const* values, int64_t num_blocks,
                                    const uint16_t (*weights)[kSoftmaxTokens], int64_t head_dim, float* accumulator) {
  const int64_t stride = head_dim * 4;
  int64_t d = 0;
  for (; d + 32 <= head_dim; d += 32) {
    tiles.template LoadSums<0>(accumulator + d, stride);
    tiles.template LoadSums<1>(accumulator + d + 16, stride);
    for (int64_t i = 0; i < num_blocks; ++i) {
      tiles.template LoadActivations<0>(&weights[0][i * kKvBlockTokens], kSoftmaxTokens * 2);
      tiles.template LoadWeights<0>(values[i] + d * 4, stride);
      tiles.template AddBf16<0, 0, 0>();
      tiles.template LoadWeights<1>(values[i] + d * 4 + 64, stride);
      tiles.template AddBf16<1, 0, 1>();
    }
    tiles.template StoreSums<0>(accumulator + d, stride);
    tiles.template StoreSums<1>(accumulator + d + 16, stride);
  }
  if (d < head_dim) {
    tiles.template LoadSums<0>(accumulator + d, stride);
    for (int64_t i = 0; i < num_blocks; ++i) {
      tiles.template LoadActivations<0>(&weights[0][i * kKvBlockTokens], kSoftmaxTokens * 2);
      tiles.template LoadWeights<0>(values[i] + d * 4, stride);
      tiles.template AddBf16<0, 0, 0>();
    }
    tiles.template StoreSums<0>(accumulator + d, stride);
  }
}

// What a thread computes with beside the task's memory.
struct TileAttention {
  alignas(64) float scores[kTileRows][kSoftmaxTokens];
  alignas(64) uint16_t weights[kTileRows][kSoftmaxTokens] = {};
};

// Rows [row, row + num_rows), at most 16, over the blocks of the chunk at `begin`. Tiles are 16 rows high: rows behind num_rows
// are computed too, from what lies there, and lead nowhere.
template <typename Tiles>
static void AttendChunkByTiles(Tiles& tiles, const AttentionTask& task, const std::byte* const* blocks, int64_t begin,
                               int64_t row, int64_t num_rows, TileAttention& own) {
  const int64_t most_visible = MostVisible(task, begin, row, num_rows);
  if (most_visible == 0) return;
  const int64_t num_blocks = (most_visible + kKvBlockTokens - 1) / kKvBlockTokens;
  const int64_t head_dim = task.head_dim;
  ScoresByTiles(tiles, blocks, num_blocks, task.bf16_queries + row * head_dim, head_dim, own.scores);
  for (int64_t r = 0; r < num_rows; ++r) {
    if (task.score_cap > 0) {
      for (int64_t at = 0; at < num_blocks * kKvBlockTokens; at += 16) {
        Store(own.scores[r] + at, SoftCapped(Load(own.scores[r] + at), task.score_cap));
      }
    }
    MaskAndSoftmax<KvType::kBf16>(task, blocks, begin, row + r, num_blocks, own.scores[r], own.weights[r]);
  }

  const std::byte* values[kSoftmaxBlocks];
  for (int64_t i = 0; i < num_blocks; ++i) values[i] = blocks[i] + task.half_head_bytes;
  // Behind the last token anything may stand: zeros are to stand there.
  alignas(64) std::byte last[kKvBlockTokens * kMaxTileHeadDim * 2];
  if (most_visible % kKvBlockTokens != 0) {
    const int64_t num_bytes = (most_visible % kKvBlockTokens + 1) / 2 * head_dim * 4;
    __builtin_memcpy(last, values[num_blocks - 1], static_cast<size_t>(num_bytes));
    __builtin_memset(last + num_bytes, 0, static_cast<size_t>(kKvBlockTokens * head_dim * 2 - num_bytes));
    values[num_blocks - 1] = last;
  }
  float* accumulator = task.accumulator + row * head_dim;
  if (num_rows == kTileRows) return AddValuesByTiles(tiles, values, num_blocks, own.weights, head_dim, accumulator);
  alignas(64) float sums[kTileRows * kMaxTileHeadDim] = {};
  const auto num_bytes = static_cast<size_t>(num_rows * head_dim * 4);
  __builtin_memcpy(sums, accumulator, num_bytes);
  AddValuesByTiles(tiles, values, num_blocks, own.weights, head_dim, sums);
  __builtin_memcpy(accumulator, sums, num_bytes);
}

template <typename Tiles>
static void AttentionRangeByTiles(const AttentionTask& task) {
  if (task.kv_type != KvType::kBf16 || task.head_dim > kMaxTileHeadDim) return AttentionRange(task);
  const SeenTokens seen = BeginRange(task);
  for (int64_t i = 0; i < task.num_rows * task.head_dim; i += 16) {
    StoreU16(task.bf16_queries + i, RoundToBf16(Load(task.queries + i)));
  }
  Tiles tiles(kTileRows, 16);
  TileAttention own;
  for (int64_t begin = seen.begin; begin < seen.end; begin += kSoftmaxTokens) {
    const std::byte* const* blocks = task.blocks + (begin - task.range_begin) / kKvBlockTokens;
    for (int64_t row = 0; row < task.num_rows; row += kTileRows) {
      const int64_t num_rows = task.num_rows - row < kTileRows ? task.num_rows - row : kTileRows;
      AttendChunkByTiles(tiles, task, blocks, begin, row, num_rows, own);
    }
  }
}
