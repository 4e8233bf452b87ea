// What AmxTiles computes, in plain loops over the same memory: lets every machine test the arithmetic around the tiles.
//
// Sums are [num_rows][16] int32 or float. A tile of activations is num_rows rows of num_lines * 4 bytes, a tile of weights
// num_lines lines of 64 bytes, [16 weight rows][4 bytes]; strides are in bytes.
class EmulatedTiles {
 public:
  EmulatedTiles(int num_rows, int num_lines) : num_rows_(num_rows), num_lines_(num_lines) {}
  EmulatedTiles(const EmulatedTiles&) = delete;
  EmulatedTiles& operator=(const EmulatedTiles&) = delete;

  template <int kSum>
  void Zero() {
    std::memset(sums_[kSum], 0, sizeof(sums_[kSum]));
  }
  template <int kSum>
  void LoadSums(const void* from, int64_t stride) {
    Copy(sums_[kSum], 64, from, stride, num_rows_, 64);
  }
  template <int kSum>
  void StoreSums(void* to, int64_t stride) const {
    Copy(to, stride, sums_[kSum], 64, num_rows_, 64);
  }
  template <int kPlace>
  void LoadActivations(const void* from, int64_t stride) {
    Copy(activations_[kPlace], 64, from, stride, num_rows_, num_lines_ * 4);
  }
  template <int kPlace>
  void LoadWeights(const void* from, int64_t stride) {
    Copy(weights_[kPlace], 64, from, stride, num_lines_, 64);
  }

  // sum[r][n] += products of signed bytes over the lines.
  template <int kSum, int kActivations, int kWeights>
  void AddInt8() {
    ForEachSum(kSum, [&](int r, int n, int32_t sum) {
      for (int k = 0; k < num_lines_ * 4; ++k) {
        sum +=
            static_cast<int8_t>(activations_[kActivations][r][k]) * static_cast<int8_t>(weights_[kWeights][k / 4][n * 4 + k % 4]);
      }
      return sum;
    });
  }
  // sum[r][n] += (the products of even columns, added up one by one) + (those of odd ones).
  template <int kSum, int kActivations, int kWeights>
  void AddBf16() {
    ForEachSum(kSum, [&](int r, int n, int32_t bits) {
      float parts[2] = {0, 0};
      for (int line = 0; line < num_lines_; ++line) {
        for (int odd = 0; odd < 2; ++odd) {
          parts[odd] = std::fma(Bf16At(activations_[kActivations][r], line * 2 + odd),
                                Bf16At(weights_[kWeights][line], n * 2 + odd), parts[odd]);
        }
      }
      float sum;
      std::memcpy(&sum, &bits, 4);
      sum += parts[0] + parts[1];
      std::memcpy(&bits, &sum, 4);
      return bits;
    });
  }

 private:
  static void Copy(void* to, int64_t to_stride, const void* from, int64_t from_stride, int rows, int bytes) {
    for (int r = 0; r < rows; ++r) {
      std::memcpy(static_cast<std::byte*>(to) + r * to_stride, static_cast<const std::byte*>(from) + r * from_stride,
                  static_cast<size_t>(bytes));
    }
  }
  static float Bf16At(const std::byte* bytes, int i) {
    uint16_t half;
    std::memcpy(&half, bytes + i * 2, 2);
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }
  template <typename NewSum>
  void ForEachSum(int sum, const NewSum& new_sum) {
    for (int r = 0; r < num_rows_; ++r) {
      for (int n = 0; n < kPanelRows; ++n) sums_[sum][r][n] = new_sum(r, n, sums_[sum][r][n]);
    }
  }

  int num_rows_, num_lines_;
  int32_t sums_[4][16][16] = {};
  std::byte activations_[2][16][64] = {};
  std::byte weights_[2][16][64] = {};
};
