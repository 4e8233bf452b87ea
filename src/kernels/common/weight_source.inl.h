// Where a panel's quantised weights come from: the packed bytes, or the same expanded to one byte a weight. Both give, for a
// group g of 32 columns, lines of bytes u (line i: columns 4i ..), and
//   value = (u - ZeroPointOf(format)) * Scale(g) [+ Minimum(g)]
// where columns from 16 on have a scale of their own, UpperScale(g), in formats with HasTwoScales. Included once per
// instruction set.

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

  // Bytes of columns [4i, 4i + 4) of the group.
  template <int i>
  I32x16 Line(int64_t g) const {
    const std::byte* lines = Lines(g);
    if constexpr (HasBytes(kFormat)) return LoadI32(lines + i * 64);
    constexpr int j = i % 4;
    I32x16 nibbles = LoadI32(lines + j * 64);
    if constexpr (i >= 4) nibbles = ShiftRight<4>(nibbles);
    nibbles = And(nibbles, Set1I32(0x0f0f0f0f));
    if constexpr (kFormat == PackedFormat::kIq4) {
      return LookUpIq4(nibbles);
    } else if constexpr (HasFifthBits(kFormat)) {
      const I32x16 bits = And(ShiftRight<i>(LoadI32(lines + 256)), Set1I32(0x01010101));
      return AddI32(nibbles, ShiftLeft<4>(bits));
    } else if constexpr (kFormat == PackedFormat::kQ6K) {
      const I32x16 bits = And(ShiftRight<2 * j>(LoadI32(lines + (i < 4 ? 256 : 320))), Set1I32(0x03030303));
      return AddI32(nibbles, ShiftLeft<4>(bits));
    } else {
      return nibbles;
    }
  }

  // Asks for what is needed some groups later: the stream of a panel crosses pages, where the processor's own prefetching ends.
  void Prefetch(int64_t g) const {
    constexpr int64_t kAheadBytes = 2048;
    const std::byte* ahead = Group(g) + kAheadBytes;
    for (int64_t at = 0; at < kParts.group_bytes(); at += 64) __builtin_prefetch(ahead + at);
  }
};

// A panel in scratch memory: [groups][8][64] bytes, and what its format's scales are as the products need them.
template <PackedFormat kFormat>
struct ExpandedSource {
  std::byte* lines;
  float* scales;   // [groups][16]: Scale
  float* seconds;  // [groups][16]: Minimum or UpperScale

  F32x16 Scale(int64_t g) const { return Load(scales + g * 16); }
  F32x16 Minimum(int64_t g) const { return Load(seconds + g * 16); }
  F32x16 UpperScale(int64_t g) const { return Load(seconds + g * 16); }
  template <int i>
  I32x16 Line(int64_t g) const {
    return LoadI32(lines + g * 512 + i * 64);
  }
  void Prefetch(int64_t) const {}
};

// Calls body(tag of i) for i in [0, kEnd).
template <int i>
struct Index {
  static constexpr int value = i;
};
template <int kBegin, int kEnd, typename Body>
[[gnu::always_inline]] static inline void ForEachIndex(const Body& body) {
  if constexpr (kBegin < kEnd) {
    body(Index<kBegin>{});
    ForEachIndex<kBegin + 1, kEnd>(body);
  }
}

// A packed panel that is read the first time: what the products ask for, in order and once, is written down as they go, which
// costs them little, for theirs are the busy ports. Afterwards `expanded` has the groups that were read.
template <PackedFormat kFormat>
struct ExpandingSource {
  PackedSource<kFormat> packed;
  ExpandedSource<kFormat> expanded;

  F32x16 Scale(int64_t g) const { return Keep(expanded.scales + g * 16, packed.Scale(g)); }
  F32x16 Minimum(int64_t g) const { return Keep(expanded.seconds + g * 16, packed.Minimum(g)); }
  F32x16 UpperScale(int64_t g) const { return Keep(expanded.seconds + g * 16, packed.UpperScale(g)); }
  template <int i>
  I32x16 Line(int64_t g) const {
    const I32x16 line = packed.template Line<i>(g);
    StoreI32(expanded.lines + g * 512 + i * 64, line);
    return line;
  }
  void Prefetch(int64_t g) const { packed.Prefetch(g); }

 private:
  static F32x16 Keep(float* place, F32x16 value) {
    Store(place, value);
    return value;
  }
};

// Where a panel of `groups` groups is expanded in scratch memory.
template <PackedFormat kFormat>
static inline ExpandedSource<kFormat> ExpandedIn(float* scratch, int64_t groups) {
  return {reinterpret_cast<std::byte*>(scratch + groups * 32), scratch, scratch + groups * 16};
}

template <PackedFormat kFormat>
static ExpandedSource<kFormat> Expand(const PackedSource<kFormat>& packed, int64_t groups, float* scratch) {
  const ExpandingSource<kFormat> source{packed, ExpandedIn<kFormat>(scratch, groups)};
  for (int64_t g = 0; g < groups; ++g) {
    source.Prefetch(g);
    source.Scale(g);
    if constexpr (HasTwoScales(kFormat)) source.UpperScale(g);
    if constexpr (HasMinimum(kFormat)) source.Minimum(g);
    ForEachIndex<0, 8>([&](auto i) { source.template Line<i.value>(g); });
  }
  return source.expanded;
}
