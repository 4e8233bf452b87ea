// Matrix tiles of the processor: 0 to 3 hold sums, 4 and 5 activations, 6 and 7 weights. In assembly, because GCC's intrinsics
// take only literals for the numbers of tiles.
class AmxTiles {
 public:
  // As EmulatedTiles.
  AmxTiles(int num_rows, int num_lines) {
    struct alignas(64) Config {
      uint8_t palette = 1;
      uint8_t start_row = 0;
      uint8_t reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } config;
    for (int tile = 0; tile < 4; ++tile) {
      config.rows[tile] = static_cast<uint8_t>(num_rows);
      config.row_bytes[tile] = kPanelRows * 4;
    }
    for (int tile = 4; tile < 6; ++tile) {
      config.rows[tile] = static_cast<uint8_t>(num_rows);
      config.row_bytes[tile] = static_cast<uint16_t>(num_lines * 4);
    }
    for (int tile = 6; tile < 8; ++tile) {
      config.rows[tile] = static_cast<uint8_t>(num_lines);
      config.row_bytes[tile] = kPanelRows * 4;
    }
    // GCC's own _tile_loadconfig reads eight bytes, as the compiler sees it, and loses what was written to the others.
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
  }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;
  ~AmxTiles() { _tile_release(); }

  template <int kSum>
  void Zero() {
    __asm__ volatile("tilezero %%tmm%c[tile]" : : [tile] "i"(kSum));
  }
  template <int kSum>
  void LoadSums(const void* from, int64_t stride) {
    LoadTile<kSum>(from, stride);
  }
  template <int kSum>
  void StoreSums(void* to, int64_t stride) const {
    __asm__ volatile("tilestored %%tmm%c[tile], (%[to],%[stride],1)"
                     :
                     : [tile] "i"(kSum), [to] "r"(to), [stride] "r"(stride)
                     : "memory");
  }
  template <int kPlace>
  void LoadActivations(const void* from, int64_t stride) {
    LoadTile<4 + kPlace>(from, stride);
  }
  template <int kPlace>
  void LoadWeights(const void* from, int64_t stride) {
    LoadTile<6 + kPlace>(from, stride);
  }
  template <int kSum, int kActivations, int kWeights>
  void AddInt8() {
    __asm__ volatile("tdpbssd %%tmm%c[w], %%tmm%c[x], %%tmm%c[sum]"
                     :
                     : [sum] "i"(kSum), [x] "i"(4 + kActivations), [w] "i"(6 + kWeights));
  }
  template <int kSum, int kActivations, int kWeights>
  void AddBf16() {
    __asm__ volatile("tdpbf16ps %%tmm%c[w], %%tmm%c[x], %%tmm%c[sum]"
                     :
                     : [sum] "i"(kSum), [x] "i"(4 + kActivations), [w] "i"(6 + kWeights));
  }

 private:
  template <int kTile>
  static void LoadTile(const void* from, int64_t stride) {
    __asm__ volatile("tileloadd (%[from],%[stride],1), %%tmm%c[tile]"
                     :
                     : [tile] "i"(kTile), [from] "r"(from), [stride] "r"(stride)
                     : "memory");
  }
};
