#include "weights/quantize_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace autoglm {
namespace {

constexpr std::array<QuantTargetInfo, 13> kTargets = {{
    {QuantTarget::kF32, "f32", DType::kF32, 0},
    {QuantTarget::kF16, "f16", DType::kF16, 1},
    {QuantTarget::kBf16, "bf16", DType::kBF16, 32},
    {QuantTarget::kQ8_0, "q8_0", DType::kQ8_0, 7},
    {QuantTarget::kInt8, "int8", DType::kQ8_0, 7},
    {QuantTarget::kQ4_0, "q4_0", DType::kQ4_0, 2},
    {QuantTarget::kQ4_1, "q4_1", DType::kQ4_1, 3},
    {QuantTarget::kQ5_0, "q5_0", DType::kQ5_0, 8},
    {QuantTarget::kQ5_1, "q5_1", DType::kQ5_1, 9},
    {QuantTarget::kQ4_K, "q4_k", DType::kQ4_K, 15},
    {QuantTarget::kQ5_K, "q5_k", DType::kQ5_K, 17},
    {QuantTarget::kQ6_K, "q6_k", DType::kQ6_K, 18},
    {QuantTarget::kIQ4_NL, "iq4_nl", DType::kIQ4_NL, 25},
}};

constexpr std::string_view kHead = "output.weight";
constexpr std::string_view kEmbedding = "token_embd.weight";

bool IsFloat(DType type) { return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16; }

bool IsMatrix(const TensorView& tensor) { return tensor.shape.size() >= 2 && tensor.num_rows() > 1; }

// 7 of "blk.7.attn_v.weight".
std::optional<int64_t> LayerOf(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int64_t layer = 0;
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  if (error != std::errc() || end == name.data() + name.size() || *end != '.') return std::nullopt;
  return layer;
}

// The first and the last eighth of the layers, and every third between them.
bool IsSensitiveLayer(int64_t layer, int64_t num_layers) {
  const int64_t eighth = num_layers / 8;
  return layer < eighth || layer >= 7 * num_layers / 8 || (layer - eighth) % 3 == 2;
}

bool IsKMixture(QuantTarget target) { return target == QuantTarget::kQ4_K || target == QuantTarget::kQ5_K; }

DType WantedType(const TensorView& tensor, QuantTarget target, int64_t num_layers, bool is_head) {
  const DType base = Info(target).type;
  if (IsFloat(base) || base == DType::kQ8_0) return base;
  if (is_head) return DType::kQ6_K;
  if (!IsKMixture(target)) return base;
  const std::string_view name = tensor.name;
  if (name.find("attn_qkv.weight") != name.npos) return target == QuantTarget::kQ4_K ? DType::kQ5_K : DType::kQ6_K;
  const bool is_sensitive = name.find("attn_v.weight") != name.npos || name.find("ffn_down") != name.npos;
  const std::optional<int64_t> layer = LayerOf(name);
  return is_sensitive && layer && IsSensitiveLayer(*layer, num_layers) ? DType::kQ6_K : base;
}

DType Fallback(DType wanted) {
  switch (wanted) {
    case DType::kQ4_K:
      return DType::kQ5_0;
    case DType::kQ5_K:
      return DType::kQ5_1;
    case DType::kQ6_K:
      return DType::kQ8_0;
    default:
      return DType::kF16;
  }
}

bool Fits(const TensorView& tensor, DType type) { return tensor.num_columns() % Info(type).block_elements == 0; }

}  // namespace

std::span<const QuantTargetInfo> QuantTargets() { return kTargets; }

const QuantTargetInfo& Info(QuantTarget target) { return *std::ranges::find(kTargets, target, &QuantTargetInfo::target); }

Result<QuantTarget> ParseQuantTarget(std::string_view name) {
  std::string_view plain = name;
  if (plain.ends_with("_k_m")) plain.remove_suffix(2);
  const auto found = std::ranges::find(kTargets, plain, &QuantTargetInfo::name);
  if (found != kTargets.end() && (plain == name || IsKMixture(found->target))) return found->target;
  std::string known;
  for (const QuantTargetInfo& target : kTargets) known += (known.empty() ? "" : ", ") + std::string(target.name);
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be one of {}, not '{}'", known, name));
}

std::vector<TensorPlan> PlanQuantization(std::span<const TensorView> tensors, QuantTarget target, int64_t num_layers) {
  const bool has_head = std::ranges::find(tensors, kHead, &TensorView::name) != tensors.end();
  std::vector<TensorPlan> plans;
  for (const TensorView& tensor : tensors) {
    const bool is_router = tensor.name.find("ffn_gate_inp.") != std::string::npos;
    if (!IsMatrix(tensor) || is_router) {
      plans.push_back({.tensor = &tensor, .type = IsFloat(tensor.dtype) ? DType::kF32 : tensor.dtype});
      continue;
    }
    const bool is_head = tensor.name == (has_head ? kHead : kEmbedding);
    TensorPlan plan{.tensor = &tensor, .type = WantedType(tensor, target, num_layers, is_head)};
    while (!Fits(tensor, plan.type)) {
      plan.type = Fallback(plan.type);
      plan.is_fallback = true;
    }
    plan.is_by_channel = target == QuantTarget::kInt8 && plan.type == DType::kQ8_0;
    plans.push_back(plan);
  }
  return plans;
}

}  // namespace autoglm
