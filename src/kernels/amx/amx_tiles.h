// Matrix tiles of the processor: tiles 0 to 3 hold the sums of four groups, 4 the activations of a group, 5 its weights.
class AmxTiles {
 public:
  explicit AmxTiles(int num_tokens) {
    struct alignas(64) Config {
      uint8_t palette = 1;
      uint8_t start_row = 0;
      uint8_t reserved[14] = {};
      uint16_t column_bytes[16] = {};
      uint8_t rows[16] = {};
    } config;
    for (int tile = 0; tile < 4; ++tile) {
      config.rows[tile] = static_cast<uint8_t>(num_tokens);
      config.column_bytes[tile] = kPanelRows * 4;
    }
    config.rows[4] = static_cast<uint8_t>(num_tokens);
    config.column_bytes[4] = kGroupColumns;
    config.rows[5] = kGroupColumns / 4;
    config.column_bytes[5] = kPanelRows * 4;
    _tile_loadconfig(&config);
  }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;
  ~AmxTiles() { _tile_release(); }

  // As EmulatedTiles::Multiply; at most four groups.
  void Multiply(const int8_t* activations, int64_t stride, const std::byte* weights, int64_t count,
                int32_t (*dots)[kMaxTileTokens][kPanelRows]) const {
    MultiplyGroup<0>(activations, stride, weights, dots);
    if (count > 1) MultiplyGroup<1>(activations, stride, weights, dots);
    if (count > 2) MultiplyGroup<2>(activations, stride, weights, dots);
    if (count > 3) MultiplyGroup<3>(activations, stride, weights, dots);
  }

 private:
  template <int i>
  static void MultiplyGroup(const int8_t* activations, int64_t stride, const std::byte* weights,
                            int32_t (*dots)[kMaxTileTokens][kPanelRows]) {
    // In assembly, because GCC's intrinsics take only a literal for the number of a tile.
    __asm__ volatile(
        "tilezero %%tmm%c[sums]\n\t"
        "tileloadd (%[x],%[x_stride],1), %%tmm4\n\t"
        "tileloadd (%[w],%[line],1), %%tmm5\n\t"
        "tdpbsud %%tmm5, %%tmm4, %%tmm%c[sums]\n\t"
        "tilestored %%tmm%c[sums], (%[out],%[line],1)"
        :
        : [sums] "i"(i), [x] "r"(activations + i * kGroupColumns), [x_stride] "r"(stride), [w] "r"(weights + i * 512),
          [line] "r"(int64_t{64}), [out] "r"(dots[i])
        : "memory");
  }
};
