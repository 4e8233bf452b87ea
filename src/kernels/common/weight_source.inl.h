// Where a panel's quantised weights come from: the packed bytes, or the same expanded to one byte a weight. Both give, for a
// group g of 32 columns, lines of bytes u (line i: columns 4i ..), and
//   value = (u - ZeroPointOf(format)) * Scale(block, g) [+ Minimum(block, g)]
// where columns from 16 on have a scale of their own, UpperScale(block, g), in formats with HasTwoScales. `block` is what the
// groups of a block have in common: BlockOf(g). Included once per instruction set.

// A bound on u, which says how many products an AVX2 sum of 16 bits can take.
constexpr int MaxWeightOf(PackedFormat format) {
  if (HasBytes(format) || format == PackedFormat::kIq4) return 255;
  if (format == PackedFormat::kQ6K) return 63;
  return HasFifthBits(format) ? 31 : 15;
}

// Calls body(tag of i) for i in [kBegin, kEnd).
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

// Moves bit kBit of each byte to bit 4.
template <int kBit>
[[gnu::always_inline]] static inline I32x16 ShiftTo4(I32x16 bits) {
  if constexpr (kBit < 4) return ShiftLeft<4 - kBit>(bits);
  if constexpr (kBit > 4) return ShiftRight<kBit - 4>(bits);
  return bits;
}

template <PackedFormat kFormat>
struct PackedSource {
  const std::byte* panel;
  static constexpr PanelParts kParts = PartsOf(kFormat);

  const std::byte* Block(int64_t g) const { return panel + kParts.BlockAt(g); }
  const std::byte* Group(int64_t g) const { return panel + kParts.GroupAt(g); }
  const std::byte* Lines(int64_t g) const { return Group(g) + kParts.group_header; }

  // The factors of a block's scales and minimums, where it has some.
  struct BlockScales {
    F32x16 scale, minimum;
  };
  BlockScales BlockOf(int64_t g) const {
    if constexpr (kParts.block_header == 0) return {Zero(), Zero()};
    if constexpr (kParts.block_header == 32) return {LoadF16(Block(g)), Zero()};
    return {LoadF16(Block(g)), Sub(Zero(), LoadF16(Block(g) + 32))};
  }
  F32x16 Scale(const BlockScales& block, int64_t g) const {
    if constexpr (kFormat == PackedFormat::kI8) {
      return Load(reinterpret_cast<const float*>(panel));
    } else if constexpr (HasTwoScales(kFormat)) {
      return Mul(block.scale, ToF32(LoadI8(Group(g))));
    } else if constexpr (kParts.block_header > 0) {
      return Mul(block.scale, ToF32(LoadU8(Group(g))));
    } else {
      return LoadF16(Group(g));
    }
  }
  // Of columns 16 to 31, in formats with two scales.
  F32x16 UpperScale(const BlockScales& block, int64_t g) const { return Mul(block.scale, ToF32(LoadI8(Group(g) + 16))); }
  F32x16 Minimum(const BlockScales& block, int64_t g) const {
    if constexpr (kParts.block_header > 0) {
      return Mul(block.minimum, ToF32(LoadU8(Group(g) + 16)));
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
    if constexpr (HasFifthBits(kFormat) || HasTwoScales(kFormat)) {
      return Whole<i>(nibbles, LoadI32(lines + (HasTwoScales(kFormat) && i >= 4 ? 320 : 256)));
    } else {
      return Whole<i>(nibbles, nibbles);
    }
  }

  // Calls body(tag of j, line j, line 4 + j) for j in [0, 4), loading everything once. Upper lines are times 16 where that saves
  // shifting them. Other sources, which only many tokens meet, have no such thing.
  static constexpr bool kHasPairs = true;
  static constexpr bool kUpperTimes16 =
      !HasBytes(kFormat) && !HasFifthBits(kFormat) && !HasTwoScales(kFormat) && kFormat != PackedFormat::kIq4;
  template <typename Body>
  [[gnu::always_inline]] void ForEachPair(int64_t g, const Body& body) const {
    if constexpr (HasBytes(kFormat)) {
      ForEachIndex<0, 4>([&](auto j) { body(j, Line<j.value>(g), Line<4 + j.value>(g)); });
      return;
    }
    const std::byte* lines = Lines(g);
    constexpr bool kHasUpperBits = HasFifthBits(kFormat) || HasTwoScales(kFormat);
    const I32x16 lower_bits = kHasUpperBits ? InRegister(LoadI32(lines + 256)) : Set1I32(0);
    const I32x16 upper_bits = HasTwoScales(kFormat) ? InRegister(LoadI32(lines + 320)) : lower_bits;
    ForEachIndex<0, 4>([&](auto tag) {
      constexpr int j = decltype(tag)::value;
      const I32x16 both = InRegister(LoadI32(lines + j * 64));
      const I32x16 lower = And(both, Set1I32(0x0f0f0f0f));
      if constexpr (kUpperTimes16) {
        body(tag, lower, And(both, Set1I32(static_cast<int32_t>(0xf0f0f0f0u))));
      } else {
        const I32x16 upper = And(ShiftRight<4>(both), Set1I32(0x0f0f0f0f));
        body(tag, Whole<j>(lower, lower_bits), Whole<4 + j>(upper, upper_bits));
      }
    });
  }

  // Asks for what is needed some groups later: the stream of a panel crosses pages, where the processor's own prefetching ends.
  void Prefetch(int64_t g) const {
    constexpr int64_t kAheadBytes = 2048;
    const std::byte* ahead = Group(g) + kAheadBytes;
    for (int64_t at = 0; at < kParts.group_bytes(); at += 64) __builtin_prefetch(ahead + at);
  }

 private:
  // Line i from its nibbles and the line that has their upper bits.
  template <int i>
  static I32x16 Whole(I32x16 nibbles, I32x16 bits) {
    if constexpr (kFormat == PackedFormat::kIq4) return LookUpIq4(nibbles);
    if constexpr (HasFifthBits(kFormat)) return MergeBits(nibbles, ShiftTo4<i>(bits), 0x10101010);
    if constexpr (HasTwoScales(kFormat)) return MergeBits(nibbles, ShiftTo4<2 * (i % 4)>(bits), 0x30303030);
    return nibbles;
  }
};

// A panel in scratch memory: [groups][8][64] bytes, and what its format's scales are as the products need them.
template <PackedFormat kFormat>
struct ExpandedSource {
  std::byte* lines;
  float* scales;   // [groups][16]: Scale
  float* seconds;  // [groups][16]: Minimum or UpperScale

  static constexpr bool kHasPairs = false;
  struct BlockScales {};
  BlockScales BlockOf(int64_t) const { return {}; }
  F32x16 Scale(BlockScales, int64_t g) const { return Load(scales + g * 16); }
  F32x16 Minimum(BlockScales, int64_t g) const { return Load(seconds + g * 16); }
  F32x16 UpperScale(BlockScales, int64_t g) const { return Load(seconds + g * 16); }
  template <int i>
  I32x16 Line(int64_t g) const {
    return LoadI32(lines + g * 512 + i * 64);
  }
  void Prefetch(int64_t) const {}
};

// A packed panel that is read the first time: what the products ask for, in order and once, is written down as they go, which
// costs them little, for theirs are the busy ports. Afterwards `expanded` has the groups that were read.
template <PackedFormat kFormat>
struct ExpandingSource {
  PackedSource<kFormat> packed;
  ExpandedSource<kFormat> expanded;

  static constexpr bool kHasPairs = false;
  using BlockScales = typename PackedSource<kFormat>::BlockScales;
  BlockScales BlockOf(int64_t g) const { return packed.BlockOf(g); }
  F32x16 Scale(const BlockScales& block, int64_t g) const { return Keep(expanded.scales + g * 16, packed.Scale(block, g)); }
  F32x16 Minimum(const BlockScales& block, int64_t g) const { return Keep(expanded.seconds + g * 16, packed.Minimum(block, g)); }
  F32x16 UpperScale(const BlockScales& block, int64_t g) const {
    return Keep(expanded.seconds + g * 16, packed.UpperScale(block, g));
  }
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
    const auto block = source.BlockOf(g);
    source.Scale(block, g);
    if constexpr (HasTwoScales(kFormat)) source.UpperScale(block, g);
    if constexpr (HasMinimum(kFormat)) source.Minimum(block, g);
    ForEachIndex<0, 8>([&](auto i) { source.template Line<i.value>(g); });
  }
  return source.expanded;
}
