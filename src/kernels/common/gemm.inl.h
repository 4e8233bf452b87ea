// Matrix products over F32x16 lanes = 16 rows of a panel. Included once per instruction set, inside its namespace.
//
// Estimate for the quantised product on 512-bit VNNI, two ports for products: a group of 32 columns of one token costs 8 dot
// products and, on the same ports, an FMA and (but with INT8) the product of the two scales; minimums cost another FMA, two
// scales a 32-bit multiplication each, half of which goes to another port. At most 80, 89 (INT8), 73 (minimums) or 73 % (two
// scales) of the peak of dot products. Conversions and additions go to other ports.

// Calls body(integral_constant-like tag of n) for the run-time n in [1, kMax].
template <int kTokens>
struct Count {
  static constexpr int value = kTokens;
};
template <int kMax, typename Body>
static inline void WithCount(int64_t n, const Body& body) {
  if constexpr (kMax > 1) {
    if (n < kMax) {
      WithCount<kMax - 1>(n, body);
      return;
    }
  }
  body(Count<kMax>{});
}

template <PackedFormat kFormat>
struct Format {
  static constexpr PackedFormat value = kFormat;
};
// Calls body(tag of the format).
template <typename Body>
static inline void WithFormat(PackedFormat format, const Body& body) {
  switch (format) {
    case PackedFormat::kQ4:
      return body(Format<PackedFormat::kQ4>{});
    case PackedFormat::kQ4M:
      return body(Format<PackedFormat::kQ4M>{});
    case PackedFormat::kIq4:
      return body(Format<PackedFormat::kIq4>{});
    case PackedFormat::kQ5:
      return body(Format<PackedFormat::kQ5>{});
    case PackedFormat::kQ5M:
      return body(Format<PackedFormat::kQ5M>{});
    case PackedFormat::kQ8:
      return body(Format<PackedFormat::kQ8>{});
    case PackedFormat::kI8:
      return body(Format<PackedFormat::kI8>{});
    case PackedFormat::kQ4K:
      return body(Format<PackedFormat::kQ4K>{});
    case PackedFormat::kQ5K:
      return body(Format<PackedFormat::kQ5K>{});
    case PackedFormat::kQ6K:
      return body(Format<PackedFormat::kQ6K>{});
    case PackedFormat::kF16:
      return body(Format<PackedFormat::kF16>{});
    case PackedFormat::kI16:
      return body(Format<PackedFormat::kI16>{});
    case PackedFormat::kBf16:
      return body(Format<PackedFormat::kBf16>{});
    case PackedFormat::kF32:
      return body(Format<PackedFormat::kF32>{});
  }
}

// ---- Tiles of sums: pieces of a tile that fit into registers, and the order in which panels meet tiles.

// Tokens [first, first + n) of the tile that starts at token b and is `width` wide.
struct Piece {
  int64_t b = 0;
  int64_t width = 0;
  int64_t first = 0;
};

// Sums of kTokens tokens go through registers in the loops and wait in memory, [tokens][16], between them.
template <int kTokens>
[[gnu::always_inline]] static inline void LoadSums(const float* totals, F32x16 (&sums)[kTokens]) {
#pragma GCC unroll 12
  for (int t = 0; t < kTokens; ++t) sums[t] = Load(totals + t * kPanelRows);
}
template <int kTokens>
[[gnu::always_inline]] static inline void StoreSums(float* totals, const F32x16 (&sums)[kTokens]) {
#pragma GCC unroll 12
  for (int t = 0; t < kTokens; ++t) Store(totals + t * kPanelRows, sums[t]);
}

// The sums of some tokens of a panel, each times `row_scale` where there is one, go where the task wants them.
static inline void StoreTokens(const float* totals, int64_t num_tokens, const F32x16* row_scale, const GemmTask& task,
                               int64_t panel, int64_t token) {
  const bool add = task.epilogue == Epilogue::kAdd;
  const int64_t row = panel * kPanelRows;
  const int rows = static_cast<int>(task.num_rows - row < kPanelRows ? task.num_rows - row : kPanelRows);
  for (int64_t t = 0; t < num_tokens; ++t) {
    float* out = task.out + (token + t) * task.out_stride + row;
    F32x16 sum = Load(totals + t * kPanelRows);
    if (row_scale != nullptr) sum = Mul(sum, *row_scale);
    if (rows == kPanelRows) {
      Store(out, add ? Add(Load(out), sum) : sum);
    } else {
      StoreFirst(out, add ? Add(LoadFirst(out, rows), sum) : sum, rows);
    }
  }
}

// The width of a tile that a piece of kTokens tokens belongs to. On paths whose tile is the widest one, a tile is never cut: its
// width is known to the compiler.
template <int kTokens>
[[gnu::always_inline]] static inline int64_t WidthOf(int64_t width) {
  return kGemmTokens == kTileTokens ? kTokens : width;
}

// Calls body(piece, Count) for all pieces of at most kGemmTokens tokens of tiles [tile, tile_end), a tile's as even as possible.
template <typename Body>
static inline void ForEachPiece(const Tiling& tiling, int64_t tile, int64_t tile_end, const Body& body) {
  for (; tile < tile_end; ++tile) {
    const int64_t b = tiling.Begin(tile);
    const int64_t width = tiling.Begin(tile + 1) - b;
    const int64_t num_pieces = (width + kGemmTokens - 1) / kGemmTokens;
    const int64_t widest = (width + num_pieces - 1) / num_pieces;
    for (int64_t first = 0; first < width; first += widest) {
      const int64_t n = width - first < widest ? width - first : widest;
      WithCount<kGemmTokens>(n, [&](auto count) { body(Piece{b, width, first}, count); });
    }
  }
}

// Columns of a panel that stay in the first-level cache, together with a tile's activations, while several tiles meet them.
inline constexpr int64_t kChunkColumns = 512;

// While a panel computes, the next one comes from memory into the second-level cache, a part with each of `num_parts` pieces of
// work; 0: it does not. A panel that meets one tile alone is read as fast as it can be anyway.
class NextPanel {
 public:
  NextPanel(const GemmTask& task, int64_t panel, int64_t num_parts)
      : at_(task.weights.data + (panel + 1) * task.weights.panel_bytes),
        part_bytes_(num_parts > 0 && panel + 1 < task.panel_end ? task.weights.panel_bytes / num_parts + 64 : 0) {}
  void Ask() {
    for (int64_t i = 0; i < part_bytes_; i += 64) __builtin_prefetch(at_ + i, 0, 2);
    at_ += part_bytes_;
  }

 private:
  const std::byte* at_;
  int64_t part_bytes_;
};

// One panel times every token. add(first column, end, piece, Count, totals) adds the products of these columns to the sums of a
// piece.
template <typename AddColumns>
static inline void PanelTimesTokens(const GemmTask& task, int64_t panel, const Tiling& tiling, const F32x16* row_scale,
                                    const AddColumns& add) {
  const int64_t columns = task.weights.columns;
  const int64_t num_tiles = tiling.num_tiles();
  float* totals = task.scratch + ExpandedFloats(columns);
  const int64_t num_pieces = num_tiles * ((columns + kChunkColumns - 1) / kChunkColumns);
  NextPanel next(task, panel, num_tiles > 1 ? num_pieces : 0);
  const int64_t chunk_columns = num_tiles == 1 ? columns : kChunkColumns;
  for (int64_t tile = 0; tile < num_tiles; tile += kTilesAtOnce) {
    const int64_t tile_end = tile + kTilesAtOnce < num_tiles ? tile + kTilesAtOnce : num_tiles;
    const int64_t first_token = tiling.Begin(tile);
    const int64_t num_tokens = tiling.Begin(tile_end) - first_token;
    for (int64_t t = 0; t < num_tokens; ++t) Store(totals + t * kPanelRows, Zero());
    for (int64_t begin = 0; begin < columns; begin += chunk_columns) {
      const int64_t end = begin + chunk_columns < columns ? begin + chunk_columns : columns;
      ForEachPiece(tiling, tile, tile_end, [&](const Piece& piece, auto count) {
        next.Ask();
        add(begin, end, piece, count, totals + (piece.b + piece.first - first_token) * kPanelRows);
      });
    }
    StoreTokens(totals, num_tokens, row_scale, task, panel, first_token);
  }
}

// Beyond this many tokens a panel is expanded once for all of its tiles; below, each tile decodes it on the way: for two tiles
// that costs less than writing the bytes down (measured: 1.2x the speed for 16 tokens).
inline constexpr int64_t kExpandBeyondTokens = 2 * kTileTokens;

// ---- Quantised weights times 8-bit activations.

// What the sums of integer products start at: minus the zero point times the sum of the activations, so that it costs nothing.
// Null: at zero.
template <PackedFormat kFormat>
static inline const int32_t* StartsOf(const QuantizedActivations& x, int64_t at) {
  constexpr int kZeroPoint = ZeroPointOf(kFormat);
  if constexpr (kZeroPoint == 8) return x.starts_8 + at;
  if constexpr (kZeroPoint == 16) return x.starts_16 + at;
  if constexpr (kZeroPoint == 128) return x.starts_128 + at;
  return nullptr;
}

// So few tokens have two sums each for a group's products, of its lower and its upper lines: a product that waits for the one
// before it keeps others out of the processor's queue. And lines are loaded once for both: loading is what binds one token.
inline constexpr int kFewTokens = 3;
template <PackedFormat kFormat, int kTokens, typename Source>
inline constexpr bool kGoesByPairs = Source::kHasPairs && kTokens <= kFewTokens && kWordLines<MaxWeightOf(kFormat)> == 1;

// Adds the products of lines 0 to 3 of group g to `lower`, one sum for each token of the piece, and those of the others to
// `upper`.
template <PackedFormat kFormat, int kTokens, typename Source>
[[gnu::always_inline]] static inline void AddPairsOfLines(const Source& source, int64_t g, const QuantizedActivations& x,
                                                          const Piece& piece, I32x16 (&lower)[kTokens],
                                                          I32x16 (&upper)[kTokens]) {
  constexpr int kMaxWeight = MaxWeightOf(kFormat);
  const int64_t width = WidthOf<kTokens>(piece.width);
  const int8_t* values = x.values + piece.b * x.columns + QuadAt(width, g * 8, piece.first);
  source.ForEachPair(g, [&](auto j, I32x16 lower_line, I32x16 upper_line) {
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) {
      lower[t] = DotU8I8<kMaxWeight>(lower[t], lower_line, values + QuadAt(width, j.value, t));
      upper[t] = DotU8I8<kMaxWeight>(upper[t], upper_line, values + QuadAt(width, 4 + j.value, t));
    }
  });
}

// Adds lines [kBegin, kEnd) of group g to the integer sums of tokens [kFirst, kFirst + kCount) of kTokens.
template <PackedFormat kFormat, int kBegin, int kEnd, int kTokens, int kFirst, int kCount, typename Source>
[[gnu::always_inline]] static inline void AddLines(const Source& source, int64_t g, const QuantizedActivations& x,
                                                   const Piece& piece, I32x16 (&dots)[kCount]) {
  constexpr int kMaxWeight = MaxWeightOf(kFormat);
  constexpr int kLines = kWordLines<kMaxWeight>;
  const int64_t width = WidthOf<kTokens>(piece.width);
  const int8_t* values = x.values + piece.b * x.columns + QuadAt(width, g * 8, piece.first + kFirst);
  if constexpr (kLines == 1) {
    ForEachIndex<kBegin, kEnd>([&](auto i) {
      const I32x16 line = source.template Line<i.value>(g);
#pragma GCC unroll 12
      for (int t = 0; t < kCount; ++t) {
        dots[t] = DotU8I8<kMaxWeight>(dots[t], line, values + QuadAt(width, i.value, t));
      }
    });
  } else {
    ForEachIndex<0, (kEnd - kBegin) / kLines>([&](auto part) {
      I32x16 words[kCount];
      ForEachIndex<0, kLines>([&](auto j) {
        constexpr int kLine = kBegin + decltype(part)::value * kLines + decltype(j)::value;
        const I32x16 line = source.template Line<kLine>(g);
#pragma GCC unroll 12
        for (int t = 0; t < kCount; ++t) {
          const I32x16 products = WordsU8I8<kMaxWeight>(line, values + QuadAt(width, kLine, t));
          words[t] = decltype(j)::value == 0 ? products : AddWords(words[t], products);
        }
      });
#pragma GCC unroll 12
      for (int t = 0; t < kCount; ++t) dots[t] = AddI32(dots[t], SumWords(words[t]));
    });
  }
}

// Adds group g, of a format with two scales, to the sums of tokens [kFirst, kEnd).
template <PackedFormat kFormat, int kFirst, int kEnd, int kTokens, typename Source>
[[gnu::always_inline]] static inline void AddTwoScales(const Source& source, const typename Source::BlockScales& block, int64_t g,
                                                       const QuantizedActivations& x, const Piece& piece, const int32_t* starts,
                                                       const float* x_scales, F32x16 (&sums)[kTokens]) {
  constexpr int kCount = kEnd - kFirst;
  if constexpr (kCount > 0) {
    const int64_t width = WidthOf<kTokens>(piece.width);
    I32x16 dots[kCount];
    F32x16 scaled[kCount];
#pragma GCC unroll 12
    for (int t = 0; t < kCount; ++t) dots[t] = Set1I32(starts[kFirst + t]);
    AddLines<kFormat, 0, 4, kTokens, kFirst>(source, g, x, piece, dots);
    const F32x16 lower_scale = source.Scale(block, g);
#pragma GCC unroll 12
    for (int t = 0; t < kCount; ++t) scaled[t] = Mul(ToF32(dots[t]), lower_scale);
#pragma GCC unroll 12
    for (int t = 0; t < kCount; ++t) dots[t] = Set1I32(starts[width + kFirst + t]);
    AddLines<kFormat, 4, 8, kTokens, kFirst>(source, g, x, piece, dots);
    const F32x16 upper_scale = source.UpperScale(block, g);
#pragma GCC unroll 12
    for (int t = 0; t < kCount; ++t) {
      scaled[t] = Fma(ToF32(dots[t]), upper_scale, scaled[t]);
      sums[kFirst + t] = Fma(scaled[t], Set1(x_scales[kFirst + t]), sums[kFirst + t]);
    }
  }
}

// The same for few tokens.
template <PackedFormat kFormat, int kTokens, typename Source>
[[gnu::always_inline]] static inline void AddTwoScalesByPairs(const Source& source, const typename Source::BlockScales& block,
                                                              int64_t g, const QuantizedActivations& x, const Piece& piece,
                                                              const int32_t* starts, const float* x_scales,
                                                              F32x16 (&sums)[kTokens]) {
  const int64_t width = WidthOf<kTokens>(piece.width);
  I32x16 lower[kTokens];
  I32x16 upper[kTokens];
#pragma GCC unroll 12
  for (int t = 0; t < kTokens; ++t) {
    lower[t] = Set1I32(starts[t]);
    upper[t] = Set1I32(starts[width + t]);
  }
  AddPairsOfLines<kFormat>(source, g, x, piece, lower, upper);
  const F32x16 lower_scale = source.Scale(block, g);
  const F32x16 upper_scale = source.UpperScale(block, g);
#pragma GCC unroll 12
  for (int t = 0; t < kTokens; ++t) {
    const F32x16 scaled = Fma(ToF32(upper[t]), upper_scale, Mul(ToF32(lower[t]), lower_scale));
    sums[t] = Fma(scaled, Set1(x_scales[t]), sums[t]);
  }
}

// Adds group g to the sums of a piece.
template <PackedFormat kFormat, int kTokens, typename Source>
[[gnu::always_inline]] static inline void AddGroup(const Source& source, const typename Source::BlockScales& block, int64_t g,
                                                   const QuantizedActivations& x, const Piece& piece, F32x16 (&sums)[kTokens]) {
  const int64_t width = WidthOf<kTokens>(piece.width);
  const int64_t at = piece.b * (x.columns / kGroupColumns) + piece.first + g * width;
  const float* x_scales = x.scales + at;
  source.Prefetch(g);
  if constexpr (HasTwoScales(kFormat)) {
    const int32_t* starts = x.half_starts_32 + (at - piece.first) * 2 + piece.first;
    if constexpr (kGoesByPairs<kFormat, kTokens, Source>) {
      AddTwoScalesByPairs<kFormat>(source, block, g, x, piece, starts, x_scales, sums);
    } else {
      // Half of the tokens at a time: three registers for each of twelve are more than there are.
      constexpr int kHalf = kTokens / 2;
      AddTwoScales<kFormat, 0, kHalf>(source, block, g, x, piece, starts, x_scales, sums);
      AddTwoScales<kFormat, kHalf, kTokens>(source, block, g, x, piece, starts, x_scales, sums);
    }
    return;
  }
  I32x16 dots[kTokens];
  if constexpr (ZeroPointOf(kFormat) == 0 || (ZeroPointOf(kFormat) == 128 && kTakesOff128)) {
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) dots[t] = Set1I32(0);
  } else {
    const int32_t* starts = StartsOf<kFormat>(x, at);
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) dots[t] = Set1I32(starts[t]);
  }
  if constexpr (kGoesByPairs<kFormat, kTokens, Source>) {
    I32x16 upper[kTokens];
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) upper[t] = Set1I32(0);
    AddPairsOfLines<kFormat>(source, g, x, piece, dots, upper);
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) dots[t] = AddI32(dots[t], Source::kUpperTimes16 ? ShiftRightSigned<4>(upper[t]) : upper[t]);
  } else {
    AddLines<kFormat, 0, 8, kTokens, 0>(source, g, x, piece, dots);
  }
  if constexpr (HasRowScale(kFormat)) {
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) sums[t] = Fma(ToF32(dots[t]), Set1(x_scales[t]), sums[t]);
  } else {
    const F32x16 scale = source.Scale(block, g);
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) sums[t] = Fma(ToF32(dots[t]), Mul(scale, Set1(x_scales[t])), sums[t]);
  }
  if constexpr (HasMinimum(kFormat)) {
    const F32x16 minimum = source.Minimum(block, g);
    const float* scaled_sums = x.scaled_sums + at;
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) sums[t] = Fma(minimum, Set1(scaled_sums[t]), sums[t]);
  }
}

// Adds groups [g, end) to the sums of a piece; g begins a block.
template <PackedFormat kFormat, int kTokens, typename Source>
[[gnu::noinline]] static void AddGroups(const Source source, int64_t g, int64_t end, const QuantizedActivations& x,
                                        const Piece piece, float* totals) {
  constexpr int64_t kGroupsPerBlock = PartsOf(kFormat).groups_per_block;
  F32x16 sums[kTokens];
  LoadSums(totals, sums);
  while (g < end) {
    const auto block = source.BlockOf(g);
    const int64_t block_end = end - g < kGroupsPerBlock ? end : g + kGroupsPerBlock;
    for (; g < block_end; ++g) AddGroup<kFormat>(source, block, g, x, piece, sums);
  }
  StoreSums(totals, sums);
}

// The first piece that meets some columns reads them from `first`, all others from `source`.
template <PackedFormat kFormat, typename FirstSource, typename Source>
static void QuantizedPanel(const FirstSource& first, const Source& source, const GemmTask& task, int64_t panel,
                           const QuantizedActivations& x) {
  const auto* row_scales = reinterpret_cast<const float*>(task.weights.data + panel * task.weights.panel_bytes);
  const F32x16 row_scale = HasRowScale(kFormat) ? Load(row_scales) : Zero();
  PanelTimesTokens(task, panel, x.tiling, HasRowScale(kFormat) ? &row_scale : nullptr,
                   [&](int64_t begin, int64_t end, const Piece& piece, auto count, float* totals) {
                     constexpr int kTokens = decltype(count)::value;
                     const int64_t group = begin / kGroupColumns;
                     const int64_t group_end = end / kGroupColumns;
                     if (piece.b + piece.first == 0) {
                       AddGroups<kFormat, kTokens>(first, group, group_end, x, piece, totals);
                     } else {
                       AddGroups<kFormat, kTokens>(source, group, group_end, x, piece, totals);
                     }
                   });
}

template <PackedFormat kFormat>
static void GemmQuantizedAs(const GemmTask& task, const QuantizedActivations& x) {
  for (int64_t panel = task.panel_begin; panel < task.panel_end; ++panel) {
    const PackedSource<kFormat> packed{task.weights.data + panel * task.weights.panel_bytes};
    if constexpr (!HasRowScale(kFormat)) {  // bytes and a row's scale are what they would be expanded to
      if (x.tiling.num_tokens > kExpandBeyondTokens) {
        const auto expanded = ExpandedIn<kFormat>(task.scratch, task.weights.columns / kGroupColumns);
        QuantizedPanel<kFormat>(ExpandingSource<kFormat>{packed, expanded}, expanded, task, panel, x);
        continue;
      }
    }
    QuantizedPanel<kFormat>(packed, packed, task, panel, x);
  }
}

static void GemmQuantized(const GemmTask& task, const QuantizedActivations& x) {
  WithFormat(task.weights.format, [&](auto format) {
    if constexpr (IsQuantized(decltype(format)::value)) {
      GemmQuantizedAs<decltype(format)::value>(task, x);
    } else {
      __builtin_trap();  // float formats go to the other products
    }
  });
}

// ---- BF16 weights times BF16 activations: a panel's lines are pairs already.

template <int kTokens>
[[gnu::noinline]] static void AddBf16Pairs(const std::byte* lines, int64_t pair, int64_t end, const uint16_t* pairs,
                                           int64_t tile_width, float* totals) {
  const int64_t width = WidthOf<kTokens>(tile_width);
  F32x16 sums[kTokens];
  LoadSums(totals, sums);
  for (; pair < end; ++pair) {
    const I32x16 line = LoadI32(lines + pair * 64);
    __builtin_prefetch(lines + pair * 64 + 2048);
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) sums[t] = DotBf16(sums[t], line, pairs + (pair * width + t) * 2);
  }
  StoreSums(totals, sums);
}

// Paths with matrix tiles have their own.
[[maybe_unused]] static void GemmBf16(const GemmTask& task, const PairActivations& x) {
  const int64_t num_pairs = (x.columns + 1) / 2;
  for (int64_t panel = task.panel_begin; panel < task.panel_end; ++panel) {
    const std::byte* lines = task.weights.data + panel * task.weights.panel_bytes;
    PanelTimesTokens(
        task, panel, x.tiling, nullptr, [&](int64_t begin, int64_t end, const Piece& piece, auto count, float* totals) {
          AddBf16Pairs<decltype(count)::value>(lines, begin / 2, (end + 1) / 2,
                                               x.values + (piece.b * num_pairs + piece.first) * 2, piece.width, totals);
        });
  }
}

// ---- F16 weights times 14-bit activations. Both become integers for a group of 32 columns: the weights of each row multiples
// of a power of two, the largest one below 2^13, so that those down to an eighth of it keep all their bits. 32 products of 13
// bits each add up within int32.

inline constexpr int kInt16WeightBits = 13;

// A panel of kF16 as one of kI16.
static void PackInt16(const std::byte* halves, int64_t columns, std::byte* panel) {
  const int64_t even = (columns + 1) / 2 * 2;
  std::byte* lines = panel + Int16LinesAt(columns);
  for (int64_t k = 0; k < even; k += kGroupColumns) {
    const int64_t end = even - k < kGroupColumns ? even : k + kGroupColumns;
    F32x16 largest = Set1(0x1p-30f);  // below every F16
    for (int64_t i = k; i < end; ++i) largest = Max(largest, Abs(LoadF16(halves + i * 32)));
    const I32x16 exponent = ShiftRight<23>(F32ToBits(largest));
    StoreI8(reinterpret_cast<int8_t*>(panel + k / kGroupColumns * kPanelRows), SubI32(exponent, Set1I32(127)));
    const I32x16 inverse_exponent = SubI32(Set1I32(254 + kInt16WeightBits - 1), exponent);
    const F32x16 inverse = BitsToF32(ShiftLeft<23>(inverse_exponent));
    for (int64_t i = k; i < end; i += 2) {
      const I32x16 low = RoundToI32(Mul(LoadF16(halves + i * 32), inverse));
      const I32x16 high = RoundToI32(Mul(LoadF16(halves + i * 32 + 32), inverse));
      StoreI32(lines + i * 32, AddI32(And(low, Set1I32(0xffff)), ShiftLeft<16>(high)));
    }
  }
}

// What one means in a group, row by row.
static inline F32x16 Int16Scale(const std::byte* panel, int64_t g) {
  return BitsToF32(ShiftLeft<23>(AddI32(LoadI8(panel + g * kPanelRows), Set1I32(127 - (kInt16WeightBits - 1)))));
}

template <int kTokens>
[[gnu::noinline]] static void AddInt16Groups(const std::byte* panel, const std::byte* lines, int64_t g, int64_t end,
                                             const uint16_t* pairs, const float* x_scales, int64_t tile_width, float* totals) {
  const int64_t width = WidthOf<kTokens>(tile_width);
  F32x16 sums[kTokens];
  LoadSums(totals, sums);
  for (; g < end; ++g) {
    const F32x16 scale = Int16Scale(panel, g);
    const std::byte* group_lines = lines + g * 1024;
    const uint16_t* group = pairs + g * 16 * width * 2;
    I32x16 dots[kTokens];
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) dots[t] = Set1I32(0);
#pragma GCC unroll 16
    for (int pair = 0; pair < 16; ++pair) {
      const I32x16 line = LoadI32(group_lines + pair * 64);
      __builtin_prefetch(group_lines + pair * 64 + 2048);
#pragma GCC unroll 12
      for (int t = 0; t < kTokens; ++t) dots[t] = DotI16(dots[t], line, group + (pair * width + t) * 2);
    }
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) sums[t] = Fma(ToF32(dots[t]), Mul(scale, Set1(x_scales[g * width + t])), sums[t]);
  }
  StoreSums(totals, sums);
}

static void GemmInt16(const GemmTask& task, const PairActivations& x) {
  const int64_t groups = Int16Groups(x.columns);
  for (int64_t panel = task.panel_begin; panel < task.panel_end; ++panel) {
    const std::byte* packed = task.weights.data + panel * task.weights.panel_bytes;
    const std::byte* lines = packed + Int16LinesAt(x.columns);
    PanelTimesTokens(
        task, panel, x.tiling, nullptr, [&](int64_t begin, int64_t end, const Piece& piece, auto count, float* totals) {
          AddInt16Groups<decltype(count)::value>(packed, lines, begin / kGroupColumns, Int16Groups(end),
                                                 x.values + (piece.b * groups * (kGroupColumns / 2) + piece.first) * 2,
                                                 x.scales + piece.b * groups + piece.first, piece.width, totals);
        });
  }
}

// ---- Float products. Weights of any format are decoded to lines of 16 floats, one line a column.

template <PackedFormat kFormat>
static void DecodeQuantizedGroup(const std::byte* panel, int64_t g, float* lines) {
  const PackedSource<kFormat> source{panel};
  const auto block = source.BlockOf(g);
  const F32x16 zero_point = Set1(static_cast<float>(ZeroPointOf(kFormat)));
  const I32x16 byte = Set1I32(0xff);
  const auto decode = [&](I32x16 q, F32x16 scale, float* line) {
    const F32x16 value = ToF32(And(q, byte));
    if constexpr (HasMinimum(kFormat)) {
      Store(line, Add(Mul(value, scale), source.Minimum(block, g)));
    } else {
      Store(line, Mul(Sub(value, zero_point), scale));
    }
  };
  const auto decode_quad = [&](I32x16 quad, F32x16 scale, float* first) {
    decode(quad, scale, first);
    decode(ShiftRight<8>(quad), scale, first + 16);
    decode(ShiftRight<16>(quad), scale, first + 32);
    decode(ShiftRight<24>(quad), scale, first + 48);
  };
  const F32x16 scale = source.Scale(block, g);
  F32x16 upper_scale = scale;
  if constexpr (HasTwoScales(kFormat)) upper_scale = source.UpperScale(block, g);
  ForEachIndex<0, 8>(
      [&](auto i) { decode_quad(source.template Line<i.value>(g), i.value < 4 ? scale : upper_scale, lines + i.value * 64); });
}

// Decodes columns [k, k + count) of a panel of `columns`; k is a multiple of 32, count at most 32. Answers where the lines are.
template <PackedFormat kFormat>
static inline const float* DecodeColumns(const std::byte* panel, int64_t columns, int64_t k, int64_t count, float* lines) {
  if constexpr (IsQuantized(kFormat)) {
    DecodeQuantizedGroup<kFormat>(panel, k / kGroupColumns, lines);
    return lines;
  } else if constexpr (kFormat == PackedFormat::kF32) {
    return reinterpret_cast<const float*>(panel) + k * 16;
  } else if constexpr (kFormat == PackedFormat::kF16) {
    for (int64_t i = 0; i < count; ++i) Store(lines + i * 16, LoadF16(panel + (k + i) * 32));
    return lines;
  } else if constexpr (kFormat == PackedFormat::kI16) {
    const F32x16 scale = Mul(Int16Scale(panel, k / kGroupColumns), Set1(0x1p-16f));  // of the upper half of a word
    for (int64_t i = 0; i < count; i += 2) {
      const I32x16 pair = LoadI32(panel + Int16LinesAt(columns) + (k + i) * 32);
      Store(lines + i * 16, Mul(ToF32(ShiftLeft<16>(pair)), scale));
      Store(lines + i * 16 + 16, Mul(ToF32(And(pair, Set1I32(static_cast<int32_t>(0xffff0000u)))), scale));
    }
    return lines;
  } else {
    for (int64_t i = 0; i < count; i += 2) {
      const I32x16 pair = LoadI32(panel + (k + i) * 32);
      Store(lines + i * 16, BitsToF32(ShiftLeft<16>(pair)));
      Store(lines + i * 16 + 16, BitsToF32(And(pair, Set1I32(static_cast<int32_t>(0xffff0000u)))));
    }
    return lines;
  }
}

// Lines of 16 floats, one line a column, decoded group by group where they are not expanded.
template <PackedFormat kFormat, int kTokens>
[[gnu::noinline]] static void AddFloatColumns(const std::byte* packed, int64_t columns, const float* expanded, int64_t begin,
                                              int64_t end, const float* values, int64_t tile_width, float* totals) {
  const int64_t width = WidthOf<kTokens>(tile_width);
  alignas(64) float decoded[32 * 16];
  F32x16 sums[kTokens];
  LoadSums(totals, sums);
  for (int64_t k = begin; k < end; k += 32) {
    const int64_t n = end - k < 32 ? end - k : 32;
    const float* lines = expanded != nullptr ? expanded + k * 16 : DecodeColumns<kFormat>(packed, columns, k, n, decoded);
    for (int64_t i = 0; i < n; ++i) {
      const F32x16 weights = Load(lines + i * 16);
#pragma GCC unroll 12
      for (int t = 0; t < kTokens; ++t) sums[t] = Fma(weights, Set1(values[(k + i) * width + t]), sums[t]);
    }
  }
  StoreSums(totals, sums);
}

template <PackedFormat kFormat>
static void GemmFloatAs(const GemmTask& task, const FloatActivations& x) {
  const int64_t columns = (task.weights.columns + 1) / 2 * 2;
  const bool expand = x.tiling.num_tokens > kExpandBeyondTokens && kFormat != PackedFormat::kF32;
  for (int64_t panel = task.panel_begin; panel < task.panel_end; ++panel) {
    const std::byte* packed = task.weights.data + panel * task.weights.panel_bytes;
    for (int64_t k = 0; expand && k < columns; k += 32) {
      DecodeColumns<kFormat>(packed, task.weights.columns, k, columns - k < 32 ? columns - k : 32, task.scratch + k * 16);
    }
    PanelTimesTokens(
        task, panel, x.tiling, nullptr, [&](int64_t begin, int64_t end, const Piece& piece, auto count, float* totals) {
          AddFloatColumns<kFormat, decltype(count)::value>(packed, task.weights.columns, expand ? task.scratch : nullptr, begin,
                                                           end + end % 2, x.values + piece.b * columns + piece.first, piece.width,
                                                           totals);
        });
  }
}

static void GemmFloat(const GemmTask& task, const FloatActivations& x) {
  WithFormat(task.weights.format, [&](auto format) { GemmFloatAs<decltype(format)::value>(task, x); });
}
