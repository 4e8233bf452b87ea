#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "base/random.h"
#include "kernels/kernel_table.h"

namespace autoglm {
namespace {

struct AlignedBytes {
  explicit AlignedBytes(int64_t size) : memory(static_cast<std::byte*>(std::aligned_alloc(64, (size + 127) / 64 * 64))) {
    std::memset(memory.get(), 0, static_cast<size_t>(size));
  }
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<std::byte[], Free> memory;
  template <typename T>
  T* As() {
    return reinterpret_cast<T*>(memory.get());
  }
};

float Uniform(Random& random) { return static_cast<float>(random.NextDouble() * 2 - 1); }

std::vector<float> RandomFloats(Random& random, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = Uniform(random);
  return values;
}

// Halves of small normal numbers: sign, exponent 8..14, any mantissa.
uint16_t RandomHalf(Random& random) {
  return static_cast<uint16_t>((random.NextBelow(2) << 15) | ((8 + random.NextBelow(7)) << 10) | random.NextBelow(1024));
}
float FromHalf(uint16_t half) {
  return (half & 0x8000 ? -1.0f : 1.0f) * std::ldexp(1.0f + static_cast<float>(half & 1023) / 1024.0f, ((half >> 10) & 31) - 15);
}

// A random packed matrix and what it stands for.
struct TestMatrix {
  TestMatrix(PackedFormat format, int64_t num_rows, int64_t num_columns, uint64_t seed)
      : rows(num_rows), columns(num_columns), num_panels((rows + 15) / 16), bytes(num_panels * PanelBytes(format, columns)) {
    view = {format, columns, PanelBytes(format, columns), bytes.memory.get()};
    values.resize(static_cast<size_t>(num_panels * 16 * columns));
    Random random(seed);
    for (int64_t panel = 0; panel < num_panels; ++panel) {
      std::byte* data = bytes.memory.get() + panel * view.panel_bytes;
      IsQuantized(format) ? FillQuantized(random, panel, data) : FillFloats(random, panel, data);
    }
  }

  float& Value(int64_t row, int64_t k) { return values[static_cast<size_t>(row * columns + k)]; }

  void FillQuantized(Random& random, int64_t panel, std::byte* data) {
    const PanelParts parts = PartsOf(view.format);
    std::array<float, 16> row_scales{};
    if (view.format == PackedFormat::kI8) {
      for (float& scale : row_scales) scale = Uniform(random) / 64;
      std::memcpy(data, row_scales.data(), 64);
    }
    for (int64_t g = 0; g < columns / 32; ++g) {
      auto* block = reinterpret_cast<uint16_t*>(data + parts.BlockAt(g));
      auto* group = reinterpret_cast<uint8_t*>(data + parts.GroupAt(g));
      if (parts.block_header > 0 && g % parts.groups_per_block == 0) FillHalves(random, block, parts.block_header / 2);
      if (parts.block_header > 0) {
        for (int i = 0; i < 32; ++i)
          group[i] = static_cast<uint8_t>(random.NextBelow(view.format == PackedFormat::kQ6K ? 256 : 64));
      } else {
        FillHalves(random, reinterpret_cast<uint16_t*>(group), parts.group_header / 2);
      }
      uint8_t* lines = group + parts.group_header;
      for (int64_t i = 0; i < parts.lines_bytes; ++i) lines[i] = static_cast<uint8_t>(random.NextBelow(256));
      for (int r = 0; r < 16; ++r) {
        for (int k = 0; k < 32; ++k) {
          Value(panel * 16 + r, g * 32 + k) = Decode(Weight(lines, r, k), block, group, r, k, row_scales[static_cast<size_t>(r)]);
        }
      }
    }
  }

  static void FillHalves(Random& random, uint16_t* halves, int64_t count) {
    for (int64_t i = 0; i < count; ++i) halves[i] = RandomHalf(random);
  }

  // The stored number of one weight of a group, as packed_format.h says.
  int Weight(const uint8_t* lines, int r, int k) const {
    const int lane = r * 4 + k % 4;
    if (view.format == PackedFormat::kQ8 || view.format == PackedFormat::kI8) return lines[k / 4 * 64 + lane];
    const int byte = lines[k % 16 / 4 * 64 + lane];
    const int nibble = k < 16 ? byte & 15 : byte >> 4;
    switch (view.format) {
      case PackedFormat::kQ5:
      case PackedFormat::kQ5M:
      case PackedFormat::kQ5K:
        return nibble + 16 * (lines[256 + lane] >> (k / 4) & 1);
      case PackedFormat::kQ6K:
        return nibble + 16 * (lines[256 + k / 16 * 64 + lane] >> (k % 16 / 4 * 2) & 3);
      default:
        return nibble;
    }
  }

  float Decode(int q, const uint16_t* block, const uint8_t* group, int r, int k, float row_scale) const {
    const auto* halves = reinterpret_cast<const uint16_t*>(group);
    const auto value = static_cast<float>(q);
    switch (view.format) {
      case PackedFormat::kQ4:
        return (value - 8) * FromHalf(halves[r]);
      case PackedFormat::kQ5:
        return (value - 16) * FromHalf(halves[r]);
      case PackedFormat::kIq4:
        return static_cast<float>(kIq4Values[q]) * FromHalf(halves[r]);
      case PackedFormat::kQ4M:
      case PackedFormat::kQ5M:
        return value * FromHalf(halves[r]) + FromHalf(halves[16 + r]);
      case PackedFormat::kQ8:
        return (value - 128) * FromHalf(halves[r]);
      case PackedFormat::kI8:
        return (value - 128) * row_scale;
      case PackedFormat::kQ6K:
        return (value - 32) * (FromHalf(block[r]) * static_cast<float>(static_cast<int8_t>(group[k / 16 * 16 + r])));
      default:
        return value * (FromHalf(block[r]) * static_cast<float>(group[r])) -
               FromHalf(block[16 + r]) * static_cast<float>(group[16 + r]);
    }
  }

  void FillFloats(Random& random, int64_t panel, std::byte* data) {
    std::byte* packed = data;
    AlignedBytes unpacked(PanelBytes(PackedFormat::kF16, columns));
    if (view.format == PackedFormat::kI16) data = unpacked.As<std::byte>();
    for (int r = 0; r < 16; ++r) {
      for (int64_t k = 0; k < columns; ++k) {
        float value = Uniform(random);
        if (view.format == PackedFormat::kF32) {
          reinterpret_cast<float*>(data)[k * 16 + r] = value;
        } else if (view.format == PackedFormat::kF16 || view.format == PackedFormat::kI16) {
          const uint16_t half = RandomHalf(random);
          reinterpret_cast<uint16_t*>(data)[k * 16 + r] = half;
          value = FromHalf(half);
        } else {
          const auto bits = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
          reinterpret_cast<uint16_t*>(data)[(k / 2 * 16 + r) * 2 + k % 2] = bits;
          value = std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
        }
        Value(panel * 16 + r, k) = value;
      }
    }
    if (view.format != PackedFormat::kI16) return;
    GetKernels(Isa::kScalar).pack_int16(data, columns, packed);
    const auto* exponents = reinterpret_cast<const int8_t*>(packed);
    const auto* numbers = reinterpret_cast<const int16_t*>(packed + Int16LinesAt(columns));
    for (int r = 0; r < 16; ++r) {
      for (int64_t k = 0; k < columns; ++k) {
        Value(panel * 16 + r, k) = std::ldexp(numbers[(k / 2 * 16 + r) * 2 + k % 2], exponents[k / 32 * 16 + r] - 12);
      }
    }
  }

  int64_t rows, columns, num_panels;
  AlignedBytes bytes;
  PanelView view;
  std::vector<float> values;
};

using Kind = ActivationKind;

// Activations of some tokens in one form, as the kernels of `kernels` write them.
struct TestActivations {
  TestActivations(const KernelTable& kernels, const std::vector<float>& x, int64_t columns, Kind kind)
      : tiling(static_cast<int64_t>(x.size()) / columns, kernels.tile_tokens),
        groups(tiling.num_tokens * ((columns + 31) / 32)),
        values(groups * 32 * 4 + 64),
        words(groups * 4 * 7 + 64) {
    auto* next = words.As<float>();
    const auto take = [&](int64_t times) {
      float* array = next;
      next += groups * times;
      return array;
    };
    quantized = {.tiling = tiling, .columns = columns, .values = values.As<int8_t>(), .scales = take(1)};
    quantized.starts_8 = reinterpret_cast<int32_t*>(take(1));
    quantized.starts_16 = reinterpret_cast<int32_t*>(take(1));
    quantized.starts_128 = reinterpret_cast<int32_t*>(take(1));
    quantized.half_starts_32 = reinterpret_cast<int32_t*>(take(2));
    quantized.scaled_sums = take(1);
    pairs = {.tiling = tiling, .columns = columns, .values = values.As<uint16_t>(), .scales = words.As<float>()};
    floats = {.tiling = tiling, .columns = columns, .values = values.As<float>()};
    for (int64_t tile = 0; tile < tiling.num_tiles(); ++tile) {
      const int64_t b = tiling.Begin(tile);
      const int64_t width = tiling.Begin(tile + 1) - b;
      const float* rows = x.data() + b * columns;
      if (kind == Kind::kInt8) kernels.quantize_tile(rows, columns, b, width, quantized);
      if (kind == Kind::kInt16) kernels.int16_tile(rows, columns, b, width, pairs);
      if (kind == Kind::kBf16) kernels.bf16_tile(rows, columns, b, width, pairs);
      if (kind == Kind::kFloat) kernels.transpose_tile(rows, columns, b, width, floats);
    }
  }

  Tiling tiling;
  int64_t groups;
  AlignedBytes values, words;
  QuantizedActivations quantized;
  PairActivations pairs;
  FloatActivations floats;
};

// The product of `matrix` and tokens of `x` [tokens][columns], through tiles as Tiling cuts them.
std::vector<float> Product(const KernelTable& kernels, TestMatrix& matrix, const std::vector<float>& x, Kind kind,
                           Epilogue epilogue = Epilogue::kStore, std::vector<float> out = {}) {
  const TestActivations activations(kernels, x, matrix.columns, kind);
  out.resize(static_cast<size_t>(activations.tiling.num_tokens * matrix.rows));
  AlignedBytes scratch(GemmScratchBytes(matrix.columns));
  const GemmTask task{.weights = matrix.view,
                      .panel_begin = 0,
                      .panel_end = matrix.num_panels,
                      .out = out.data(),
                      .out_stride = matrix.rows,
                      .num_rows = matrix.rows,
                      .epilogue = epilogue,
                      .scratch = scratch.As<float>()};
  if (kind == Kind::kInt8) kernels.gemm_quantized(task, activations.quantized);
  if (kind == Kind::kInt16) kernels.gemm_int16(task, activations.pairs);
  if (kind == Kind::kBf16) kernels.gemm_bf16(task, activations.pairs);
  if (kind == Kind::kFloat) kernels.gemm_float(task, activations.floats);
  return out;
}

std::vector<float> PlainProduct(TestMatrix& matrix, const std::vector<float>& x) {
  const int64_t tokens = static_cast<int64_t>(x.size()) / matrix.columns;
  std::vector<float> out(static_cast<size_t>(tokens * matrix.rows));
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = 0; r < matrix.rows; ++r) {
      double sum = 0;
      for (int64_t k = 0; k < matrix.columns; ++k) sum += static_cast<double>(matrix.Value(r, k)) * x[t * matrix.columns + k];
      out[t * matrix.rows + r] = static_cast<float>(sum);
    }
  }
  return out;
}

double RelativeError(const std::vector<float>& got, const std::vector<float>& expected) {
  double error = 0, size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += std::pow(static_cast<double>(got[i]) - expected[i], 2);
    size += std::pow(static_cast<double>(expected[i]), 2);
  }
  return std::sqrt(error / size);
}

class Kernels : public testing::TestWithParam<Isa> {
 protected:
  const KernelTable& kernels() const { return GetKernels(GetParam()); }
  // The path in plain loops that computes the same in BF16.
  const KernelTable& bf16_reference() const { return GetParam() == Isa::kAmx ? EmulatedAmxKernels() : GetKernels(Isa::kScalar); }
};
INSTANTIATE_TEST_SUITE_P(Isa, Kernels, testing::ValuesIn(SupportedIsas()),
                         [](const auto& path) { return std::string(IsaName(path.param)); });

constexpr PackedFormat kQuantizedFormats[] = {PackedFormat::kQ4,  PackedFormat::kQ4M, PackedFormat::kIq4, PackedFormat::kQ5,
                                              PackedFormat::kQ5M, PackedFormat::kQ8,  PackedFormat::kI8,  PackedFormat::kQ4K,
                                              PackedFormat::kQ5K, PackedFormat::kQ6K};
constexpr PackedFormat kAllFormats[] = {PackedFormat::kQ4,   PackedFormat::kQ4M, PackedFormat::kIq4, PackedFormat::kQ5,
                                        PackedFormat::kQ5M,  PackedFormat::kQ8,  PackedFormat::kI8,  PackedFormat::kQ4K,
                                        PackedFormat::kQ5K,  PackedFormat::kQ6K, PackedFormat::kF16, PackedFormat::kI16,
                                        PackedFormat::kBf16, PackedFormat::kF32};

TEST_P(Kernels, QuantizedProduct_CloseToPlainProduct) {
  Random random(1);
  for (const PackedFormat format : kQuantizedFormats) {
    TestMatrix matrix(format, 37, 512, 7);
    const std::vector<float> x = RandomFloats(random, 5 * 512);
    EXPECT_LT(RelativeError(Product(kernels(), matrix, x, Kind::kInt8), PlainProduct(matrix, x)), 0.01)
        << static_cast<int>(format);
  }
}

TEST_P(Kernels, QuantizedProduct_BitsEqualScalarPath) {
  Random random(2);
  for (const PackedFormat format : kQuantizedFormats) {
    for (const int64_t tokens : {1, 2, 7, 12, 13, 31}) {
      const int64_t columns = 3 * std::max<int64_t>(32, ColumnMultiple(format));
      TestMatrix matrix(format, 50, columns, 9);
      const std::vector<float> x = RandomFloats(random, tokens * columns);
      EXPECT_EQ(Product(kernels(), matrix, x, Kind::kInt8), Product(GetKernels(Isa::kScalar), matrix, x, Kind::kInt8));
    }
  }
}

TEST_P(Kernels, FloatProduct_CloseToPlainProduct_AnyColumns) {
  Random random(3);
  for (const PackedFormat format : kAllFormats) {
    for (const int64_t columns : {32, 64, 7, 33, 72, 512}) {
      if (columns % ColumnMultiple(format) != 0) continue;
      TestMatrix matrix(format, 20, columns, 11);
      const std::vector<float> x = RandomFloats(random, 14 * columns);
      EXPECT_LT(RelativeError(Product(kernels(), matrix, x, Kind::kFloat), PlainProduct(matrix, x)), 1e-6)
          << static_cast<int>(format) << " columns " << columns;
    }
  }
}

TEST_P(Kernels, FloatProduct_BitsEqualScalarPath) {
  Random random(4);
  for (const PackedFormat format : kAllFormats) {
    TestMatrix matrix(format, 40, 256, 13);
    const std::vector<float> x = RandomFloats(random, 15 * 256);
    EXPECT_EQ(Product(kernels(), matrix, x, Kind::kFloat), Product(GetKernels(Isa::kScalar), matrix, x, Kind::kFloat));
  }
}

// What rounding to BF16 and to 14 bits costs: 2^-9 and 2^-14 of a value.
TEST_P(Kernels, PairProducts_CloseToPlainProduct_AnyColumns) {
  Random random(31);
  for (const auto& [format, kind, error] :
       {std::tuple(PackedFormat::kBf16, Kind::kBf16, 4e-3), std::tuple(PackedFormat::kI16, Kind::kInt16, 2e-4)}) {
    for (const int64_t columns : {32, 64, 7, 33, 72, 512, 1100}) {
      for (const int64_t tokens : {1, 14, 70}) {
        TestMatrix matrix(format, 20, columns, 11);
        const std::vector<float> x = RandomFloats(random, tokens * columns);
        EXPECT_LT(RelativeError(Product(kernels(), matrix, x, kind), PlainProduct(matrix, x)), error)
            << static_cast<int>(format) << " columns " << columns << " tokens " << tokens;
      }
    }
  }
}

TEST_P(Kernels, PairProducts_BitsEqualScalarPath) {
  Random random(32);
  for (const auto& [format, kind] : {std::pair(PackedFormat::kBf16, Kind::kBf16), std::pair(PackedFormat::kI16, Kind::kInt16)}) {
    for (const int64_t tokens : {1, 2, 7, 12, 13, 31, 70}) {
      TestMatrix matrix(format, 50, 1056, 9);
      const std::vector<float> x = RandomFloats(random, tokens * 1056);
      EXPECT_EQ(Product(kernels(), matrix, x, kind), Product(bf16_reference(), matrix, x, kind)) << tokens;
    }
  }
}

TEST_P(Kernels, PackInt16_BitsEqualScalarPath) {
  Random random(33);
  for (const int64_t columns : {32, 7, 72, 512}) {
    TestMatrix matrix(PackedFormat::kF16, 16, columns, 12);
    const int64_t num_bytes = PanelBytes(PackedFormat::kI16, columns);
    std::vector<std::byte> packed(static_cast<size_t>(num_bytes)), expected(static_cast<size_t>(num_bytes));
    kernels().pack_int16(matrix.bytes.As<std::byte>(), columns, packed.data());
    GetKernels(Isa::kScalar).pack_int16(matrix.bytes.As<std::byte>(), columns, expected.data());
    EXPECT_EQ(packed, expected) << columns;
  }
}

TEST_P(Kernels, Int16Product_LargestSumsDoNotOverflow) {
  TestMatrix matrix(PackedFormat::kI16, 16, 32, 23);
  const std::vector<uint16_t> halves(512, uint16_t{0x3fff});  // just below 2: all bits set
  kernels().pack_int16(reinterpret_cast<const std::byte*>(halves.data()), 32, matrix.bytes.As<std::byte>());
  const std::vector<float> out = Product(kernels(), matrix, std::vector<float>(32, 3.0f), Kind::kInt16);
  for (const float value : out) EXPECT_NEAR(value, 32 * 3 * 1.9990234, 1e-3);
}

TEST_P(Kernels, Int16Product_SmallWeightsBesideLargeOnesKeepTheirBits) {
  // A row of one large weight and small ones down to an eighth of it: exact, with activations that are powers of two.
  TestMatrix matrix(PackedFormat::kI16, 16, 32, 23);
  std::vector<uint16_t> halves(512);
  float sum = 0;
  for (int k = 0; k < 32; ++k) {
    const auto half = static_cast<uint16_t>(((15 - k % 3) << 10) | (k * 31 % 1024));
    std::fill_n(halves.begin() + k * 16, 16, half);
    sum += FromHalf(half);
  }
  kernels().pack_int16(reinterpret_cast<const std::byte*>(halves.data()), 32, matrix.bytes.As<std::byte>());
  for (const float value : Product(kernels(), matrix, std::vector<float>(32, 1.0f), Kind::kInt16)) EXPECT_FLOAT_EQ(value, sum);
}

TEST_P(Kernels, Bf16Tile_RoundsToNearestEvenAndKeepsNan) {
  std::vector<float> x(32, 0.0f);
  const std::pair<uint32_t, uint16_t> cases[] = {{0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81},
                                                 {0xbf808000, 0xbf80}, {0x7f800000, 0x7f80}, {0x7f7fffff, 0x7f80}};
  for (size_t i = 0; i < std::size(cases); ++i) x[i] = std::bit_cast<float>(cases[i].first);
  x[16] = std::numeric_limits<float>::quiet_NaN();
  const TestActivations activations(kernels(), x, 32, Kind::kBf16);
  for (size_t i = 0; i < std::size(cases); ++i) EXPECT_EQ(activations.pairs.values[i], cases[i].second) << i;
  EXPECT_TRUE(std::isnan(std::bit_cast<float>(static_cast<uint32_t>(activations.pairs.values[16]) << 16)));
}

TEST_P(Kernels, Product_OfATokenDoesNotDependOnItsBatch) {
  Random random(5);
  const std::vector<float> x = RandomFloats(random, 40 * 256);
  for (const PackedFormat format : kAllFormats) {
    TestMatrix matrix(format, 33, 256, 17);
    const Kind mode = KindFor(format, Arithmetic::kFast, kernels(), 1);
    for (int64_t first = 0; first < 40; first += 9) {
      const std::vector<float> alone = Product(kernels(), matrix, {x.begin() + first * 256, x.begin() + (first + 1) * 256}, mode);
      for (const int64_t batch : {2, 3, 8, 11, 12, 13, 17, 24, 33, 40}) {
        if (first + batch > 40) continue;
        const std::vector<float> together =
            Product(kernels(), matrix, {x.begin() + first * 256, x.begin() + (first + batch) * 256}, mode);
        EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin()))
            << "batch " << batch << " format " << static_cast<int>(format);
      }
    }
  }
}

// What the amx path computes around its tiles, and with the tiles emulated: the same bits as every other path.
TEST(AmxKernels, QuantizedProduct_BitsEqualScalarPath) {
  Random random(12);
  for (const PackedFormat format : kQuantizedFormats) {
    for (const int64_t tokens : {1, 4, 8, 9, 13, 16, 17, 31, 33, 200}) {
      const int64_t columns = 5 * std::max<int64_t>(32, ColumnMultiple(format));
      TestMatrix matrix(format, 50, columns, 9);
      const std::vector<float> x = RandomFloats(random, tokens * columns);
      EXPECT_EQ(Product(EmulatedAmxKernels(), matrix, x, Kind::kInt8), Product(GetKernels(Isa::kScalar), matrix, x, Kind::kInt8))
          << "format " << static_cast<int>(format) << ", " << tokens << " tokens";
    }
  }
}

// More than one block of tiles and of panels, and parts of one behind them.
TEST(AmxKernels, ManyTokensAndRows_BitsEqualScalarPath) {
  Random random(13);
  TestMatrix matrix(PackedFormat::kQ4M, 150, 1088, 9);
  const std::vector<float> x = RandomFloats(random, 420 * 1088);
  const std::vector<float> expected = Product(GetKernels(Isa::kScalar), matrix, x, Kind::kInt8);
  EXPECT_EQ(Product(EmulatedAmxKernels(), matrix, x, Kind::kInt8), expected);
  EXPECT_EQ(Product(GetKernels(DetectIsa()), matrix, x, Kind::kInt8), expected);
}

float RoundedToBf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u);
}

// `matrix` with every weight rounded to BF16, as one of BF16.
TestMatrix InBf16(TestMatrix& matrix) {
  TestMatrix rounded(PackedFormat::kBf16, matrix.rows, matrix.columns, 1);
  for (int64_t row = 0; row < matrix.num_panels * 16; ++row) {
    for (int64_t k = 0; k < matrix.columns; ++k) {
      rounded.Value(row, k) = RoundedToBf16(matrix.Value(row, k));
      auto* pairs = reinterpret_cast<uint16_t*>(rounded.bytes.memory.get() + row / 16 * rounded.view.panel_bytes);
      pairs[(k / 2 * 16 + row % 16) * 2 + k % 2] = static_cast<uint16_t>(std::bit_cast<uint32_t>(rounded.Value(row, k)) >> 16);
    }
  }
  return rounded;
}

TEST(AmxKernels, MixedProduct_IsThatOfWeightsInBf16) {
  Random random(14);
  for (const PackedFormat format : kQuantizedFormats) {
    for (const auto& [tokens, rows] : {std::pair(33, 50), std::pair(70, 150), std::pair(400, 20)}) {
      const int64_t columns = 5 * std::max<int64_t>(64, ColumnMultiple(format));
      TestMatrix matrix(format, rows, columns, 9);
      TestMatrix rounded = InBf16(matrix);
      const std::vector<float> x = RandomFloats(random, tokens * columns);
      const std::vector<float> mixed = Product(EmulatedAmxKernels(), matrix, x, Kind::kBf16);
      const std::vector<float> expected = Product(EmulatedAmxKernels(), rounded, x, Kind::kBf16);
      if (format == PackedFormat::kI8) {  // whole numbers, which are scaled in the end
        EXPECT_LT(RelativeError(mixed, PlainProduct(matrix, x)), 4e-3);
      } else if (HasMinimum(format) || HasTwoScales(format)) {  // the test's own weights were rounded twice
        EXPECT_LT(RelativeError(mixed, expected), 1e-4) << static_cast<int>(format);
      } else {
        EXPECT_EQ(mixed, expected) << static_cast<int>(format);
      }
    }
  }
}

TEST(AmxKernels, MixedProduct_BitsEqualEmulation) {
  if (DetectIsa() != Isa::kAmx) GTEST_SKIP() << "no matrix tiles here";
  Random random(15);
  for (const PackedFormat format : kQuantizedFormats) {
    const int64_t columns = 3 * std::max<int64_t>(192, ColumnMultiple(format));
    TestMatrix matrix(format, 50, columns, 9);
    const std::vector<float> x = RandomFloats(random, 45 * columns);
    const std::vector<float> before = RandomFloats(random, 45 * 50);
    for (const Epilogue epilogue : {Epilogue::kStore, Epilogue::kAdd}) {
      EXPECT_EQ(Product(GetKernels(Isa::kAmx), matrix, x, Kind::kBf16, epilogue, before),
                Product(EmulatedAmxKernels(), matrix, x, Kind::kBf16, epilogue, before))
          << static_cast<int>(format);
    }
  }
}

TEST(KindFor, MixedArithmetic_TakesBf16ForManyTokensOnMatrixTiles) {
  const KernelTable& tiles = EmulatedAmxKernels();
  const int64_t enough = tiles.min_mixed_tokens;
  EXPECT_EQ(KindFor(PackedFormat::kQ4, Arithmetic::kMixed, tiles, enough), Kind::kBf16);
  EXPECT_EQ(KindFor(PackedFormat::kQ4, Arithmetic::kMixed, tiles, enough - 1), Kind::kInt8);
  EXPECT_EQ(KindFor(PackedFormat::kQ4, Arithmetic::kFast, tiles, enough), Kind::kInt8);
  EXPECT_EQ(KindFor(PackedFormat::kI16, Arithmetic::kMixed, tiles, enough), Kind::kInt16);
  EXPECT_EQ(KindFor(PackedFormat::kQ4, Arithmetic::kMixed, GetKernels(Isa::kScalar), 100000), Kind::kInt8);
}

TEST_P(Kernels, AddEpilogue_AddsTheProductToWhatWasThere) {
  Random random(6);
  TestMatrix matrix(PackedFormat::kQ4M, 18, 64, 19);
  const std::vector<float> x = RandomFloats(random, 3 * 64);
  const std::vector<float> before = RandomFloats(random, 3 * 18);
  const std::vector<float> product = Product(kernels(), matrix, x, Kind::kInt8);
  const std::vector<float> sum = Product(kernels(), matrix, x, Kind::kInt8, Epilogue::kAdd, before);
  for (size_t i = 0; i < sum.size(); ++i) EXPECT_EQ(sum[i], before[i] + product[i]);
}

TEST_P(Kernels, ByteWeights_NeverSaturate) {
  // The largest sums a group can have: every weight 255 (or 0), every activation 127.
  TestMatrix matrix(PackedFormat::kQ8, 16, 32, 23);
  std::memset(matrix.bytes.memory.get() + 32, 0xff, 512);
  auto* scales = matrix.bytes.As<uint16_t>();
  std::fill(scales, scales + 16, uint16_t{0x3c00});  // 1.0
  const std::vector<float> out = Product(kernels(), matrix, std::vector<float>(32, 127.0f), Kind::kInt8);
  for (const float value : out) EXPECT_EQ(value, 127.0f * 127.0f * 32.0f);
}

TEST_P(Kernels, QuantizeTile_ZerosStayZero) {
  TestMatrix matrix(PackedFormat::kQ4, 16, 32, 29);
  for (const float value : Product(kernels(), matrix, std::vector<float>(32, 0.0f), Kind::kInt8)) EXPECT_EQ(value, 0.0f);
}

TEST_P(Kernels, RmsNorm_MatchesFormula_EveryLength) {
  Random random(7);
  for (int64_t n = 1; n < 70; ++n) {
    const std::vector<float> x = RandomFloats(random, n), weight = RandomFloats(random, n);
    std::vector<float> out(static_cast<size_t>(n) + 1, 99.0f);
    kernels().rms_norm(x.data(), weight.data(), n, 1e-5f, out.data());
    double squares = 0;
    for (const float value : x) squares += static_cast<double>(value) * value;
    for (int64_t i = 0; i < n; ++i) EXPECT_NEAR(out[i], x[i] / std::sqrt(squares / n + 1e-5) * weight[i], 1e-5);
    EXPECT_EQ(out[n], 99.0f);  // nothing beyond the end
  }
}

TEST_P(Kernels, SiluMul_MatchesFormula_ExtremesStayFinite) {
  const std::vector<float> gate = {0.0f, 1.0f,   -1.0f, 20.0f, -20.0f, 90.0f, -90.0f, 1e30f, -1e30f,
                                   0.5f, -87.5f, 88.5f, 3,     -3,     5,     -5,     7,     -7};
  const std::vector<float> up(gate.size(), 2.0f);
  std::vector<float> out(gate.size());
  kernels().silu_mul(gate.data(), up.data(), static_cast<int64_t>(gate.size()), out.data());
  for (size_t i = 0; i < gate.size(); ++i) {
    const double expected = gate[i] / (1.0 + std::exp(-static_cast<double>(gate[i]))) * 2.0;
    EXPECT_NEAR(out[i], expected, 2e-6 * std::max(1.0, std::fabs(expected))) << gate[i];
  }
}

TEST_P(Kernels, GeluTanhMul_MatchesFormula_ExtremesStayFinite) {
  const std::vector<float> gate = {0.0f, 1.0f, -1.0f, 0.3f, -0.3f, 20.0f,  -20.0f, 1e4f, -1e4f,
                                   5,    -5,   3,     -3,   0.01f, -0.01f, 7,      -7};
  const std::vector<float> up(gate.size(), 2.0f);
  std::vector<float> out(gate.size());
  kernels().gelu_tanh_mul(gate.data(), up.data(), static_cast<int64_t>(gate.size()), out.data());
  for (size_t i = 0; i < gate.size(); ++i) {
    const double x = gate[i];
    const double expected = x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    EXPECT_NEAR(out[i], expected, 2e-6 * std::max(1.0, std::fabs(expected))) << gate[i];
  }
}

TEST_P(Kernels, SoftCap_MatchesFormula) {
  std::vector<float> x = {0, 1, -1, 4, -4, 40, -40, 1e6f, -1e6f, 0.1f, 29, 31, -31, 100, 5, 6, 7, 8, 9};
  const std::vector<float> before = x;
  kernels().soft_cap(x.data(), 30, static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], 30 * std::tanh(before[i] / 30.0), 1e-5) << before[i];
}

TEST_P(Kernels, AddScaled_AddsToWhatIsThere) {
  for (const int64_t n : {1, 15, 16, 17, 33}) {
    std::vector<float> x(static_cast<size_t>(n), 2.0f), out(static_cast<size_t>(n) + 1, 1.0f);
    kernels().add_scaled(x.data(), 0.5f, n, out.data());
    EXPECT_THAT(std::vector<float>(out.begin(), out.begin() + n), testing::Each(2.0f)) << n;
    EXPECT_EQ(out.back(), 1.0f) << "nothing beyond n";
  }
}

TEST_P(Kernels, Rope_TurnsPairsAndLeavesTheRest) {
  const std::vector<float> cos = {0.6f, 1.0f}, sin = {0.8f, 0.0f};
  std::vector<float> head = {1, 2, 3, 4, 5};
  kernels().rope_interleaved(head.data(), cos.data(), sin.data(), 2);
  EXPECT_THAT(head, testing::ElementsAre(testing::FloatEq(0.6f - 1.6f), testing::FloatEq(1.2f + 0.8f), 3, 4, 5));
  head = {1, 2, 3, 4, 5};
  kernels().rope_half(head.data(), cos.data(), sin.data(), 2);
  EXPECT_THAT(head, testing::ElementsAre(testing::FloatEq(0.6f - 2.4f), 2, testing::FloatEq(1.8f + 0.8f), 4, 5));
}

// Keys and values of one head for `num_tokens` tokens in blocks, and the plain arrays they came from.
struct TestCache {
  TestCache(const KernelTable& kernels, int64_t num_tokens, int64_t dim, KvType type, uint64_t seed)
      : head_dim(dim),
        padded((head_dim + 15) / 16 * 16),
        half_bytes(32 * padded * (type == KvType::kBf16 ? 2 : (type == KvType::kF32 ? 4 : 1)) +
                   (type == KvType::kInt8 ? 128 : 0)),
        memory((num_tokens + 31) / 32 * 2 * half_bytes) {
    Random random(seed);
    keys = RandomFloats(random, num_tokens * head_dim);
    values = RandomFloats(random, num_tokens * head_dim);
    for (int64_t token = 0; token < num_tokens; ++token) {
      std::byte* block = memory.memory.get() + token / 32 * 2 * half_bytes;
      if (token % 32 == 0) blocks.push_back(block);
      kernels.write_keys(&keys[token * head_dim], head_dim, padded, type, token % 32, block);
      kernels.write_values(&values[token * head_dim], head_dim, padded, type, token % 32, block + half_bytes);
    }
  }
  int64_t head_dim, padded, half_bytes;
  AlignedBytes memory;
  std::vector<float> keys, values;
  std::vector<const std::byte*> blocks;
};

// What a model may ask of attention beyond causality.
struct AttentionVariant {
  int64_t window = 0;  // tokens that a row sees at most; 0: all
  float score_cap = 0;

  std::vector<int64_t> FirstVisible(const std::vector<int64_t>& visible) const {
    std::vector<int64_t> first(visible.size());
    for (size_t r = 0; window > 0 && r < visible.size(); ++r) first[r] = std::max<int64_t>(0, visible[r] - window);
    return first;
  }
};

// Attention of rows with their own visible counts, over all ranges.
std::vector<float> Attend(const KernelTable& kernels, const TestCache& cache, KvType type, const std::vector<float>& queries,
                          const std::vector<int64_t>& visible, const AttentionVariant& variant = {}) {
  const auto rows = static_cast<int64_t>(visible.size());
  const std::vector<int64_t> first_visible = variant.FirstVisible(visible);
  std::vector<float> padded(static_cast<size_t>(rows * cache.padded)), out(static_cast<size_t>(rows * cache.head_dim));
  for (int64_t r = 0; r < rows; ++r) std::copy_n(&queries[r * cache.head_dim], cache.head_dim, &padded[r * cache.padded]);
  std::vector<uint16_t> bf16_queries((rows + 15) / 16 * 16 * cache.padded);
  std::vector<float> m(rows), l(rows * 16), acc(rows * cache.padded), m2(rows), l2(rows * 16), acc2(rows * cache.padded);
  const int64_t end = *std::max_element(visible.begin(), visible.end());
  for (int64_t begin = 0; begin < end; begin += kAttentionRangeTokens) {
    const bool first = begin == 0;
    kernels.attention_range({.blocks = cache.blocks.data() + begin / 32,
                             .half_head_bytes = cache.half_bytes,
                             .kv_type = type,
                             .head_dim = cache.padded,
                             .range_begin = begin,
                             .num_rows = rows,
                             .queries = padded.data(),
                             .bf16_queries = bf16_queries.data(),
                             .first_visible = first_visible.data(),
                             .visible = visible.data(),
                             .score_cap = variant.score_cap,
                             .maximum = first ? m.data() : m2.data(),
                             .sum = first ? l.data() : l2.data(),
                             .accumulator = first ? acc.data() : acc2.data()});
    for (int64_t r = 0; !first && r < rows; ++r) {
      kernels.merge_attention(&m[r], &l[r * 16], &acc[r * cache.padded], m2[r], &l2[r * 16], &acc2[r * cache.padded],
                              cache.padded);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    kernels.finish_attention(&acc[r * cache.padded], &l[r * 16], cache.head_dim, &out[r * cache.head_dim]);
  }
  return out;
}

std::vector<float> PlainAttention(const TestCache& cache, const std::vector<float>& queries, const std::vector<int64_t>& visible,
                                  const AttentionVariant& variant = {}) {
  const std::vector<int64_t> first_visible = variant.FirstVisible(visible);
  std::vector<float> out;
  for (size_t r = 0; r < visible.size(); ++r) {
    std::vector<double> weights;
    double sum = 0;
    for (int64_t token = first_visible[r]; token < visible[r]; ++token) {
      double score = 0;
      for (int64_t d = 0; d < cache.head_dim; ++d)
        score += static_cast<double>(queries[r * cache.head_dim + d]) * cache.keys[token * cache.head_dim + d];
      if (variant.score_cap > 0) score = std::tanh(score / variant.score_cap) * variant.score_cap;
      weights.push_back(std::exp(score));
      sum += weights.back();
    }
    for (int64_t d = 0; d < cache.head_dim; ++d) {
      double value = 0;
      for (size_t i = 0; i < weights.size(); ++i)
        value += weights[i] / sum * cache.values[(first_visible[r] + static_cast<int64_t>(i)) * cache.head_dim + d];
      out.push_back(static_cast<float>(value));
    }
  }
  return out;
}

TEST_P(Kernels, Attention_MatchesPlainSoftmax) {
  Random random(8);
  for (const int64_t head_dim : {8, 16, 64, 80, 128}) {
    for (const KvType type : {KvType::kF32, KvType::kBf16, KvType::kInt8}) {
      const TestCache cache(kernels(), 700, head_dim, type, 31);
      const std::vector<int64_t> visible = {1, 2, 31, 32, 33, 64, 511, 512, 513, 700};
      const std::vector<float> queries = RandomFloats(random, static_cast<int64_t>(visible.size()) * head_dim);
      EXPECT_LT(RelativeError(Attend(kernels(), cache, type, queries, visible), PlainAttention(cache, queries, visible)),
                type == KvType::kF32 ? 2e-6 : 1.5e-2)
          << head_dim;
    }
  }
}

TEST_P(Kernels, Attention_WindowAndCap_MatchPlainSoftmax) {
  Random random(11);
  const std::vector<int64_t> visible = {1, 2, 16, 17, 31, 32, 33, 48, 64, 511, 512, 513, 520, 700};
  for (const KvType type : {KvType::kF32, KvType::kBf16, KvType::kInt8}) {
    const TestCache cache(kernels(), 700, 64, type, 47);
    const std::vector<float> queries = RandomFloats(random, static_cast<int64_t>(visible.size()) * 64);
    for (const AttentionVariant& variant :
         std::vector<AttentionVariant>{{1, 0}, {16, 0}, {33, 0}, {520, 0}, {0, 5}, {40, 1.5f}}) {
      EXPECT_LT(RelativeError(Attend(kernels(), cache, type, queries, visible, variant),
                              PlainAttention(cache, queries, visible, variant)),
                type == KvType::kF32 ? 3e-6 : 1.5e-2)
          << "window " << variant.window << ", cap " << variant.score_cap;
    }
  }
}

TEST_P(Kernels, Attention_OfARowDoesNotDependOnItsNeighbours) {
  Random random(9);
  const std::vector<int64_t> visible = {5, 40, 100, 512, 513, 599, 600};
  const std::vector<float> queries = RandomFloats(random, static_cast<int64_t>(visible.size()) * 64);
  for (const KvType type : {KvType::kF32, KvType::kBf16, KvType::kInt8}) {
    const TestCache cache(kernels(), 600, 64, type, 37);
    for (const AttentionVariant& variant : std::vector<AttentionVariant>{{}, {40, 0}, {513, 3}}) {
      const std::vector<float> together = Attend(kernels(), cache, type, queries, visible, variant);
      for (size_t r = 0; r < visible.size(); ++r) {
        const std::vector<float> alone =
            Attend(kernels(), cache, type, {queries.begin() + r * 64, queries.begin() + (r + 1) * 64}, {visible[r]}, variant);
        EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + r * 64))
            << "row " << r << ", window " << variant.window;
      }
    }
  }
}

TEST_P(Kernels, Attention_BitsEqualScalarPath) {
  Random random(10);
  const std::vector<int64_t> visible = {3, 77, 530};
  const std::vector<float> queries = RandomFloats(random, 3 * 64);
  for (const KvType type : {KvType::kF32, KvType::kBf16, KvType::kInt8}) {
    const TestCache cache(kernels(), 530, 64, type, 41);
    const TestCache scalar_cache(GetKernels(Isa::kScalar), 530, 64, type, 41);
    EXPECT_EQ(std::memcmp(cache.memory.memory.get(), scalar_cache.memory.memory.get(), 17 * 2 * cache.half_bytes), 0);
    for (const AttentionVariant& variant : std::vector<AttentionVariant>{{}, {50, 4}}) {
      EXPECT_EQ(Attend(kernels(), cache, type, queries, visible, variant),
                Attend(bf16_reference(), cache, type, queries, visible, variant));
    }
  }
}

TEST_P(Kernels, Int8Keys_AreRoundedByTheirOwnTokensScale) {
  constexpr int64_t kDim = 24;
  std::vector<float> key(kDim), larger(kDim, 100.0f);
  for (int64_t d = 0; d < kDim; ++d) key[static_cast<size_t>(d)] = static_cast<float>(d - 10) / 7;
  std::vector<std::byte> alone(kKvScaleBytes + 32 * 32), among(alone.size());
  kernels().write_keys(key.data(), kDim, 32, KvType::kInt8, 5, alone.data());
  kernels().write_keys(larger.data(), kDim, 32, KvType::kInt8, 4, among.data());
  kernels().write_keys(key.data(), kDim, 32, KvType::kInt8, 5, among.data());
  float scale = 0;
  std::memcpy(&scale, alone.data() + 5 * 4, 4);
  EXPECT_FLOAT_EQ(scale, 13.0f / 7 / 127);
  for (size_t d = 0; d < 32; ++d) {
    const std::byte level = alone[kKvScaleBytes + d * 32 + 5];
    EXPECT_EQ(level, among[kKvScaleBytes + d * 32 + 5]);
    EXPECT_NEAR(static_cast<float>(static_cast<int8_t>(level)) * scale, d < kDim ? key[d] : 0.0f, scale * 0.501f);
  }
  std::fill(key.begin(), key.end(), 0.0f);
  kernels().write_keys(key.data(), kDim, 32, KvType::kInt8, 5, among.data());
  std::memcpy(&scale, among.data() + 5 * 4, 4);
  EXPECT_EQ(scale, 0);
}

TEST_P(Kernels, Attention_HugeScoresStayFinite) {
  const TestCache cache(kernels(), 64, 16, KvType::kF32, 43);
  for (const float value : Attend(kernels(), cache, KvType::kF32, std::vector<float>(16, 1e4f), {64}))
    EXPECT_TRUE(std::isfinite(value));
}

TEST(ParseIsa, RejectsUnknownNames_AcceptsAuto) {
  EXPECT_EQ(*ParseIsa("auto"), DetectIsa());
  EXPECT_EQ(*ParseIsa("scalar"), Isa::kScalar);
  EXPECT_EQ(ParseIsa("sse9").error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace autoglm
