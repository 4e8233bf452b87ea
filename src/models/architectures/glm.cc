#include <cmath>
#include <string>

#include "models/architectures/families.h"

namespace autoglm {
namespace {

constexpr double kHalfOfHead = 0.5;  // partial_rotary_factor of the whole family

TensorNames GgufGlmNames() {
  TensorNames names = GgufNames();
  // There is no ffn_gate: ffn_up holds gate over up.
  names.gate.clear();
  names.gate_up = "ffn_up";
  return names;
}

TensorNames FolderGlmNames() {
  TensorNames names = TransformersNames();
  names.gate.clear();
  names.gate_up = "mlp.gate_up_proj";
  return names;
}

TensorNames FolderGlm4Names() {
  TensorNames names = FolderGlmNames();
  names.post_attention_norm = "post_self_attn_layernorm";
  names.post_mlp_norm = "post_mlp_layernorm";
  return names;
}

// The original code's checkpoints (THUDM, 2023 and 2024).
TensorNames FolderChatGlmNames() {
  return {.embedding = "transformer.embedding.word_embeddings.weight",
          .final_norm = "transformer.encoder.final_layernorm.weight",
          .lm_head = "transformer.output_layer.weight",
          .layer = "transformer.encoder.layers.{}.",
          .attention_norm = "input_layernorm",
          .output = "self_attention.dense",
          .query_key_value = "self_attention.query_key_value",
          .mlp_norm = "post_attention_layernorm",
          .down = "mlp.dense_4h_to_h",
          .gate_up = "mlp.dense_h_to_4h"};
}

Status ReadGguf(const GgufKeys& keys, ModelConfig& config) {
  // Files with multimodal positions have their rows permuted to the other pairing.
  config.rope.pairing = keys.Has("rope.dimension_sections") ? RopePairing::kHalf : RopePairing::kInterleaved;
  return {};
}

Status ReadGguf4(const GgufKeys& keys, ModelConfig& config) {
  config.has_sandwich_norms = true;
  return ReadGguf(keys, config);
}

Status ReadJson(const ConfigFields& fields, ModelConfig& config) {
  AUTOGLM_TRY_VOID(RequireActivation(fields, "hidden_act", "silu"));
  config.rope.pairing = RopePairing::kInterleaved;
  AUTOGLM_TRY(config.rope, ReadRope(fields, config, "full_attention", kHalfOfHead));
  return {};
}

Status ReadGlmJson(const ConfigFields& fields, ModelConfig& config) {
  AUTOGLM_TRY(config.has_qkv_bias, fields.BoolOr("attention_bias", true));
  return ReadJson(fields, config);
}

Status ReadGlm4Json(const ConfigFields& fields, ModelConfig& config) {
  config.has_sandwich_norms = true;
  return ReadJson(fields, config);
}

Status RequireFlag(const ConfigFields& fields, std::string_view key, bool wanted) {
  AUTOGLM_TRY(const bool found, fields.BoolOr(key, wanted));
  if (found == wanted) return {};
  return Fail(ErrorCode::kUnsupported, std::string(key) + " is " + (found ? "true" : "false") + ", which is not supported");
}

Status ReadChatGlmJson(const ConfigFields& fields, ModelConfig& config) {
  for (const std::string_view on : {"rmsnorm", "post_layer_norm"}) {
    AUTOGLM_TRY_VOID(RequireFlag(fields, on, true));
  }
  for (const std::string_view off : {"add_bias_linear", "apply_residual_connection_post_layernorm", "interleaved_qkv"}) {
    AUTOGLM_TRY_VOID(RequireFlag(fields, off, false));
  }
  AUTOGLM_TRY(config.num_layers, fields.Integer("num_layers", 1, kLayersMax));
  AUTOGLM_TRY(config.hidden_size, fields.Integer("hidden_size", 1, kWidthMax));
  AUTOGLM_TRY(config.intermediate_size, fields.Integer("ffn_hidden_size", 1, kWidthMax));
  AUTOGLM_TRY(config.num_heads, fields.Integer("num_attention_heads", 1, kWidthMax));
  config.num_kv_heads = config.num_heads;
  AUTOGLM_TRY(const bool grouped, fields.BoolOr("multi_query_attention", false));
  if (grouped) {
    AUTOGLM_TRY(config.num_kv_heads, fields.Integer("multi_query_group_num", 1, config.num_heads));
  }
  AUTOGLM_TRY(config.head_dim, fields.IntegerOr("kv_channels", config.hidden_size / config.num_heads, 2, kHeadDimMax));
  AUTOGLM_TRY(config.vocab_size, fields.Integer("padded_vocab_size", 1, kVocabMax));
  AUTOGLM_TRY(config.context_length, fields.Integer("seq_length", 1, kContextMax));
  AUTOGLM_TRY(const double eps, fields.NumberOr("layernorm_epsilon", 1e-5));
  config.rms_norm_eps = static_cast<float>(eps);
  config.attention_scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
  AUTOGLM_TRY(config.has_qkv_bias, fields.BoolOr("add_qkv_bias", false));
  AUTOGLM_TRY(const double rope_ratio, fields.NumberOr("rope_ratio", 1));
  config.rope = {.dims = config.head_dim / 2, .theta = 10000 * rope_ratio, .pairing = RopePairing::kInterleaved};
  AUTOGLM_TRY(config.eos_tokens, ReadEosTokens(fields));
  return {};
}

}  // namespace

const Architecture& ChatGlm() {
  static const Architecture family = {.gguf_name = "chatglm",
                                      .model_types = {"chatglm"},
                                      .read_gguf = ReadGguf,
                                      .read_json = ReadChatGlmJson,
                                      .has_own_config_keys = true,
                                      .gguf_tensors = GgufGlmNames(),
                                      .folder_tensors = FolderChatGlmNames()};
  return family;
}

const Architecture& Glm() {
  // Its GGUF files say "chatglm" too.
  static const Architecture family = {.model_types = {"glm"}, .read_json = ReadGlmJson, .folder_tensors = FolderGlmNames()};
  return family;
}

const Architecture& Glm4() {
  static const Architecture family = {.gguf_name = "glm4",
                                      .model_types = {"glm4", "glm4v", "glm4v_text"},
                                      .read_gguf = ReadGguf4,
                                      .read_json = ReadGlm4Json,
                                      .gguf_tensors = GgufGlmNames(),
                                      .folder_tensors = FolderGlm4Names()};
  return family;
}

}  // namespace autoglm
