// Products on matrix tiles (Intel AMX): 16 tokens by 16 rows in one instruction, of 32 columns of bytes or of BF16. A panel's
// lines are a tile of weights as they stand, [lines][16 rows][4 bytes]. Activations are the other operand, token by token
// (kTokenMajor). `Tiles` is the processor's own, or an emulation for tests. Included once per path, after gemm.inl.h, with
// AUTOGLM_INLINE defined: what loops over registers are to be inlined by.
//
// Estimate for the quantised product of 16 tokens, 16 rows and 32 columns: the tile takes 16 cycles, storing its sums 16, which
// should overlap, and scaling them three operations on two ports for each token, 24; by vectors the same takes 16 * 10 / 2 = 80.
// Measured, the three hardly overlap: 54 cycles (docs/KERNELS.md).

// From this many tokens on writing weights down as signed bytes, as tiles want them, is worth it. Tiles are 11 to 16 wide then.
inline constexpr int64_t kMinMatrixTileTokens = 33;

// ---- Quantised weights. The sums are those of AddGroups, bit by bit.

// A line of bytes u as u minus the zero point, signed.
template <PackedFormat kFormat>
[[gnu::always_inline]] static inline I32x16 SignedLine(I32x16 line) {
  constexpr int kZeroPoint = ZeroPointOf(kFormat);
  if constexpr (kZeroPoint == 0 && MaxWeightOf(kFormat) < 128) return line;
  constexpr uint32_t kBytes = 0x01010101u;
  return Xor(AddI32(line, Set1I32(static_cast<int32_t>((0x80u - kZeroPoint) * kBytes))),
             Set1I32(static_cast<int32_t>(0x80u * kBytes)));
}

// The panel in scratch memory, as signed bytes, with its scales as the products need them.
template <PackedFormat kFormat>
static ExpandedSource<kFormat> ExpandSigned(const PackedSource<kFormat>& packed, int64_t groups, float* scratch) {
  const ExpandedSource<kFormat> expanded = ExpandedIn<kFormat>(scratch, groups);
  for (int64_t g = 0; g < groups; ++g) {
    packed.Prefetch(g);
    const auto block = packed.BlockOf(g);
    if constexpr (!HasRowScale(kFormat)) Store(expanded.scales + g * 16, packed.Scale(block, g));
    if constexpr (HasMinimum(kFormat)) Store(expanded.seconds + g * 16, packed.Minimum(block, g));
    ForEachIndex<0, 8>([&](auto i) {
      StoreI32(expanded.lines + g * 512 + i.value * 64, SignedLine<kFormat>(packed.template Line<i.value>(g)));
    });
  }
  return expanded;
}

// Some groups of a panel times one tile of tokens.
template <PackedFormat kFormat>
struct TileTask {
  ExpandedSource<kFormat> source;
  const QuantizedActivations& x;
  int64_t b, width;  // of the tile
  int64_t g, count;  // groups [g, g + count)

  const int8_t* Values(int64_t i) const { return x.values + b * x.columns + (g + i) * width * kGroupColumns; }
  int64_t At(int64_t i) const { return b * (x.columns / kGroupColumns) + (g + i) * width; }
};

// Groups that are multiplied while others are scaled, each in a tile of its own.
inline constexpr int kTileGroups = 4;
// Their dot products.
struct TileSums {
  alignas(64) int32_t dots[kTileGroups][kMaxTileTokens][kPanelRows];
};

// Adds the task's group i, whose dot products are in a slot of `work`, to the sums.
template <int kSlot, PackedFormat kFormat, int kTokens>
AUTOGLM_INLINE static inline void ScaleGroup(const TileTask<kFormat>& task, int64_t i, const TileSums& work,
                                             F32x16 (&sums)[kTokens]) {
  const int32_t(*dots)[kPanelRows] = work.dots[kSlot];
  const float* x_scales = task.x.scales + task.At(i);
  if constexpr (HasRowScale(kFormat)) {
    ForEachIndex<0, kTokens>([&](auto t) AUTOGLM_INLINE {
      sums[t.value] = Fma(ToF32(LoadI32(dots[t.value])), Set1(x_scales[t.value]), sums[t.value]);
    });
  } else {
    const F32x16 scale = task.source.Scale({}, task.g + i);
    ForEachIndex<0, kTokens>([&](auto t) AUTOGLM_INLINE {
      sums[t.value] = Fma(ToF32(LoadI32(dots[t.value])), Mul(scale, Set1(x_scales[t.value])), sums[t.value]);
    });
    if constexpr (HasMinimum(kFormat)) {
      const F32x16 minimum = task.source.Minimum({}, task.g + i);
      const float* scaled_sums = task.x.scaled_sums + task.At(i);
      ForEachIndex<0, kTokens>([&](auto t)
                                   AUTOGLM_INLINE { sums[t.value] = Fma(minimum, Set1(scaled_sums[t.value]), sums[t.value]); });
    }
  }
}

// Lets a tile multiply the task's group i.
template <int kSlot, PackedFormat kFormat, typename Tiles>
AUTOGLM_INLINE static inline void StartGroup(Tiles& tiles, const TileTask<kFormat>& task, int64_t i) {
  tiles.template Zero<kSlot>();
  tiles.template LoadActivations<kSlot % 2>(task.Values(i), kGroupColumns);
  tiles.template LoadWeights<kSlot % 2>(task.source.lines + (task.g + i) * 512, 64);
  tiles.template AddInt8<kSlot, kSlot % 2, kSlot % 2>();
}

// Adds the groups to the sums of the tile; kTokens is its width rounded up, the sums behind it are of no use to anyone. While the
// tiles multiply a block of groups, the one before it is scaled: what a tile has stored cannot be loaded for some time.
template <PackedFormat kFormat, int kTokens, typename Tiles>
[[gnu::noinline]] static void AddGroupsByTiles(Tiles& tiles, const TileTask<kFormat> task, float* totals) {
  constexpr int kGroups = kTileGroups;
  TileSums work[2];
  F32x16 sums[kTokens];
  ForEachIndex<0, kTokens>([&](auto t) AUTOGLM_INLINE { sums[t.value] = Load(totals + t.value * kPanelRows); });
  const int64_t whole = task.count / kGroups * kGroups;
  if (whole > 0) {
    ForEachIndex<0, kGroups>([&](auto slot) AUTOGLM_INLINE { StartGroup<slot.value>(tiles, task, slot.value); });
    int64_t i = kGroups;
    int now = 0;
    for (; i < whole; i += kGroups, now ^= 1) {
      ForEachIndex<0, kGroups>([&](auto slot) AUTOGLM_INLINE {
        tiles.template StoreSums<slot.value>(work[now].dots[slot.value], 64);
        StartGroup<slot.value>(tiles, task, i + slot.value);
        if (i > kGroups) ScaleGroup<slot.value>(task, i - 2 * kGroups + slot.value, work[now ^ 1], sums);
      });
    }
    ForEachIndex<0, kGroups>([&](auto slot) AUTOGLM_INLINE {
      tiles.template StoreSums<slot.value>(work[now].dots[slot.value], 64);
      if (i > kGroups) ScaleGroup<slot.value>(task, i - 2 * kGroups + slot.value, work[now ^ 1], sums);
    });
    ForEachIndex<0, kGroups>([&](auto slot)
                                 AUTOGLM_INLINE { ScaleGroup<slot.value>(task, i - kGroups + slot.value, work[now], sums); });
  }
  for (int64_t i = whole; i < task.count; ++i) {
    StartGroup<0>(tiles, task, i);
    tiles.template StoreSums<0>(work[0].dots[0], 64);
    ScaleGroup<0>(task, i, work[0], sums);
  }
  ForEachIndex<0, kTokens>([&](auto t) AUTOGLM_INLINE { Store(totals + t.value * kPanelRows, sums[t.value]); });
}

template <PackedFormat kFormat, typename Tiles>
static void GemmQuantizedByTilesAs(const GemmTask& task, const QuantizedActivations& x) {
  const Tiling& tiling = x.tiling;
  const int64_t groups = x.columns / kGroupColumns;
  constexpr int64_t kChunkGroups = kChunkColumns / kGroupColumns;
  const int64_t num_tiles = tiling.num_tiles();
  float* totals = task.scratch + ExpandedFloats(x.columns);  // [kTilesAtOnce][16 tokens][16 rows]
  constexpr int64_t kTotals = kMaxTileTokens * kPanelRows;
  Tiles tiles(static_cast<int>(tiling.Begin(1)), 8);
  for (int64_t panel = task.panel_begin; panel < task.panel_end; ++panel) {
    const std::byte* data = task.weights.data + panel * task.weights.panel_bytes;
    const ExpandedSource<kFormat> source = ExpandSigned(PackedSource<kFormat>{data}, groups, task.scratch);
    const F32x16 row_scale = HasRowScale(kFormat) ? Load(reinterpret_cast<const float*>(data)) : Zero();
    NextPanel next(task, panel, num_tiles * ((groups + kChunkGroups - 1) / kChunkGroups));
    for (int64_t tile = 0; tile < num_tiles; tile += kTilesAtOnce) {
      const int64_t tile_end = tile + kTilesAtOnce < num_tiles ? tile + kTilesAtOnce : num_tiles;
      for (int64_t i = 0; i < (tile_end - tile) * kTotals; i += 16) Store(totals + i, Zero());
      for (int64_t g = 0; g < groups; g += kChunkGroups) {
        const int64_t count = groups - g < kChunkGroups ? groups - g : kChunkGroups;
        for (int64_t t = tile; t < tile_end; ++t) {
          const int64_t b = tiling.Begin(t);
          const int64_t width = tiling.Begin(t + 1) - b;
          next.Ask();
          const TileTask<kFormat> columns{source, x, b, width, g, count};
          if (width <= 12) {
            AddGroupsByTiles<kFormat, 12>(tiles, columns, totals + (t - tile) * kTotals);
          } else {
            AddGroupsByTiles<kFormat, 16>(tiles, columns, totals + (t - tile) * kTotals);
          }
        }
      }
      for (int64_t t = tile; t < tile_end; ++t) {
        StoreTokens(totals + (t - tile) * kTotals, tiling.Begin(t + 1) - tiling.Begin(t),
                    HasRowScale(kFormat) ? &row_scale : nullptr, task, panel, tiling.Begin(t));
      }
    }
  }
}

// Few tokens go through vectors, and formats with two scales a group, which would take two tiles for each.
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

// ---- BF16 weights, whatever the number of tokens.

// Sums of up to two tiles of tokens and two panels, over groups of 32 columns.
struct Bf16Square {
  const uint16_t* values[2];  // of the first group of each tile of tokens
  int64_t group_values[2];    // from one group to the next
  const std::byte* lines[2];  // of the panels
};

// Adds `count` groups to totals[tile][panel][16 tokens][16 rows].
template <int kTiles, int kPanels, typename Tiles>
static void AddBf16Square(Tiles& tiles, Bf16Square at, int64_t count, float (*totals)[2][kMaxTileTokens * kPanelRows]) {
  ForEachIndex<0, kTiles>([&](auto t) {
    ForEachIndex<0, kPanels>([&](auto p) { tiles.template LoadSums<t.value * 2 + p.value>(totals[t.value][p.value], 64); });
  });
  for (int64_t g = 0; g < count; ++g) {
    ForEachIndex<0, kPanels>([&](auto p) {
      // One tile of tokens alone is bound by reading.
      if constexpr (kTiles == 1) {
        const auto ahead = reinterpret_cast<uintptr_t>(at.lines[p.value]) + 2048;
        for (int line = 0; line < 16; ++line) __builtin_prefetch(reinterpret_cast<const void*>(ahead + line * 64));
      }
      tiles.template LoadWeights<p.value>(at.lines[p.value], 64);
      at.lines[p.value] += 1024;
    });
    ForEachIndex<0, kTiles>([&](auto t) {
      tiles.template LoadActivations<t.value>(at.values[t.value], 64);
      at.values[t.value] += at.group_values[t.value];
      ForEachIndex<0, kPanels>([&](auto p) { tiles.template AddBf16<t.value * 2 + p.value, t.value, p.value>(); });
    });
  }
  ForEachIndex<0, kTiles>([&](auto t) {
    ForEachIndex<0, kPanels>([&](auto p) { tiles.template StoreSums<t.value * 2 + p.value>(totals[t.value][p.value], 64); });
  });
}

// Panels [panel, panel + kPanels) times every token.
template <int kPanels, typename Tiles>
static void Bf16PanelsByTiles(Tiles& tiles, const GemmTask& task, int64_t panel, const PairActivations& x) {
  constexpr int64_t kTilesHere = kTilesAtOnce / 2;
  constexpr int64_t kChunkGroups = kChunkColumns / kGroupColumns;
  const Tiling& tiling = x.tiling;
  const int64_t num_tiles = tiling.num_tiles();
  const int64_t groups = (x.columns + kGroupColumns - 1) / kGroupColumns;
  const int64_t whole_groups = x.columns / kGroupColumns;
  const std::byte* data = task.weights.data + panel * task.weights.panel_bytes;
  // The last columns, with zeros behind them.
  alignas(64) std::byte rest[kPanels][1024] = {};
  for (int p = 0; whole_groups < groups && p < kPanels; ++p) {
    __builtin_memcpy(rest[p], data + p * task.weights.panel_bytes + whole_groups * 1024,
                     static_cast<size_t>((x.columns % kGroupColumns + 1) / 2 * 64));
  }
  auto* totals = reinterpret_cast<float(*)[2][kMaxTileTokens * kPanelRows]>(task.scratch);  // [kTilesHere][2]
  const auto add = [&](int64_t tile, int64_t tile_end, int64_t g, int64_t count, const std::byte* lines, int64_t panel_bytes) {
    for (int64_t t = tile; t < tile_end; t += 2) {
      Bf16Square square{};
      for (int64_t i = 0; i < 2 && t + i < tile_end; ++i) {
        const int64_t b = tiling.Begin(t + i);
        const int64_t width = tiling.Begin(t + i + 1) - b;
        square.values[i] = x.values + (b * groups + g * width) * kGroupColumns;
        square.group_values[i] = width * kGroupColumns;
      }
      for (int p = 0; p < kPanels; ++p) square.lines[p] = lines + p * panel_bytes;
      if (t + 1 < tile_end) {
        AddBf16Square<2, kPanels>(tiles, square, count, totals + (t - tile));
      } else {
        AddBf16Square<1, kPanels>(tiles, square, count, totals + (t - tile));
      }
    }
  };
  for (int64_t tile = 0; tile < num_tiles; tile += kTilesHere) {
    const int64_t tile_end = tile + kTilesHere < num_tiles ? tile + kTilesHere : num_tiles;
    for (int64_t i = 0; i < (tile_end - tile) * 2 * kMaxTileTokens * kPanelRows; i += 16) Store(totals[0][0] + i, Zero());
    const int64_t chunk = num_tiles == 1 ? groups : kChunkGroups;
    for (int64_t g = 0; g < whole_groups; g += chunk) {
      add(tile, tile_end, g, whole_groups - g < chunk ? whole_groups - g : chunk, data + g * 1024, task.weights.panel_bytes);
    }
    if (whole_groups < groups) add(tile, tile_end, whole_groups, 1, rest[0], 1024);
    for (int64_t t = tile; t < tile_end; ++t) {
      for (int p = 0; p < kPanels; ++p) {
        StoreTokens(totals[t - tile][p], tiling.Begin(t + 1) - tiling.Begin(t), nullptr, task, panel + p, tiling.Begin(t));
      }
    }
  }
}

template <typename Tiles>
static void GemmBf16ByTiles(const GemmTask& task, const PairActivations& x) {
  Tiles tiles(static_cast<int>(x.tiling.Begin(1)), 16);
  int64_t panel = task.panel_begin;
  for (; panel + 2 <= task.panel_end; panel += 2) Bf16PanelsByTiles<2>(tiles, task, panel, x);
  if (panel < task.panel_end) Bf16PanelsByTiles<1>(tiles, task, panel, x);
}
