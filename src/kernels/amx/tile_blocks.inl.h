// In which order panels meet tiles of tokens on matrix tiles. Included once per path, after gemm.inl.h.
//
// Up to kSumTiles tiles of tokens and kSumPanels panels are a block, whose sums stay in memory, in the second-level cache, until
// all columns are through. It goes kChunkColumns columns at a time: what a panel or two have of these is expanded into the
// first-level cache, where all tiles of the block meet it, and what the tiles have of these comes from the second-level cache
// for every panel of the block. Without chunks activations of several thousand columns would come from memory for each panel.

inline constexpr int64_t kChunkGroups = kChunkColumns / kGroupColumns;
inline constexpr int64_t kSumPanels = 8;
inline constexpr int64_t kSumTiles = kMatrixTileSums / kSumPanels;
static_assert(kSumTiles % 2 == 0 && kSumPanels % 2 == 0 && 2 * kChunkGroups * 1024 <= kMatrixTileChunkBytes);
inline constexpr int64_t kSumValues = kMaxTileTokens * kPanelRows;

// Tiles [begin, end) of tokens, and their sums with the panels of a block.
struct TileBlock {
  // Where tiles begin is asked for all the time, and takes Tiling two divisions.
  TileBlock(const GemmTask& of, const Tiling& tiling, int64_t first)
      : task(of),
        begin(first),
        end(first + kSumTiles < tiling.num_tiles() ? first + kSumTiles : tiling.num_tiles()),
        num_rows(tiling.Begin(1)),
        sums(of.scratch) {
    for (int64_t t = begin; t <= end; ++t) begins[t - begin] = tiling.Begin(t);
  }

  const GemmTask& task;
  int64_t begin, end;
  int64_t num_rows;               // that matrix tiles are high, which is how wide the first tile is
  float* sums;                    // [tile][kSumPanels][16 tokens][16 rows]
  int64_t begins[kSumTiles + 1];  // first tokens

  float* SumsOf(int64_t tile, int64_t panel) const { return sums + ((tile - begin) * kSumPanels + panel) * kSumValues; }
  int64_t Begin(int64_t tile) const { return begins[tile - begin]; }
  int64_t Width(int64_t tile) const { return Begin(tile + 1) - Begin(tile); }
  // Whether sums go straight to where the task wants them once they are whole: a matrix tile writes all of its rows, and nothing
  // but them.
  bool GoesOut(int64_t tile, int64_t panel) const {
    return task.epilogue == Epilogue::kStore && !HasRowScale(task.weights.format) && (panel + 1) * kPanelRows <= task.num_rows &&
           Width(tile) == num_rows;
  }
  float* Out(int64_t tile, int64_t panel) const { return task.out + Begin(tile) * task.out_stride + panel * kPanelRows; }
};

// A part of one or two panels: groups [group, group + count) of 32 columns. `sums` counts panels from the block's first.
struct PanelChunk {
  int64_t panel, sums;
  int num_panels;
  int64_t group, count;
  bool is_last;  // of its panels
};

// Scratch memory behind the sums, for a chunk as tiles want it.
static inline std::byte* ChunkScratch(const GemmTask& task) {
  return reinterpret_cast<std::byte*>(task.scratch + kMatrixTileSums * kSumValues);
}

// While a chunk computes, the one that follows comes from memory into the second-level cache, a part with each call.
class NextChunk {
 public:
  NextChunk() = default;
  // `bytes` of each panel from `first` on.
  NextChunk(const std::byte* first, int64_t panel_bytes, int num_panels, int64_t bytes, int64_t num_calls)
      : at_{first, first + panel_bytes}, num_panels_(num_panels), part_(bytes / num_calls / 64 * 64 + 64) {}
  void Ask() {
    for (int p = 0; p < num_panels_; ++p) {
      for (int64_t i = 0; i < part_; i += 64) __builtin_prefetch(at_[p] + i, 0, 2);
      at_[p] += part_;
    }
  }

 private:
  const std::byte* at_[2] = {};
  int num_panels_ = 0;
  int64_t part_ = 0;
};

// Where the bytes of group g begin in a panel.
static inline int64_t GroupAt(PackedFormat format, int64_t g) {
  return IsQuantized(format) ? PartsOf(format).GroupAt(g) : g * kGroupColumns * kPanelRows * 2;
}

// All panels times all tokens. add(block, chunk, next) adds the products of a chunk to the sums of the block's tiles, or, where
// chunk.group is 0, sets these to them; with the last chunk it writes out what GoesOut. `panels_at_once`: 1 or 2.
template <typename Add>
static void ForEachBlock(const GemmTask& task, const Tiling& tiling, int panels_at_once, const Add& add) {
  const PackedFormat format = task.weights.format;
  const int64_t groups = (task.weights.columns + kGroupColumns - 1) / kGroupColumns;
  const int64_t num_tiles = tiling.num_tiles();
  // One tile alone is bound by reading panels, which are read best from one end to the other.
  const int64_t num_chunks = num_tiles == 1 ? 1 : (groups + kChunkGroups - 1) / kChunkGroups;
  const int64_t chunk_groups = ((groups + num_chunks - 1) / num_chunks + 1) / 2 * 2;
  const int64_t block_panels = num_tiles == 1 ? panels_at_once : kSumPanels;
  for (int64_t tile = 0; tile < num_tiles; tile += kSumTiles) {
    const TileBlock block(task, tiling, tile);
    for (int64_t first = task.panel_begin; first < task.panel_end; first += block_panels) {
      const int64_t end = first + block_panels < task.panel_end ? first + block_panels : task.panel_end;
      for (int64_t g = 0; g < groups; g += chunk_groups) {
        const int64_t count = groups - g < chunk_groups ? groups - g : chunk_groups;
        const int64_t after = g + count + chunk_groups < groups ? g + count + chunk_groups : groups;
        // Of this chunk, the one behind it, and what follows.
        const int64_t places[] = {GroupAt(format, g), GroupAt(format, g + count), GroupAt(format, after)};
        for (int64_t panel = first; panel < end; panel += panels_at_once) {
          const int num_panels = panel + 1 < end ? panels_at_once : 1;
          // The chunk that follows: of the next panels, or the first of the block's next columns.
          const bool is_last = panel + panels_at_once >= end;
          const int64_t next_panel = is_last ? first : panel + panels_at_once;
          NextChunk next;
          if (num_tiles > 1 && places[is_last] < places[is_last + 1]) {
            next =
                NextChunk(task.weights.data + next_panel * task.weights.panel_bytes + places[is_last], task.weights.panel_bytes,
                          num_panels, places[is_last + 1] - places[is_last], block.end - block.begin);
          }
          add(block, PanelChunk{panel, panel - first, num_panels, g, count, g + count == groups}, next);
        }
      }
      for (int64_t panel = first; panel < end; ++panel) {
        const bool is_scaled = HasRowScale(format);
        const auto* scales = reinterpret_cast<const float*>(task.weights.data + panel * task.weights.panel_bytes);
        const F32x16 scale = is_scaled ? Load(scales) : Zero();
        for (int64_t t = block.begin; t < block.end; ++t) {
          if (block.GoesOut(t, panel)) continue;
          StoreTokens(block.SumsOf(t, panel - first), block.Width(t), is_scaled ? &scale : nullptr, task, panel, block.Begin(t));
        }
      }
    }
  }
}
