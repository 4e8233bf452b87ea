// Products on matrix tiles (Intel AMX): 16 tokens by 16 rows in one instruction, of 32 columns of bytes or of BF16. A panel's
// lines are a tile of weights as they stand, [lines][16 rows][4 bytes]. Activations are the other operand, token by token
// (kTokenMajor). `Tiles` is the processor's own, or an emulation for tests. Included once per path, after tile_blocks.inl.h.
//
// Estimate for the quantised product of 16 tokens, 16 rows and 32 columns: the tile takes 16 cycles, storing its sums 16, and
// scaling them two multiplications for each token, which have one port of 512 bits while tiles are busy: 32. By vectors the same
// takes 16 * 10 / 2 = 80. Measured: 54 (docs/KERNELS.md).

// From this many tokens on writing weights down as signed bytes, as tiles want them, is worth it. Tiles are 11 to 16 wide then.
inline constexpr int64_t kMinMatrixTileTokens = 33;

// ---- Quantised weights times 8-bit activations. The sums are those of AddGroups, bit by bit.

// A line of bytes u as u minus the zero point, signed.
template <PackedFormat kFormat>
[[gnu::always_inline]] static inline I32x16 SignedLine(I32x16 line) {
  constexpr int kZeroPoint = ZeroPointOf(kFormat);
  if constexpr (kZeroPoint == 0 && MaxWeightOf(kFormat) < 128) return line;
  constexpr uint32_t kBytes = 0x01010101u;
  return Xor(AddI32(line, Set1I32(static_cast<int32_t>((0x80u - kZeroPoint) * kBytes))),
             Set1I32(static_cast<int32_t>(0x80u * kBytes)));
}

// Groups [group, group + count) of a panel as signed bytes, with their scales as the products need them.
template <PackedFormat kFormat>
static ExpandedSource<kFormat> ExpandSigned(const PackedSource<kFormat>& packed, int64_t group, int64_t count,
                                            std::byte* scratch) {
  const ExpandedSource<kFormat> expanded = ExpandedIn<kFormat>(reinterpret_cast<float*>(scratch), count);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t g = group + i;
    packed.Prefetch(g);
    const auto block = packed.BlockOf(g);
    if constexpr (!HasRowScale(kFormat)) Store(expanded.scales + i * 16, packed.Scale(block, g));
    if constexpr (HasMinimum(kFormat)) Store(expanded.seconds + i * 16, packed.Minimum(block, g));
    ForEachIndex<0, 8>([&](auto line) {
      StoreI32(expanded.lines + i * 512 + line.value * 64, SignedLine<kFormat>(packed.template Line<line.value>(g)));
    });
  }
  return expanded;
}

// Groups [group, group + count) of a panel times all tiles of a block.
template <PackedFormat kFormat>
struct Int8Chunk {
  ExpandedSource<kFormat> source;  // of these groups
  const QuantizedActivations& x;
  const TileBlock& block;
  const PanelChunk& at;
};

// Tiles multiply two groups while two others, of those before, are scaled.
inline constexpr int64_t kUnitGroups = 2;
struct UnitSums {
  alignas(64) int32_t dots[kUnitGroups][kMaxTileTokens][kPanelRows];
};

// Goes through a chunk's units: groups [first, first + kUnitGroups) of a tile, then of the next tile.
template <PackedFormat kFormat>
class UnitCursor {
 public:
  explicit UnitCursor(const Int8Chunk<kFormat>& chunk) : chunk_(chunk), tile_(chunk.block.begin), end_(chunk.at.count) {
    EnterTile();
  }

  int64_t tile() const { return tile_; }
  bool begins_tile() const { return first_ == 0; }
  bool ends_tile() const { return first_ + kUnitGroups >= chunk_.at.count; }
  // False behind the last unit.
  bool HasGroup(int64_t i) const { return first_ + i < end_; }
  int64_t GroupOf(int64_t i) const { return first_ + i; }
  const int8_t* Values(int64_t i) const { return values_ + (first_ + i) * width_ * kGroupColumns; }
  // Where the scales of a group of the tile's tokens are.
  int64_t At(int64_t i) const { return at_ + (first_ + i) * width_; }
  void Advance() {
    first_ += kUnitGroups;
    if (first_ < chunk_.at.count) return;
    first_ = 0;
    if (++tile_ < chunk_.block.end) {
      EnterTile();
    } else {
      end_ = 0;
    }
  }

 private:
  void EnterTile() {
    const int64_t b = chunk_.block.Begin(tile_);
    width_ = chunk_.block.Width(tile_);
    values_ = chunk_.x.values + b * chunk_.x.columns + chunk_.at.group * width_ * kGroupColumns;
    at_ = b * (chunk_.x.columns / kGroupColumns) + chunk_.at.group * width_;
  }

  const Int8Chunk<kFormat>& chunk_;
  int64_t tile_, end_, first_ = 0, width_ = 0, at_ = 0;
  const int8_t* values_ = nullptr;
};

// Lets a tile multiply group kGroup of a unit; sums go to slot kSlot + kGroup.
template <int kSlot, int kGroup, PackedFormat kFormat, typename Tiles>
[[gnu::always_inline]] static inline void StartGroup(Tiles& tiles, const Int8Chunk<kFormat>& chunk,
                                                     const UnitCursor<kFormat>& unit) {
  if (!unit.HasGroup(kGroup)) return;
  tiles.template Zero<kSlot + kGroup>();
  tiles.template LoadActivations<kGroup>(unit.Values(kGroup), kGroupColumns);
  tiles.template LoadWeights<kGroup>(chunk.source.lines + unit.GroupOf(kGroup) * 512, 64);
  tiles.template AddInt8<kSlot + kGroup, kGroup, kGroup>();
}

// Whole numbers below 2^22 as floats, where the ports that multiply are busy.
[[gnu::always_inline]] static inline F32x16 SmallToF32(I32x16 a) {
  constexpr float kOneAndAHalf = 0x1.8p23f;
  return Sub(BitsToF32(AddI32(a, F32ToBits(Set1(kOneAndAHalf)))), Set1(kOneAndAHalf));
}

// Adds group i of a unit, whose dot products were stored, to the sums.
template <PackedFormat kFormat, int kTokens>
[[gnu::always_inline]] static inline void ScaleGroup(const Int8Chunk<kFormat>& chunk, const UnitCursor<kFormat>& unit, int64_t i,
                                                     const UnitSums& work, F32x16 (&sums)[kTokens]) {
  if (!unit.HasGroup(i)) return;
  const int32_t(*dots)[kPanelRows] = work.dots[i];
  const float* x_scales = chunk.x.scales + unit.At(i);
  if constexpr (HasRowScale(kFormat)) {
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) sums[t] = Fma(SmallToF32(LoadI32(dots[t])), Set1(x_scales[t]), sums[t]);
    return;
  }
  const F32x16 scale = chunk.source.Scale({}, unit.GroupOf(i));
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) sums[t] = Fma(SmallToF32(LoadI32(dots[t])), Mul(scale, Set1(x_scales[t])), sums[t]);
  if constexpr (HasMinimum(kFormat)) {
    const F32x16 minimum = chunk.source.Minimum({}, unit.GroupOf(i));
    const float* scaled_sums = chunk.x.scaled_sums + unit.At(i);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) sums[t] = Fma(minimum, Set1(scaled_sums[t]), sums[t]);
  }
}

// One step of the pipeline: what the unit before gave is stored, `start` is multiplied and `scale`, two units before it, scaled.
template <int kSlot, PackedFormat kFormat, int kTokens, typename Tiles>
[[gnu::always_inline]] static inline void StepUnits(Tiles& tiles, const Int8Chunk<kFormat>& chunk,
                                                    const UnitCursor<kFormat>& start, const UnitCursor<kFormat>& scale,
                                                    UnitSums& stored, const UnitSums& work, F32x16 (&sums)[kTokens]) {
  float* totals = chunk.block.SumsOf(scale.tile(), chunk.at.sums);
  if (scale.begins_tile()) {
    if (chunk.at.group == 0) {
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) sums[t] = Zero();
    } else {
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) sums[t] = Load(totals + t * kPanelRows);
    }
  }
  constexpr int kStored = 2 - kSlot;
  tiles.template StoreSums<kStored>(stored.dots[0], 64);
  StartGroup<kSlot, 0>(tiles, chunk, start);
  ScaleGroup<kFormat>(chunk, scale, 0, work, sums);
  tiles.template StoreSums<kStored + 1>(stored.dots[1], 64);
  StartGroup<kSlot, 1>(tiles, chunk, start);
  ScaleGroup<kFormat>(chunk, scale, 1, work, sums);
  if (!scale.ends_tile()) return;
  if (chunk.at.is_last && chunk.block.GoesOut(scale.tile(), chunk.at.panel)) {
    float* out = chunk.block.Out(scale.tile(), chunk.at.panel);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      if (t < chunk.block.num_rows) Store(out + t * chunk.block.task.out_stride, sums[t]);
    }
  } else {
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) Store(totals + t * kPanelRows, sums[t]);
  }
}

// kTokens is the tiles' width rounded up, the sums behind it are of no use to anyone. What a tile has stored cannot be loaded for
// some time: hence two units between multiplying and scaling.
template <PackedFormat kFormat, int kTokens, typename Tiles>
[[gnu::noinline]] static void AddInt8Chunk(Tiles& tiles, const Int8Chunk<kFormat> chunk) {
  const int64_t num_units = (chunk.at.count + kUnitGroups - 1) / kUnitGroups * (chunk.block.end - chunk.block.begin);
  UnitSums work[2];
  F32x16 sums[kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) sums[t] = Zero();
  UnitCursor<kFormat> start(chunk), scale(chunk);
  StartGroup<0, 0>(tiles, chunk, start);
  StartGroup<0, 1>(tiles, chunk, start);
  start.Advance();
  tiles.template StoreSums<0>(work[0].dots[0], 64);
  StartGroup<2, 0>(tiles, chunk, start);
  tiles.template StoreSums<1>(work[0].dots[1], 64);
  StartGroup<2, 1>(tiles, chunk, start);
  for (int64_t u = 0; u < num_units; ++u) {
    start.Advance();
    if (u % 2 == 0) {
      StepUnits<0>(tiles, chunk, start, scale, work[1], work[0], sums);
    } else {
      StepUnits<2>(tiles, chunk, start, scale, work[0], work[1], sums);
    }
    scale.Advance();
  }
}

template <PackedFormat kFormat, typename Tiles>
static void GemmInt8ByTiles(const GemmTask& task, const QuantizedActivations& x) {
  Tiles tiles(static_cast<int>(x.tiling.Begin(1)), 8);
  ForEachBlock(task, x.tiling, 1, [&](const TileBlock& block, const PanelChunk& at, NextChunk& next) {
    const PackedSource<kFormat> packed{task.weights.data + at.panel * task.weights.panel_bytes};
    const Int8Chunk<kFormat> chunk{ExpandSigned(packed, at.group, at.count, ChunkScratch(task)), x, block, at};
    for (int64_t t = block.begin; t < block.end; ++t) next.Ask();
    if (x.tiling.Begin(1) <= 12) {
      AddInt8Chunk<kFormat, 12>(tiles, chunk);
    } else {
      AddInt8Chunk<kFormat, 16>(tiles, chunk);
    }
  });
}

// Few tokens go through vectors, and formats with two scales a group, which would take two tiles for each.
template <typename Tiles>
static void GemmQuantizedByTiles(const GemmTask& task, const QuantizedActivations& x) {
  WithFormat(task.weights.format, [&](auto format) {
    constexpr PackedFormat kFormat = decltype(format)::value;
    if constexpr (IsQuantized(kFormat) && !HasTwoScales(kFormat)) {
      if (x.tiling.num_tokens >= kMinMatrixTileTokens) return GemmInt8ByTiles<kFormat, Tiles>(task, x);
    }
    GemmQuantized(task, x);
  });
}

// ---- BF16 weights, whatever the number of tokens: two tiles of tokens by two panels at a time.

// Sums of up to two tiles of tokens and two panels, over groups of 32 columns.
struct Bf16Square {
  const uint16_t* values[2];  // of the first group of each tile of tokens
  int64_t group_values[2];    // from one group to the next
  const std::byte* lines[2];  // of the panels
  float* sums[2][2];          // [tile][panel]: of the columns before
  float* to[2][2];            // where they go
  int64_t to_bytes[2][2];     // from one token to the next
};

// Adds `count` groups to the sums, or sets these to them.
template <int kTiles, int kPanels, typename Tiles>
static void AddBf16Square(Tiles& tiles, const Bf16Square at, int64_t count, bool is_first) {
  ForEachIndex<0, kTiles>([&](auto t) {
    ForEachIndex<0, kPanels>([&](auto p) {
      if (is_first) {
        tiles.template Zero<t.value * 2 + p.value>();
      } else {
        tiles.template LoadSums<t.value * 2 + p.value>(at.sums[t.value][p.value], 64);
      }
    });
  });
  // Not in arrays: the compiler would go through memory for them.
  const std::byte* lines_0 = at.lines[0];
  [[maybe_unused]] const std::byte* lines_1 = at.lines[1];
  const uint16_t* values_0 = at.values[0];
  [[maybe_unused]] const uint16_t* values_1 = at.values[1];
  for (int64_t g = 0; g < count; ++g) {
    if constexpr (kTiles == 1) {  // bound by reading
      for (int64_t ahead = 2048; ahead < 3072; ahead += 64) {
        __builtin_prefetch(lines_0 + ahead);
        if constexpr (kPanels == 2) __builtin_prefetch(lines_1 + ahead);
      }
    }
    tiles.template LoadWeights<0>(lines_0, 64);
    tiles.template LoadActivations<0>(values_0, 64);
    tiles.template AddBf16<0, 0, 0>();
    if constexpr (kPanels == 2) {
      tiles.template LoadWeights<1>(lines_1, 64);
      tiles.template AddBf16<1, 0, 1>();
    }
    if constexpr (kTiles == 2) {
      tiles.template LoadActivations<1>(values_1, 64);
      tiles.template AddBf16<2, 1, 0>();
      if constexpr (kPanels == 2) tiles.template AddBf16<3, 1, 1>();
    }
    lines_0 += 1024;
    values_0 += at.group_values[0];
    if constexpr (kPanels == 2) lines_1 += 1024;
    if constexpr (kTiles == 2) values_1 += at.group_values[1];
  }
  ForEachIndex<0, kTiles>([&](auto t) {
    ForEachIndex<0, kPanels>(
        [&](auto p) { tiles.template StoreSums<t.value * 2 + p.value>(at.to[t.value][p.value], at.to_bytes[t.value][p.value]); });
  });
}

// Adds a chunk, whose panels' lines are where they are said to be, to the sums of all tiles of a block.
template <typename Tiles>
static void AddBf16Lines(Tiles& tiles, const TileBlock& block, const PairActivations& x, const std::byte* const* lines,
                         const PanelChunk& at, NextChunk& next) {
  const int64_t groups = (x.columns + kGroupColumns - 1) / kGroupColumns;
  for (int64_t t = block.begin; t < block.end; t += 2) {
    const int64_t num_tiles = t + 1 < block.end ? 2 : 1;
    Bf16Square square{};
    for (int64_t i = 0; i < num_tiles; ++i) {
      const int64_t width = block.Width(t + i);
      square.values[i] = x.values + (block.Begin(t + i) * groups + at.group * width) * kGroupColumns;
      square.group_values[i] = width * kGroupColumns;
      for (int p = 0; p < at.num_panels; ++p) {
        const bool goes_out = at.is_last && block.GoesOut(t + i, at.panel + p);
        square.sums[i][p] = block.SumsOf(t + i, at.sums + p);
        square.to[i][p] = goes_out ? block.Out(t + i, at.panel + p) : square.sums[i][p];
        square.to_bytes[i][p] = goes_out ? block.task.out_stride * 4 : 64;
      }
      next.Ask();
    }
    for (int p = 0; p < at.num_panels; ++p) square.lines[p] = lines[p];
    WithCount<2>(num_tiles, [&](auto tile_count) {
      WithCount<2>(at.num_panels, [&](auto panel_count) {
        AddBf16Square<tile_count.value, panel_count.value>(tiles, square, at.count, at.group == 0);
      });
    });
  }
}

template <typename Tiles>
static void AddBf16Chunk(Tiles& tiles, const GemmTask& task, const PairActivations& x, const TileBlock& block,
                         const PanelChunk& at, NextChunk& next) {
  const std::byte* lines[2];
  for (int p = 0; p < at.num_panels; ++p)
    lines[p] = task.weights.data + (at.panel + p) * task.weights.panel_bytes + at.group * 1024;
  const int64_t whole_groups = x.columns / kGroupColumns;
  const int64_t whole = at.group + at.count <= whole_groups ? at.count : whole_groups - at.group;
  PanelChunk part = at;
  part.count = whole;
  part.is_last = at.is_last && whole == at.count;
  if (whole > 0) AddBf16Lines(tiles, block, x, lines, part, next);
  if (whole == at.count) return;
  // The last columns, with zeros behind them.
  alignas(64) std::byte rest[2][1024] = {};
  for (int p = 0; p < at.num_panels; ++p) {
    __builtin_memcpy(rest[p], lines[p] + whole * 1024, static_cast<size_t>((x.columns % kGroupColumns + 1) / 2 * 64));
    lines[p] = rest[p];
  }
  part = {at.panel, at.sums, at.num_panels, whole_groups, 1, true};
  AddBf16Lines(tiles, block, x, lines, part, next);
}

template <typename Tiles>
static void GemmBf16ByTiles(const GemmTask& task, const PairActivations& x) {
  Tiles tiles(static_cast<int>(x.tiling.Begin(1)), 16);
  ForEachBlock(task, x.tiling, 2, [&](const TileBlock& block, const PanelChunk& at, NextChunk& next) {
    AddBf16Chunk(tiles, task, x, block, at, next);
  });
}

// ---- Quantised weights in BF16: each is decoded and rounded once for all tokens of a block.

#ifndef AUTOGLM_HAS_STORE_NORMAL_BF16
static inline void StoreNormalBf16Pairs(void* p, F32x16 low, F32x16 high) {
  StoreI32(p, AddI32(RoundToBf16(low), ShiftLeft<16>(RoundToBf16(high))));
}
#endif

// One of each lane's four bytes, as a float.
template <int kByte>
[[gnu::always_inline]] static inline F32x16 ByteOf(I32x16 line) {
  if constexpr (kByte == 3) return ToF32(ShiftRight<24>(line));
  return ToF32(And(ShiftRight<8 * kByte>(line), Set1I32(0xff)));
}

// Groups [group, group + count) of a panel as lines of BF16 pairs: factor * (u - zero point) [+ minimum], but with kI8, whose
// factor is one for the row, whole numbers.
template <PackedFormat kFormat>
static void ExpandBf16(const PackedSource<kFormat>& packed, int64_t group, int64_t count, std::byte* lines) {
  const F32x16 zero_point = Set1(static_cast<float>(-ZeroPointOf(kFormat)));
  for (int64_t g = group; g < group + count; ++g, lines += 1024) {
    packed.Prefetch(g);
    const auto block = packed.BlockOf(g);
    F32x16 scale = Set1(1), upper_scale = scale, offset = zero_point, upper_offset = zero_point;
    if constexpr (!HasRowScale(kFormat)) {
      scale = upper_scale = packed.Scale(block, g);
      if constexpr (HasMinimum(kFormat)) {
        offset = upper_offset = packed.Minimum(block, g);
      } else {
        if constexpr (HasTwoScales(kFormat)) upper_scale = packed.UpperScale(block, g);
        offset = Mul(zero_point, scale);
        upper_offset = Mul(zero_point, upper_scale);
      }
    }
    ForEachIndex<0, 8>([&](auto i) {
      constexpr bool kIsUpper = decltype(i)::value >= 4;
      const I32x16 line = packed.template Line<i.value>(g);
      const F32x16 factor = kIsUpper ? upper_scale : scale, added = kIsUpper ? upper_offset : offset;
      StoreNormalBf16Pairs(lines + i.value * 128, Fma(ByteOf<0>(line), factor, added), Fma(ByteOf<1>(line), factor, added));
      StoreNormalBf16Pairs(lines + i.value * 128 + 64, Fma(ByteOf<2>(line), factor, added), Fma(ByteOf<3>(line), factor, added));
    });
  }
}

template <PackedFormat kFormat, typename Tiles>
static void GemmRoundedByTiles(const GemmTask& task, const PairActivations& x) {
  Tiles tiles(static_cast<int>(x.tiling.Begin(1)), 16);
  ForEachBlock(task, x.tiling, 2, [&](const TileBlock& block, const PanelChunk& at, NextChunk& next) {
    const std::byte* lines[2];
    for (int p = 0; p < at.num_panels; ++p) {
      std::byte* expanded = ChunkScratch(task) + p * kChunkGroups * 1024;
      ExpandBf16(PackedSource<kFormat>{task.weights.data + (at.panel + p) * task.weights.panel_bytes}, at.group, at.count,
                 expanded);
      lines[p] = expanded;
    }
    AddBf16Lines(tiles, block, x, lines, at, next);
  });
}

// Weights in BF16, or, for many tokens, quantised ones.
template <typename Tiles>
static void GemmPairsByTiles(const GemmTask& task, const PairActivations& x) {
  WithFormat(task.weights.format, [&](auto format) {
    constexpr PackedFormat kFormat = decltype(format)::value;
    if constexpr (IsQuantized(kFormat)) {
      GemmRoundedByTiles<kFormat, Tiles>(task, x);
    } else {
      GemmBf16ByTiles<Tiles>(task, x);
    }
  });
}
