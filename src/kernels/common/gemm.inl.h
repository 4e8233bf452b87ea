// Matrix products over F32x16 lanes = 16 rows of a panel. Included once per instruction set, inside its namespace.
//
// Estimate for the quantised product on 512-bit VNNI with two ports: a group of 32 columns of one token costs 8 dot
// products, a conversion, a multiplication and an FMA (one FMA more with minimums), 11 or 12 port slots of which 8 are the
// work: at most 73 or 67 % of the peak of dot products.

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

// What the sums of integer products start at: minus the zero point times the sum of the activations, so that it costs nothing.
template <PackedFormat kFormat>
static inline int32_t StartOf(const QuantizedActivations& x, int64_t at) {
  constexpr int kZeroPoint = ZeroPointOf(kFormat);
  if constexpr (kZeroPoint == 0) return 0;
  if constexpr (kZeroPoint == 128) return x.neg_sums_128[at];
  return x.neg_sums_8[at] * (kZeroPoint / 8);
}

// Tokens [first, first + kTokens) of a tile that starts at token `b` and is `width` wide.
template <PackedFormat kFormat, int kTokens, typename Source>
static inline void QuantizedTile(const Source& source, int64_t groups, const QuantizedActivations& x, int64_t b, int64_t width,
                                 int64_t first, F32x16 (&sums)[kTokens]) {
  constexpr bool kTwoScales = HasTwoScales(kFormat);
  const int8_t* values = x.values + b * x.columns + first * 4;
  const int64_t at = b * groups + first;
  const float* scales = x.scales + at;
  const float* scaled_sums = x.scaled_sums + at;
#pragma GCC unroll 12
  for (int t = 0; t < kTokens; ++t) sums[t] = Zero();
  for (int64_t g = 0; g < groups; ++g) {
    I32x16 dots[kTokens];
    I32x16 upper[kTwoScales ? kTokens : 1];  // of columns 16 to 31, where they have a scale of their own
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) {
      const int64_t i = g * width + t;
      if constexpr (kTwoScales) {
        const int32_t lower_start = x.neg_lower_sums_32[at + i];
        dots[t] = Set1I32(lower_start);
        upper[t] = Set1I32(StartOf<kFormat>(x, at + i) - lower_start);
      } else {
        dots[t] = Set1I32(StartOf<kFormat>(x, at + i));
      }
    }
    const int8_t* group = values + g * 32 * width;
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      I32x16 low, high;
      source.LinePair(g, j, &low, &high);
#pragma GCC unroll 12
      for (int t = 0; t < kTokens; ++t) {
        int32_t quad;
        __builtin_memcpy(&quad, group + (j * width + t) * 4, 4);
        dots[t] = DotU8I8<MaxWeightOf(kFormat)>(dots[t], low, quad);
      }
#pragma GCC unroll 12
      for (int t = 0; t < kTokens; ++t) {
        int32_t quad;
        __builtin_memcpy(&quad, group + ((j + 4) * width + t) * 4, 4);
        I32x16& sum = kTwoScales ? upper[kTwoScales ? t : 0] : dots[t];
        sum = DotU8I8<MaxWeightOf(kFormat)>(sum, high, quad);
      }
    }
    const F32x16 scale = source.Scale(g);
#pragma GCC unroll 12
    for (int t = 0; t < kTokens; ++t) {
      const F32x16 x_scale = Set1(scales[g * width + t]);
      sums[t] = Fma(ToF32(dots[t]), Mul(scale, x_scale), sums[t]);
      if constexpr (kTwoScales) sums[t] = Fma(ToF32(upper[t]), Mul(source.UpperScale(g), x_scale), sums[t]);
      if constexpr (HasMinimum(kFormat)) sums[t] = Fma(source.Minimum(g), Set1(scaled_sums[g * width + t]), sums[t]);
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
    case PackedFormat::kBf16:
      return body(Format<PackedFormat::kBf16>{});
    case PackedFormat::kF32:
      return body(Format<PackedFormat::kF32>{});
  }
}

// Cuts every tile into pieces of at most kPieceTokens tokens and calls body(b, width, first, Count).
template <int kPieceTokens, typename Body>
static inline void ForEachPiece(const Tiling& tiling, const Body& body) {
  for (int64_t tile = 0; tile < tiling.num_tiles(); ++tile) {
    const int64_t b = tiling.Begin(tile);
    const int64_t width = tiling.Begin(tile + 1) - b;
    for (int64_t first = 0; first < width; first += kPieceTokens) {
      const int64_t n = width - first < kPieceTokens ? width - first : kPieceTokens;
      WithCount<kPieceTokens>(n, [&](auto count) { body(b, width, first, count); });
    }
  }
}

template <PackedFormat kFormat, typename Source>
static void QuantizedPanel(const Source& source, const GemmTask& task, int64_t panel, const QuantizedActivations& x) {
  // Two sums of integers a token leave registers for half as many tokens.
  constexpr int kPieceTokens = HasTwoScales(kFormat) ? (kGemmTokens + 1) / 2 : kGemmTokens;
  ForEachPiece<kPieceTokens>(x.tiling, [&](int64_t b, int64_t width, int64_t first, auto count) {
    constexpr int kTokens = decltype(count)::value;
    F32x16 sums[kTokens];
    // On paths whose tile is the widest one, a tile is never cut: its width is known to the compiler.
    QuantizedTile<kFormat, kTokens>(source, task.weights.columns / kGroupColumns, x, b,
                                    kPieceTokens == kMaxTileTokens ? kTokens : width, first, sums);
    StoreTile<kTokens>(sums, task, panel, b + first);
  });
}

// Beyond this many tokens a panel is expanded once for all of its tiles; up to one tile it is decoded on the way.
inline constexpr int64_t kExpandBeyondTokens = kMaxTileTokens;

template <PackedFormat kFormat>
static void GemmQuantizedAs(const GemmTask& task, const QuantizedActivations& x) {
  for (int64_t panel = task.panel_begin; panel < task.panel_end; ++panel) {
    const PackedSource<kFormat> packed{task.weights.data + panel * task.weights.panel_bytes};
    if constexpr (!HasBytes(kFormat)) {  // bytes are what they would be expanded to
      if (x.tiling.num_tokens > kExpandBeyondTokens) {
        QuantizedPanel<kFormat>(Expand(packed, task.weights.columns / kGroupColumns, task.scratch), task, panel, x);
        continue;
      }
    }
    QuantizedPanel<kFormat>(packed, task, panel, x);
  }
}

static void GemmQuantized(const GemmTask& task, const QuantizedActivations& x) {
  WithFormat(task.weights.format, [&](auto format) {
    if constexpr (IsQuantized(decltype(format)::value)) {
      GemmQuantizedAs<decltype(format)::value>(task, x);
    } else {
      __builtin_trap();  // float formats go to GemmFloat
    }
  });
}

// ---- Float products. Weights of any format are decoded to lines of 16 floats, one line a column.

template <PackedFormat kFormat>
static void DecodeQuantizedGroup(const std::byte* panel, int64_t g, float* lines) {
  const PackedSource<kFormat> source{panel};
  const F32x16 zero_point = Set1(static_cast<float>(ZeroPointOf(kFormat)));
  const I32x16 byte = Set1I32(0xff);
  const auto decode = [&](I32x16 q, F32x16 scale, float* line) {
    const F32x16 value = ToF32(And(q, byte));
    if constexpr (HasMinimum(kFormat)) {
      Store(line, Add(Mul(value, scale), source.Minimum(g)));
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
  const F32x16 scale = source.Scale(g);
  F32x16 upper_scale = scale;
  if constexpr (HasTwoScales(kFormat)) upper_scale = source.UpperScale(g);
  for (int j = 0; j < 4; ++j) {
    I32x16 low, high;
    source.LinePair(g, j, &low, &high);
    decode_quad(low, scale, lines + j * 64);
    decode_quad(high, upper_scale, lines + (16 + j * 4) * 16);
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
    ForEachPiece<kGemmTokens>(x.tiling, [&](int64_t b, int64_t width, int64_t first, auto count) {
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
  WithFormat(task.weights.format, [&](auto format) { GemmFloatAs<decltype(format)::value>(task, x); });
}
