// Loops that do nothing but the products a path multiplies with: what they reach is what a kernel could reach at best.
// Included once per instruction set, inside its namespace.

// Independent sums, enough to hide the latency of a product on every path, and few enough for its registers.
inline constexpr int kPeakSums = kGemmTokens == 12 ? 12 : 6;

// product(sum, operand): each sum has an operand of its own, which no compiler may think the same in the next round.
template <typename Sum, typename Product>
static inline void RunProducts(int64_t rounds, Sum (&sums)[kPeakSums], const Product& product) {
  alignas(64) static constexpr int8_t kOperands[kPeakSums * 4] = {1, -2, 3, -4, 5, -6, 7, -8, 9};
  const int8_t* operands = kOperands;
  for (int64_t round = 0; round < rounds; ++round) {
    __asm__ volatile("" : "+r"(operands));
#pragma GCC unroll 12
    for (int i = 0; i < kPeakSums; ++i) sums[i] = product(sums[i], operands + i * 4);
  }
}

template <int kMaxWeight>
static inline I32x16 AddProducts(I32x16 sum, I32x16 weights, const int8_t* quad) {
  if constexpr (kWordLines<kMaxWeight> > 1) {
    return AddWords(sum, WordsU8I8<kMaxWeight>(weights, quad));
  } else {
    return DotU8I8<kMaxWeight>(sum, weights, quad);
  }
}

static int64_t RunPeak(PeakOp op, int64_t rounds) {
  alignas(64) int32_t sink[16];
  // Lanes that the compiler knows nothing of: halves of a vector that are alike it would compute once.
  alignas(64) static constexpr float kLanes[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  const float* lanes = kLanes;
  __asm__ volatile("" : "+r"(lanes));
  if (op == PeakOp::kF32) {
    F32x16 sums[kPeakSums];
#pragma GCC unroll 12
    for (int t = 0; t < kPeakSums; ++t) sums[t] = Add(Load(lanes), Set1(static_cast<float>(t)));
    const F32x16 a = Load(lanes);
    RunProducts(rounds, sums, [&](F32x16 sum, const int8_t*) { return Fma(a, a, sum); });
#pragma GCC unroll 12
    for (int t = 1; t < kPeakSums; ++t) sums[0] = Add(sums[0], sums[t]);
    Store(reinterpret_cast<float*>(sink), sums[0]);
    __asm__ volatile("" : : "r"(sink) : "memory");
    return rounds * kPeakSums * 16 * 2;
  }
  if (op == PeakOp::kBf16) {
    F32x16 sums[kPeakSums];
#pragma GCC unroll 12
    for (int t = 0; t < kPeakSums; ++t) sums[t] = Add(Load(lanes), Set1(static_cast<float>(t)));
    const I32x16 pairs = LoadI32(lanes);
    RunProducts(rounds, sums, [&](F32x16 sum, const int8_t* pair) { return DotBf16(sum, pairs, pair); });
#pragma GCC unroll 12
    for (int t = 1; t < kPeakSums; ++t) sums[0] = Add(sums[0], sums[t]);
    Store(reinterpret_cast<float*>(sink), sums[0]);
    __asm__ volatile("" : : "r"(sink) : "memory");
    return rounds * kPeakSums * 32 * 2;
  }
  I32x16 sums[kPeakSums];
#pragma GCC unroll 12
  for (int t = 0; t < kPeakSums; ++t) sums[t] = AddI32(LoadI32(lanes), Set1I32(t));
  const I32x16 weights = LoadI32(lanes);
  if (op == PeakOp::kInt8) {
    RunProducts(rounds, sums, [&](I32x16 sum, const int8_t* quad) { return AddProducts<15>(sum, weights, quad); });
  } else {
    RunProducts(rounds, sums, [&](I32x16 sum, const int8_t* pair) { return DotI16(sum, weights, pair); });
  }
#pragma GCC unroll 12
  for (int t = 1; t < kPeakSums; ++t) sums[0] = AddI32(sums[0], sums[t]);
  StoreI32(sink, sums[0]);
  __asm__ volatile("" : : "r"(sink) : "memory");
  return rounds * kPeakSums * (op == PeakOp::kInt8 ? 64 : 32) * 2;
}

static int32_t ReadBytes(const std::byte* bytes, int64_t count) {
  I32x16 sums[4] = {Set1I32(0), Set1I32(0), Set1I32(0), Set1I32(0)};
  for (int64_t i = 0; i + 256 <= count; i += 256) {
#pragma GCC unroll 4
    for (int line = 0; line < 4; ++line) sums[line] = AddI32(sums[line], LoadI32(bytes + i + line * 64));
  }
  return ReduceAddI32(AddI32(AddI32(sums[0], sums[1]), AddI32(sums[2], sums[3])));
}
