#include "models/tensor_names.h"

namespace autoglm {

TensorNames GgufNames() {
  return {.embedding = "token_embd.weight",
          .final_norm = "output_norm.weight",
          .lm_head = "output.weight",
          .layer = "blk.{}.",
          .attention_norm = "attn_norm",
          .query = "attn_q",
          .key = "attn_k",
          .value = "attn_v",
          .output = "attn_output",
          .query_key_value = "attn_qkv",
          .query_norm = "attn_q_norm",
          .key_norm = "attn_k_norm",
          .post_attention_norm = "post_attention_norm",
          .mlp_norm = "ffn_norm",
          .gate = "ffn_gate",
          .up = "ffn_up",
          .down = "ffn_down",
          .post_mlp_norm = "post_ffw_norm",
          .router = "ffn_gate_inp",
          .router_bias = "exp_probs_b.bias",
          .expert_gate = "ffn_gate_exps",
          .expert_up = "ffn_up_exps",
          .expert_down = "ffn_down_exps",
          .shared_gate = "ffn_gate_shexp",
          .shared_up = "ffn_up_shexp",
          .shared_down = "ffn_down_shexp"};
}

TensorNames TransformersNames() {
  return {.embedding = "model.embed_tokens.weight",
          .final_norm = "model.norm.weight",
          .lm_head = "lm_head.weight",
          .layer = "model.layers.{}.",
          .attention_norm = "input_layernorm",
          .query = "self_attn.q_proj",
          .key = "self_attn.k_proj",
          .value = "self_attn.v_proj",
          .output = "self_attn.o_proj",
          .query_norm = "self_attn.q_norm",
          .key_norm = "self_attn.k_norm",
          .mlp_norm = "post_attention_layernorm",
          .gate = "mlp.gate_proj",
          .up = "mlp.up_proj",
          .down = "mlp.down_proj",
          .router = "mlp.gate",
          .router_bias = "mlp.gate.e_score_correction_bias",
          .expert_gate = "mlp.experts.{}.gate_proj",
          .expert_up = "mlp.experts.{}.up_proj",
          .expert_down = "mlp.experts.{}.down_proj",
          .shared_gate = "mlp.shared_experts.gate_proj",
          .shared_up = "mlp.shared_experts.up_proj",
          .shared_down = "mlp.shared_experts.down_proj"};
}

std::string NumberedName(std::string_view pattern, int64_t number) {
  const size_t place = pattern.find("{}");
  if (place == std::string_view::npos) return std::string(pattern);
  std::string name(pattern.substr(0, place));
  name += std::to_string(number);
  name += pattern.substr(place + 2);
  return name;
}

}  // namespace autoglm
