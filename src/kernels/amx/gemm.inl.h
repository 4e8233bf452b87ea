// Quantised products on matrix tiles (Intel AMX): 12 tokens by 16 rows by 32 columns in one instruction. A panel's lines of a
// group are a tile as they stand: 8 rows of 64 bytes, [column quad][16 weight rows][4]. Activations are the other operand, token
// by token (kTokenMajor). `Tiles` is the processor's own, or an emulation for tests. Included once per path, after gemm.inl.h;
// the sums are those of AddGroups, bit by bit.

// From this many tokens on a tile is worth its loading.
inline constexpr int64_t kMinMatrixTileTokens = 5;

// Groups that are multiplied before their sums are read back, so that the tiles do not wait for each other.
inline constexpr int64_t kTileGroups = 4;

template <PackedFormat kFormat, typename Tiles>
[[gnu::noinline]] static void AddGroupsByTiles(const ExpandedSource<kFormat> source, int64_t g, int64_t end,
                                               const QuantizedActivations& x, const Piece piece, float* totals) {
  alignas(64) int32_t dots[kTileGroups][kMaxTileTokens][kPanelRows];
  const int8_t* values = x.values + piece.b * x.columns;
  const int64_t width = piece.width;
  const int64_t at = piece.b * (x.columns / kGroupColumns);
  Tiles tiles(static_cast<int>(width));
  for (; g < end; g += kTileGroups) {
    const int64_t count = end - g < kTileGroups ? end - g : kTileGroups;
    tiles.Multiply(values + g * kGroupColumns, x.columns, source.lines + g * 512, count, dots);
    for (int64_t i = 0; i < count; ++i) {
      const F32x16 scale = HasRowScale(kFormat) ? Zero() : source.Scale({}, g + i);
      const int64_t group_at = at + (g + i) * width;
      for (int64_t t = 0; t < width; ++t) {
        I32x16 sum = LoadI32(dots[i][t]);
        if constexpr (ZeroPointOf(kFormat) != 0) sum = AddI32(sum, Set1I32(StartsOf<kFormat>(x, group_at)[t]));
        F32x16 total = Load(totals + t * kPanelRows);
        if constexpr (HasRowScale(kFormat)) {
          total = Fma(ToF32(sum), Set1(x.scales[group_at + t]), total);
        } else {
          total = Fma(ToF32(sum), Mul(scale, Set1(x.scales[group_at + t])), total);
        }
        if constexpr (HasMinimum(kFormat)) total = Fma(source.Minimum({}, g + i), Set1(x.scaled_sums[group_at + t]), total);
        Store(totals + t * kPanelRows, total);
      }
    }
  }
}

template <PackedFormat kFormat, typename Tiles>
static void GemmQuantizedByTilesAs(const GemmTask& task, const QuantizedActivations& x) {
  const int64_t groups = task.weights.columns / kGroupColumns;
  for (int64_t panel = task.panel_begin; panel < task.panel_end; ++panel) {
    const std::byte* data = task.weights.data + panel * task.weights.panel_bytes;
    const ExpandedSource<kFormat> source = Expand(PackedSource<kFormat>{data}, groups, task.scratch);
    const F32x16 row_scale = HasRowScale(kFormat) ? Load(reinterpret_cast<const float*>(data)) : Zero();
    PanelTimesTokens(task, panel, x.tiling, HasRowScale(kFormat) ? &row_scale : nullptr,
                     [&](int64_t begin, int64_t end, const Piece& piece, auto count, float* totals) {
                       if (piece.first % kMaxTileTokens != 0) return;  // the first piece of a tile has done all of it
                       static_cast<void>(count);
                       AddGroupsByTiles<kFormat, Tiles>(source, begin / kGroupColumns, end / kGroupColumns, x, piece, totals);
                     });
  }
}

// Formats with two scales a group, and few tokens, go through vectors.
template <typename Tiles>
static void GemmQuantizedByTiles(const GemmTask& task, const QuantizedActivations& x) {
  WithFormat(task.weights.format, [&](auto format) {
    constexpr PackedFormat kFormat = decltype(format)::value;
    if constexpr (IsQuantized(kFormat) && !HasTwoScales(kFormat)) {
      if (x.tiling.num_tokens >= kMinMatrixTileTokens) return GemmQuantizedByTilesAs<kFormat, Tiles>(task, x);
    }
    GemmQuantized(task, x);
  });
}
