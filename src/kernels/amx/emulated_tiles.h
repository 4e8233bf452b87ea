// What AmxTiles computes, in plain loops over the same memory: lets every machine test the arithmetic around the tiles.
class EmulatedTiles {
 public:
  explicit EmulatedTiles(int num_tokens) : num_tokens_(num_tokens) {}

  // dots[i][t][row] = sum over the 32 columns of group i of activation (signed) times weight (unsigned), for `count` groups.
  // Activations: [num_tokens] rows `stride` bytes apart, 32 bytes a group. Weights: [count][8][16][4].
  void Multiply(const int8_t* activations, int64_t stride, const std::byte* weights, int64_t count,
                int32_t (*dots)[kMaxTileTokens][kPanelRows]) const {
    for (int64_t i = 0; i < count; ++i) {
      for (int t = 0; t < num_tokens_; ++t) {
        for (int row = 0; row < kPanelRows; ++row) {
          int32_t sum = 0;
          for (int k = 0; k < kGroupColumns; ++k) {
            const auto weight = static_cast<uint8_t>(weights[i * 512 + k / 4 * 64 + row * 4 + k % 4]);
            sum += activations[t * stride + i * kGroupColumns + k] * weight;
          }
          dots[i][t][row] = sum;
        }
      }
    }
  }

 private:
  int num_tokens_;
};
