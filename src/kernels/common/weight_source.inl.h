// Where a panel's quantised weights come from: the packed bytes, or the same expanded to one byte a weight. Both give, for a
// group g of 32 columns, bytes u of line pairs (columns 4j.. and 16 + 4j..), and
//   value = (u - ZeroPointOf(format)) * Scale(g) [+ Minimum(g)]
// where columns from 16 on have a scale of their own in formats with HasTwoScales. Included once per instruction set.

constexpr bool HasMinimum(PackedFormat format) {
  return format == PackedFormat::kQ4M || format == PackedFormat::kQ5M || format == PackedFormat::kQ4K ||
         format == PackedFormat::kQ5K;
}
constexpr bool HasTwoScales(PackedFormat format) { return format == PackedFormat::kQ6K; }
constexpr bool HasBytes(PackedFormat format) { return format == PackedFormat::kQ8 || format == PackedFormat::kI8; }
constexpr bool HasFifthBits(PackedFormat format) {
  return format == PackedFormat::kQ5 || format == PackedFormat::kQ5M || format == PackedFormat::kQ5K;
}
constexpr int ZeroPointOf(PackedFormat format) {
  if (HasMinimum(format)) return 0;
  if (format == PackedFormat::kQ4) return 8;
  if (format == PackedFormat::kQ5) return 16;
  return format == PackedFormat::kQ6K ? 32 : 128;
}
// A bound on u, which says how many products an AVX2 sum of 16 bits can take.
constexpr int MaxWeightOf(PackedFormat format) {
  if (HasBytes(format) || format == PackedFormat::kIq4) return 255;
  if (format == PackedFormat::kQ6K) return 63;
  return HasFifthBits(format) ? 31 : 15;
}

template <PackedFormat kFormat>
struct PackedSource {
  const std::byte* panel;
  static constexpr PanelParts kParts = PartsOf(kFormat);

  const std::byte* Block(int64_t g) const { return panel + kParts.BlockAt(g); }
  const std::byte* Group(int64_t g) const { return panel + kParts.GroupAt(g); }
  const std::byte* Lines(int64_t g) const { return Group(g) + kParts.group_header; }

  F32x16 Scale(int64_t g) const {
    if constexpr (kFormat == PackedFormat::kI8) {
      return Load(reinterpret_cast<const float*>(panel));
    } else if constexpr (HasTwoScales(kFormat)) {
      return Mul(LoadF16(Block(g)), ToF32(LoadI8(Group(g))));
    } else if constexpr (kParts.block_header > 0) {
      return Mul(LoadF16(Block(g)), ToF32(LoadU8(Group(g))));
    } else {
      return LoadF16(Group(g));
    }
  }
  // Of columns 16 to 31, in formats with two scales.
  F32x16 UpperScale(int64_t g) const { return Mul(LoadF16(Block(g)), ToF32(LoadI8(Group(g) + 16))); }
  F32x16 Minimum(int64_t g) const {
    if constexpr (kParts.block_header > 0) {
      return Sub(Zero(), Mul(LoadF16(Block(g) + 32), ToF32(LoadU8(Group(g) + 16))));
    } else {
      return LoadF16(Group(g) + 32);
    }
  }

  void LinePair(int64_t g, int j, I32x16* low, I32x16* high) const {
    const std::byte* lines = Lines(g);
    if constexpr (HasBytes(kFormat)) {
      *low = LoadI32(lines + j * 64);
      *high = LoadI32(lines + (j + 4) * 64);
      return;
    }
    const I32x16 nibbles = LoadI32(lines + j * 64);
    const I32x16 mask = Set1I32(0x0f0f0f0f);
    *low = And(nibbles, mask);
    *high = And(ShiftRight<4>(nibbles), mask);
    if constexpr (kFormat == PackedFormat::kIq4) {
      *low = LookUpIq4(*low);
      *high = LookUpIq4(*high);
    } else if constexpr (HasFifthBits(kFormat)) {
      const I32x16 bits = LoadI32(lines + 256);
      const I32x16 one = Set1I32(0x01010101);
      *low = AddI32(*low, ShiftLeft<4>(And(ShiftRightBy(bits, j), one)));
      *high = AddI32(*high, ShiftLeft<4>(And(ShiftRightBy(bits, j + 4), one)));
    } else if constexpr (kFormat == PackedFormat::kQ6K) {
      const I32x16 three = Set1I32(0x03030303);
      *low = AddI32(*low, ShiftLeft<4>(And(ShiftRightBy(LoadI32(lines + 256), 2 * j), three)));
      *high = AddI32(*high, ShiftLeft<4>(And(ShiftRightBy(LoadI32(lines + 320), 2 * j), three)));
    }
  }
};

template <PackedFormat kFormat>
struct ExpandedSource {
  const std::byte* lines;  // [groups][8][64]
  const float* scales;     // [groups][16]
  const float* seconds;    // [groups][16]: minimums, or scales of columns 16 to 31

  F32x16 Scale(int64_t g) const { return Load(scales + g * 16); }
  F32x16 UpperScale(int64_t g) const { return Load(seconds + g * 16); }
  F32x16 Minimum(int64_t g) const { return Load(seconds + g * 16); }
  void LinePair(int64_t g, int j, I32x16* low, I32x16* high) const {
    *low = LoadI32(lines + g * 512 + j * 64);
    *high = LoadI32(lines + g * 512 + (j + 4) * 64);
  }
};

template <PackedFormat kFormat>
static ExpandedSource<kFormat> Expand(const PackedSource<kFormat>& packed, int64_t groups, float* scratch) {
  float* scales = scratch;
  float* seconds = scales + groups * 16;
  std::byte* lines = reinterpret_cast<std::byte*>(seconds + groups * 16);
  for (int64_t g = 0; g < groups; ++g) {
    Store(scales + g * 16, packed.Scale(g));
    if constexpr (HasMinimum(kFormat)) Store(seconds + g * 16, packed.Minimum(g));
    if constexpr (HasTwoScales(kFormat)) Store(seconds + g * 16, packed.UpperScale(g));
    for (int j = 0; j < 4; ++j) {
      I32x16 low, high;
      packed.LinePair(g, j, &low, &high);
      StoreI32(lines + g * 512 + j * 64, low);
      StoreI32(lines + g * 512 + (j + 4) * 64, high);
    }
  }
  return {lines, scales, seconds};
}
