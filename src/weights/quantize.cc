#include "weights/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "tensor/half.h"
#include "weights/quant_blocks.h"
#include "weights/quantize_blocks.h"

namespace autoglm {
namespace {

using BlockValues = std::array<float, kSuperBlock>;
constexpr float kFloatMax = std::numeric_limits<float>::max();

void StoreU16Row(std::span<const float> row, std::span<std::byte> out, uint16_t (*convert)(float)) {
  for (size_t i = 0; i < row.size(); ++i) {
    const uint16_t bits = convert(row[i]);
    std::memcpy(out.data() + i * sizeof(bits), &bits, sizeof(bits));
  }
}

uint16_t FloatToFiniteHalf(float value) {
  return FloatToHalf(std::isnan(value) ? value : std::clamp(value, -kHalfMax, kHalfMax));
}

std::span<const float> FiniteValues(std::span<const float> values, BlockValues& copy) {
  std::ranges::transform(values, copy.begin(),
                         [](float value) { return std::isnan(value) ? 0.0f : std::clamp(value, -kFloatMax, kFloatMax); });
  return std::span(copy).first(values.size());
}

// The weights as parts of the largest; empty where none is above 0.
std::span<const float> RelativeWeights(std::span<const float> importance, BlockValues& copy) {
  std::ranges::transform(importance, copy.begin(), [](float weight) { return weight > 0 ? std::min(weight, kFloatMax) : 0.0f; });
  const std::span<float> weights = std::span(copy).first(importance.size());
  if (weights.empty()) return {};
  const float largest = std::ranges::max(weights);
  if (largest == 0) return {};
  for (float& weight : weights) weight /= largest;
  return weights;
}

void QuantizeBlocks(BlockQuantizer quantize, const DTypeInfo& info, std::span<const float> row, std::span<std::byte> out,
                    std::span<const float> importance) {
  const auto elements = static_cast<size_t>(info.block_elements);
  BlockValues values;
  BlockValues weights;
  std::byte* block = out.data();
  for (size_t k = 0; k < row.size(); k += elements, block += info.block_bytes) {
    const auto block_importance = importance.empty() ? importance : importance.subspan(k, elements);
    quantize(FiniteValues(row.subspan(k, elements), values), RelativeWeights(block_importance, weights), block);
  }
}

}  // namespace

Result<int64_t> QuantizedRowBytes(DType type, int64_t num_columns) {
  const DTypeInfo& info = Info(type);
  AUTOGLM_CHECK(num_columns >= 0);
  if (num_columns % info.block_elements != 0) {
    return Fail(ErrorCode::kUnsupported, fmt::format("rows of {} elements cannot be {}, whose blocks have {} elements",
                                                     num_columns, info.name, info.block_elements));
  }
  return num_columns / info.block_elements * info.block_bytes;
}

void QuantizeRow(DType type, std::span<const float> row, std::span<std::byte> out, std::span<const float> importance) {
  const Result<int64_t> num_bytes = QuantizedRowBytes(type, static_cast<int64_t>(row.size()));
  AUTOGLM_CHECK(num_bytes && static_cast<int64_t>(out.size()) == *num_bytes);
  AUTOGLM_CHECK(importance.empty() || importance.size() == row.size());
  switch (type) {
    case DType::kF32:
      std::ranges::copy(std::as_bytes(row), out.begin());
      return;
    case DType::kF16:
      return StoreU16Row(row, out, FloatToFiniteHalf);
    case DType::kBF16:
      return StoreU16Row(row, out, FloatToBf16);
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K:
      return QuantizeBlocks(FindSuperBlockQuantizer(type), Info(type), row, out, importance);
    default:
      return QuantizeBlocks(FindSimpleBlockQuantizer(type), Info(type), row, out, importance);
  }
}

void QuantizeRowByChannel(std::span<const float> row, std::span<std::byte> out) {
  const Result<int64_t> num_bytes = QuantizedRowBytes(DType::kQ8_0, static_cast<int64_t>(row.size()));
  AUTOGLM_CHECK(num_bytes && static_cast<int64_t>(out.size()) == *num_bytes);
  const auto finite = [](float value) { return std::isnan(value) ? 0.0f : std::clamp(value, -kFloatMax, kFloatMax); };
  float largest = 0;
  for (const float value : row) largest = std::max(largest, std::fabs(finite(value)));
  std::array<std::byte, 2> scale_bytes;
  const float scale = StoreHalf(largest / 127, scale_bytes.data());
  const float inverse = scale > 0 ? 1 / scale : 0.0f;
  for (size_t k = 0; k < row.size(); ++k) {
    std::byte* block = out.data() + k / kBlock * (kBlock + 2);
    if (k % kBlock == 0) std::memcpy(block, scale_bytes.data(), 2);
    const auto level = static_cast<int>(std::nearbyint(std::clamp(finite(row[k]) * inverse, -127.0f, 127.0f)));
    block[2 + k % kBlock] = static_cast<std::byte>(level);
  }
}

}  // namespace autoglm
