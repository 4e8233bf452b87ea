// Matrix products over F32x16 lanes = 16 rows of a panel. Included once per instruction set, inside its namespace.
//
// Estimate for the quantised product on 512-bit VNNI with two ports: a group of 32 columns of one token costs 8 dot
// products, a conversion, a multiplication and an FMA (one FMA more with minimums), 11 or 12 port slots of which 8 are the
// work: at most 73 or 67 % of the peak of dot products.

// ---- Where a panel's weights come from: the packed bytes, or the same expanded to one byte a weight.

template <PackedFormat kFormat>
struct PackedSource {
  const std::byte* panel;
  static constexpr int kMaxWeight = kFormat == PackedFormat::kQ8 ? 255 : 15;
  static constexpr int64_t kHeader = kFormat == PackedFormat::kQ4M ? 64 : 32;

  const std::byte* Group(int64_t g) const { return panel + g * GroupBytes(kFormat); }
  F32x16 Scale(int64_t g) const { return LoadF16(Group(g)); }
  F32x16 Minimum(int64_t g) const { return LoadF16(Group(g) + 32); }
  // Lines of columns 4j..4j+3 and 16+4j..16+4j+3.
  void LinePair(int64_t g, int j, I32x16* low, I32x16* high) const {
    const std::byte* lines = Group(g) + kHeader;
    if constexpr (kFormat == PackedFormat::kQ8) {
      *low = LoadI32(lines + j * 64);
      *high = LoadI32(lines + (j + 4) * 64);
    } else {
      const I32x16 nibbles = LoadI32(lines + j * 64);
      const I32x16 mask = Set1I32(0x0f0f0f0f);
      *low = And(nibbles, mask);
      *high = And(ShiftRight<4>(nibbles), mask);
    }
  }
};

template <PackedFormat kFormat>
struct ExpandedSource {
  const std::byte* lines;  // [groups][8][64]
  const float* scales;     // [groups][16]
  const float* minimums;   // [groups][16], kQ4M only
  static constexpr int kMaxWeight = PackedSource<kFormat>::kMaxWeight;

  F32x16 Scale(int64_t g) const { return Load(scales + g * 16); }
  F32x16 Minimum(int64_t g) const { return Load(minimums + g * 16); }
  void LinePair(int64_t g, int j, I32x16* low, I32x16* high) const {
    *low = LoadI32(lines + g * 512 + j * 64);
    *high = LoadI32(lines + g * 512 + (j + 4) * 64);
  }
};

template <PackedFormat kFormat>
static ExpandedSource<kFormat> Expand(const PackedSource<kFormat>& packed, int64_t groups, float* scratch) {
  float* scales = scratch;
  float* minimums = scales + groups * 16;
  std::byte* lines = reinterpret_cast<std::byte*>(minimums + groups * 16);
  for (int64_t g = 0; g < groups; ++g) {
    Store(scales + g * 16, packed.Scale(g));
    if constexpr (kFormat == PackedFormat::kQ4M) Store(minimums + g * 16, packed.Minimum(g));
    for (int j = 0; j < 4; ++j) {
      I32x16 low, high;
      packed.LinePair(g, j, &low, &high);
      StoreI32(lines + g * 512 + j * 64, low);
      StoreI32(lines + g * 512 + (j + 4) * 64, high);
    }
  }
  return {lines, scales, minimums};
}

// ---- One panel times kTokens tokens of a tile.

template <int kTokens>
static inline void StoreTile(const F32x16 (&sums)[kTokens], const GemmTask& task, int64_t panel, int64_t token) {
  const bool add = task.epilogue == Epilogue::kAdd;
  const int64_t row = panel * kPanelRows;
  const int rows = static_cast<int>(task.num_rows - row < kPanelRows ? task.num_rows - row : kPanelRows);
#pragma GCC unroll 12
  for (int t = 0; t < kTokens; ++t) {
    float* out = task.out + (token + t) * task.out_stride + row;
    if (rows == kPanelRows) {
      Store(out, add ? Add(Load(out), sums[t]) : sums[t]);
    } else {
      StoreFirst(out, add ? Add(LoadFirst(out, rows), sums[t]) : sums[t], rows);
    }
  }
}

// Tokens [first, first + kTokens) of a tile that starts at token `b` and is `width` wide.
template <PackedFormat kFormat, int kTokens, typename Source>
static inline void QuantizedTile(const Source& source, int64_t groups, const QuantizedActivations& x, int64_t b, int64_t width,
                                 int64_t first, F32x16 (&sums)[kTokens]) {
  const int8_t* values = x.values + b * x.columns + first * 4;
  const float* scales = x.scales + b * groups + first;
  const float* scaled_sums = x.scaled_sums + b * groups + first;
  const int32_t* starts = (kFormat == PackedFormat::kQ8 ? x.neg_sums_128 : x.neg_sums_8) + b * groups + first;
#pragma GCC unroll 12
  for (int t = 0; t < kTokens; ++t) sums[t] = Zero();
  for (int64_t g = 0; g < groups; ++g) {
    I32x16 dots[kTokens];
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) dots[t] = Set1I32(kFormat == PackedFormat::kQ4M ? 0 : starts[g * width + t]);
    const int8_t* group = values + g * 32 * width;
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      I32x16 low, high;
      source.LinePair(g, j, &low, &high);
#pragma GCC unroll 12
      for (int t = 0; t < kTokens; ++t) {
        int32_t quad;
        __builtin_memcpy(&quad, group + (j * width + t) * 4, 4);
        dots[t] = DotU8I8<Source::kMaxWeight>(dots[t], low, quad);
      }
#pragma GCC unroll 12
      for (int t = 0; t < kTokens; ++t) {
        int32_t quad;
        __builtin_memcpy(&quad, group + ((j + 4) * width + t) * 4, 4);
        dots[t] = DotU8I8<Source::kMaxWeight>(dots[t], high, quad);
      }
    }
    const F32x16 scale = source.Scale(g);
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) {
      sums[t] = Fma(ToF32(dots[t]), Mul(scale, Set1(scales[g * width + t])), sums[t]);
      if constexpr (kFormat == PackedFormat::kQ4M) sums[t] = Fma(source.Minimum(g), Set1(scaled_sums[g * width + t]), sums[t]);
    }
  }
}

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

// Cuts every tile into pieces of at most kGemmTokens tokens and calls body(b, width, first, Count).
template <typename Body>
static inline void ForEachPiece(const Tiling& tiling, const Body& body) {
  for (int64_t tile = 0; tile < tiling.num_tiles(); ++tile) {
    const int64_t b = tiling.Begin(tile);
    const int64_t width = tiling.Begin(tile + 1) - b;
    for (int64_t first = 0; first < width; first += kGemmTokens) {
      const int64_t n = width - first < kGemmTokens ? width - first : kGemmTokens;
      WithCount<kGemmTokens>(n, [&](auto count) { body(b, width, first, count); });
    }
  }
}

template <PackedFormat kFormat, typename Source>
static void QuantizedPanel(const Source& source, const GemmTask& task, int64_t panel, const QuantizedActivations& x) {
  ForEachPiece(x.tiling, [&](int64_t b, int64_t width, int64_t first, auto count) {
    constexpr int kTokens = decltype(count)::value;
    F32x16 sums[kTokens];
    // On paths whose tile is the widest one, a tile is never cut: its width is known to the compiler.
    QuantizedTile<kFormat, kTokens>(source, task.weights.columns / kGroupColumns, x, b,
                                    kGemmTokens == kMaxTileTokens ? kTokens : width, first, sums);
    StoreTile<kTokens>(sums, task, panel, b + first);
  });
}

// Beyond this many tokens a panel is expanded once for all of its tiles; up to one tile it is decoded on the way.
inline constexpr int64_t kExpandBeyondTokens = kMaxTileTokens;

template <PackedFormat kFormat>
static void GemmQuantizedAs(const GemmTask& task, const QuantizedActivations& x) {
  for (int64_t panel = task.panel_begin; panel < task.panel_end; ++panel) {
    const PackedSource<kFormat> packed{task.weights.data + panel * task.weights.panel_bytes};
    if constexpr (kFormat != PackedFormat::kQ8) {  // bytes are what they would be expanded to
      if (x.tiling.num_tokens > kExpandBeyondTokens) {
        QuantizedPanel<kFormat>(Expand(packed, task.weights.columns / kGroupColumns, task.scratch), task, panel, x);
        continue;
      }
    }
    QuantizedPanel<kFormat>(packed, task, panel, x);
  }
}

static void GemmQuantized(const GemmTask& task, const QuantizedActivations& x) {
  switch (task.weights.format) {
    case PackedFormat::kQ4:
      return GemmQuantizedAs<PackedFormat::kQ4>(task, x);
    case PackedFormat::kQ4M:
      return GemmQuantizedAs<PackedFormat::kQ4M>(task, x);
    case PackedFormat::kQ8:
      return GemmQuantizedAs<PackedFormat::kQ8>(task, x);
    default:
      __builtin_trap();  // float formats go to GemmFloat
  }
}

// ---- Float products. Weights of any format are decoded to lines of 16 floats, one line a column.

template <PackedFormat kFormat>
static void DecodeQuantizedGroup(const std::byte* panel, int64_t g, float* lines) {
  const PackedSource<kFormat> source{panel};
  const F32x16 scale = source.Scale(g);
  const F32x16 zero_point = Set1(kFormat == PackedFormat::kQ4 ? 8.0f : (kFormat == PackedFormat::kQ8 ? 128.0f : 0.0f));
  const I32x16 byte = Set1I32(0xff);
  const auto decode = [&](I32x16 q, float* line) {
    const F32x16 value = ToF32(And(q, byte));
    if constexpr (kFormat == PackedFormat::kQ4M) {
      Store(line, Add(Mul(value, scale), source.Minimum(g)));
    } else {
      Store(line, Mul(Sub(value, zero_point), scale));
    }
  };
  const auto decode_quad = [&](I32x16 quad, float* first) {
    decode(quad, first);
    decode(ShiftRight<8>(quad), first + 16);
    decode(ShiftRight<16>(quad), first + 32);
    decode(ShiftRight<24>(quad), first + 48);
  };
  for (int j = 0; j < 4; ++j) {
    I32x16 low, high;
    source.LinePair(g, j, &low, &high);
    decode_quad(low, lines + j * 64);
    decode_quad(high, lines + (16 + j * 4) * 16);
  }
}

// Decodes columns [k, k + count) of a panel; k is a multiple of 32, count at most 32. Answers where the lines are.
template <PackedFormat kFormat>
static inline const float* DecodeColumns(const std::byte* panel, int64_t k, int64_t count, float* lines) {
  if constexpr (IsQuantized(kFormat)) {
    DecodeQuantizedGroup<kFormat>(panel, k / kGroupColumns, lines);
    return lines;
  } else if constexpr (kFormat == PackedFormat::kF32) {
    return reinterpret_cast<const float*>(panel) + k * 16;
  } else if constexpr (kFormat == PackedFormat::kF16) {
    for (int64_t i = 0; i < count; ++i) Store(lines + i * 16, LoadF16(panel + (k + i) * 32));
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

template <PackedFormat kFormat>
static void GemmFloatAs(const GemmTask& task, const FloatActivations& x) {
  const int64_t columns = (task.weights.columns + 1) / 2 * 2;
  const bool expand = x.tiling.num_tokens > kExpandBeyondTokens && kFormat != PackedFormat::kF32;
  for (int64_t panel = task.panel_begin; panel < task.panel_end; ++panel) {
    const std::byte* packed = task.weights.data + panel * task.weights.panel_bytes;
    for (int64_t k = 0; expand && k < columns; k += 32) {
      DecodeColumns<kFormat>(packed, k, columns - k < 32 ? columns - k : 32, task.scratch + k * 16);
    }
    ForEachPiece(x.tiling, [&](int64_t b, int64_t width, int64_t first, auto count) {
      constexpr int kTokens = decltype(count)::value;
      const float* values = x.values + b * columns + first;
      alignas(64) float decoded[32 * 16];
      F32x16 sums[kTokens];
#pragma GCC unroll 12
      for (int t = 0; t < kTokens; ++t) sums[t] = Zero();
      for (int64_t k = 0; k < columns; k += 32) {
        const int64_t n = columns - k < 32 ? columns - k : 32;
        const float* lines = expand ? task.scratch + k * 16 : DecodeColumns<kFormat>(packed, k, n, decoded);
        for (int64_t i = 0; i < n; ++i) {
          const F32x16 weights = Load(lines + i * 16);
#pragma GCC unroll 12
          for (int t = 0; t < kTokens; ++t) sums[t] = Fma(weights, Set1(values[(k + i) * width + t]), sums[t]);
        }
      }
      StoreTile<kTokens>(sums, task, panel, b + first);
    });
  }
}

static void GemmFloat(const GemmTask& task, const FloatActivations& x) {
  switch (task.weights.format) {
    case PackedFormat::kQ4:
      return GemmFloatAs<PackedFormat::kQ4>(task, x);
    case PackedFormat::kQ4M:
      return GemmFloatAs<PackedFormat::kQ4M>(task, x);
    case PackedFormat::kQ8:
      return GemmFloatAs<PackedFormat::kQ8>(task, x);
    case PackedFormat::kF16:
      return GemmFloatAs<PackedFormat::kF16>(task, x);
    case PackedFormat::kBf16:
      return GemmFloatAs<PackedFormat::kBf16>(task, x);
    case PackedFormat::kF32:
      return GemmFloatAs<PackedFormat::kF32>(task, x);
  }
}
