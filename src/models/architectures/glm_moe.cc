#include "models/architectures/families.h"

namespace autoglm {
namespace {

constexpr int64_t kSigmoidGating = 2;  // GGUF's expert_gating_func
constexpr double kHalfOfHead = 0.5;

TensorNames GgufMoeNames() {
  TensorNames names = GgufNames();
  names.mlp_norm = "post_attention_norm";  // there is no ffn_norm
  names.post_attention_norm.clear();
  names.post_mlp_norm.clear();
  return names;
}

Status ReadGguf(const GgufKeys& keys, ModelConfig& config) {
  config.rope.pairing = RopePairing::kHalf;
  // The layers that predict further tokens stand at the end and are not run.
  AUTOGLM_TRY(const int64_t extra, keys.IntegerOr("nextn_predict_layers", 0, 0, config.num_layers - 1));
  config.num_layers -= extra;
  AUTOGLM_TRY(const int64_t gating, keys.IntegerOr("expert_gating_func", kSigmoidGating, 0, 16));
  if (gating != kSigmoidGating) return Fail(ErrorCode::kUnsupported, "only experts chosen by sigmoid are supported");
  MoeConfig& moe = config.moe;
  AUTOGLM_TRY(moe.num_experts, keys.Integer("expert_count", 1, kExpertsMax));
  AUTOGLM_TRY(moe.num_experts_per_token, keys.Integer("expert_used_count", 1, moe.num_experts));
  AUTOGLM_TRY(moe.num_groups, keys.IntegerOr("expert_group_count", 1, 1, moe.num_experts));
  AUTOGLM_TRY(moe.num_groups_kept, keys.IntegerOr("expert_group_used_count", 1, 1, moe.num_groups));
  AUTOGLM_TRY(moe.expert_width, keys.Integer("expert_feed_forward_length", 1, kWidthMax));
  AUTOGLM_TRY(const int64_t num_shared, keys.IntegerOr("expert_shared_count", 0, 0, kExpertsMax));
  moe.shared_width = num_shared * moe.expert_width;
  AUTOGLM_TRY(moe.num_dense_layers, keys.IntegerOr("leading_dense_block_count", 0, 0, config.num_layers));
  AUTOGLM_TRY(const double scale, keys.FloatOr("expert_weights_scale", 1));
  moe.routed_scale = static_cast<float>(scale);
  AUTOGLM_TRY(moe.normalizes_weights, keys.BoolOr("expert_weights_norm", true));
  return {};
}

Status ReadJson(const ConfigFields& fields, ModelConfig& config) {
  AUTOGLM_TRY_VOID(RequireActivation(fields, "hidden_act", "silu"));
  config.rope.pairing = RopePairing::kHalf;
  AUTOGLM_TRY(config.rope, ReadRope(fields, config, "full_attention", kHalfOfHead));
  AUTOGLM_TRY(config.has_qk_norm, fields.BoolOr("use_qk_norm", false));
  MoeConfig& moe = config.moe;
  AUTOGLM_TRY(moe.num_experts, fields.Integer("n_routed_experts", 1, kExpertsMax));
  AUTOGLM_TRY(moe.num_experts_per_token, fields.Integer("num_experts_per_tok", 1, moe.num_experts));
  AUTOGLM_TRY(moe.num_groups, fields.IntegerOr("n_group", 1, 1, moe.num_experts));
  AUTOGLM_TRY(moe.num_groups_kept, fields.IntegerOr("topk_group", 1, 1, moe.num_groups));
  AUTOGLM_TRY(moe.expert_width, fields.Integer("moe_intermediate_size", 1, kWidthMax));
  AUTOGLM_TRY(const int64_t num_shared, fields.IntegerOr("n_shared_experts", 0, 0, kExpertsMax));
  moe.shared_width = num_shared * moe.expert_width;
  AUTOGLM_TRY(moe.num_dense_layers, fields.IntegerOr("first_k_dense_replace", 0, 0, config.num_layers));
  AUTOGLM_TRY(const double scale, fields.NumberOr("routed_scaling_factor", 1));
  moe.routed_scale = static_cast<float>(scale);
  AUTOGLM_TRY(moe.normalizes_weights, fields.BoolOr("norm_topk_prob", true));
  return {};
}

}  // namespace

const Architecture& Glm4Moe() {
  static const Architecture family = {.gguf_name = "glm4moe",
                                      .model_types = {"glm4_moe"},
                                      .read_gguf = ReadGguf,
                                      .read_json = ReadJson,
                                      .gguf_tensors = GgufMoeNames(),
                                      .folder_tensors = TransformersNames()};
  return family;
}

}  // namespace autoglm
