// What matrix tiles reach with products alone. Included once per path, after peaks.inl.h.

template <typename Tiles>
static int64_t RunPeakByTiles(PeakOp op, int64_t rounds) {
  if (op != PeakOp::kInt8 && op != PeakOp::kBf16) return RunPeak(op, rounds);
  alignas(64) static constexpr std::byte kZeros[1024] = {};
  Tiles tiles(16, 16);
  tiles.template LoadActivations<0>(kZeros, 64);
  tiles.template LoadActivations<1>(kZeros, 64);
  tiles.template LoadWeights<0>(kZeros, 64);
  tiles.template LoadWeights<1>(kZeros, 64);
  ForEachIndex<0, 4>([&](auto sum) { tiles.template Zero<sum.value>(); });
  constexpr int64_t kRoundsEach = 16;  // a product of tiles takes as long as that many of vectors
  for (int64_t round = 0; round < rounds; round += kRoundsEach) {
    ForEachIndex<0, 4>([&](auto sum) {
      constexpr int kSum = decltype(sum)::value;
      if (op == PeakOp::kInt8) {
        tiles.template AddInt8<kSum, kSum / 2, kSum % 2>();
      } else {
        tiles.template AddBf16<kSum, kSum / 2, kSum % 2>();
      }
    });
  }
  const int64_t columns = op == PeakOp::kInt8 ? 64 : 32;
  return (rounds + kRoundsEach - 1) / kRoundsEach * 4 * 16 * kPanelRows * columns * 2;
}
