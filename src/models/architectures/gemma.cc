#include <cmath>
#include <string>
#include <vector>

#include "models/architectures/families.h"

namespace autoglm {
namespace {

constexpr int64_t kFullEvery = 6;  // Gemma 3: every sixth layer sees everything, where the file does not list them

// Norms before and after attention and MLP; the norm before the MLP has another name than Llama's.
TensorNames FolderNames() {
  TensorNames names = TransformersNames();
  names.post_attention_norm = "post_attention_layernorm";
  names.mlp_norm = "pre_feedforward_layernorm";
  names.post_mlp_norm = "post_feedforward_layernorm";
  return names;
}

void SetCommon(ModelConfig& config) {
  config.rope.pairing = RopePairing::kHalf;
  config.activation = Activation::kGeluTanh;
  config.has_sandwich_norms = true;
  config.embedding_scale = std::sqrt(static_cast<float>(config.hidden_size));
}

// Which layers slide where every `period`-th sees everything.
std::vector<bool> FullEvery(int64_t period, int64_t num_layers) {
  std::vector<bool> sliding(static_cast<size_t>(num_layers));
  for (size_t layer = 0; layer < sliding.size(); ++layer) sliding[layer] = (static_cast<int64_t>(layer) + 1) % period != 0;
  return sliding;
}

// GGUF has no key for query_pre_attn_scalar. Only the 27B models differ from head_dim: there it is hidden size / heads.
void SetGgufScale(int64_t num_layers_of_27b, ModelConfig& config) {
  if (config.num_layers != num_layers_of_27b) return;
  const int64_t scalar = config.hidden_size / config.num_heads;
  config.attention_scale = 1.0f / std::sqrt(static_cast<float>(scalar));
}

Status ReadGguf2(const GgufKeys& keys, ModelConfig& config) {
  SetCommon(config);
  SetGgufScale(46, config);
  AUTOGLM_TRY(config.sliding_window, keys.Integer("attention.sliding_window", 1, kContextMax));
  config.layer_is_sliding = FullEvery(2, config.num_layers);
  config.sliding_rope = config.rope;
  AUTOGLM_TRY(const double scores, keys.FloatOr("attn_logit_softcapping", 50));
  AUTOGLM_TRY(const double logits, keys.FloatOr("final_logit_softcapping", 30));
  config.attention_softcap = static_cast<float>(scores);
  config.logits_softcap = static_cast<float>(logits);
  return {};
}

// A list of booleans (true: slides), a period, or nothing.
Result<std::vector<bool>> SlidingLayers(const GgufKeys& keys, int64_t num_layers) {
  constexpr std::string_view kKey = "attention.sliding_window_pattern";
  const auto value = keys.file().metadata().find(keys.Name(kKey));
  if (value != keys.file().metadata().end()) {
    if (const auto* list = std::get_if<std::vector<bool>>(&value->second)) return *list;
  }
  AUTOGLM_TRY(const int64_t period, keys.IntegerOr(kKey, kFullEvery, 1, kLayersMax));
  return FullEvery(period, num_layers);
}

Status ReadGguf3(const GgufKeys& keys, ModelConfig& config) {
  SetCommon(config);
  SetGgufScale(62, config);
  AUTOGLM_TRY(config.sliding_window, keys.Integer("attention.sliding_window", 1, kContextMax));
  AUTOGLM_TRY(config.layer_is_sliding, SlidingLayers(keys, config.num_layers));
  config.sliding_rope = {.dims = config.rope.dims, .pairing = config.rope.pairing};
  AUTOGLM_TRY(config.sliding_rope.theta, keys.FloatOr("rope.freq_base_swa", 10000.0));
  if (!config.has_qk_norm) return Fail(ErrorCode::kCorruptFile, "blk.0.attn_q_norm.weight is missing");
  AUTOGLM_TRY(const double logits, keys.FloatOr("final_logit_softcapping", 0));
  config.logits_softcap = static_cast<float>(logits);
  return {};
}

// layer_types, or older: every `pattern`-th layer sees everything.
Result<std::vector<bool>> SlidingLayers(const ConfigFields& fields, int64_t num_layers, std::string_view period_key,
                                        int64_t period_otherwise) {
  std::vector<bool> sliding;
  const Json* types = fields.fields().Find("layer_types");
  if (types != nullptr && types->is_array()) {
    for (const Json& type : *types) {
      if (type != "sliding_attention" && type != "full_attention") {
        return Fail(ErrorCode::kUnsupported,
                    "layer_types holds " + DumpJson(type) + "; known: sliding_attention, full_attention");
      }
      sliding.push_back(type == "sliding_attention");
    }
    return sliding;
  }
  AUTOGLM_TRY(const int64_t period, fields.IntegerOr(period_key, period_otherwise, 1, kLayersMax));
  return FullEvery(period, num_layers);
}

Status ReadCommonJson(const ConfigFields& fields, ModelConfig& config) {
  SetCommon(config);
  // Files before 2024-04 say "gelu" and mean its tanh form; hidden_activation then says so.
  AUTOGLM_TRY_VOID(RequireActivation(fields, "hidden_activation", "gelu_pytorch_tanh"));
  config.norm_offset = 1;
  AUTOGLM_TRY(const double scalar, fields.NumberOr("query_pre_attn_scalar", 256));
  config.attention_scale = static_cast<float>(1.0 / std::sqrt(scalar));
  AUTOGLM_TRY(config.sliding_window, fields.Integer("sliding_window", 1, kContextMax));
  AUTOGLM_TRY(const double scores, fields.NumberOr("attn_logit_softcapping", 0));
  AUTOGLM_TRY(const double logits, fields.NumberOr("final_logit_softcapping", 0));
  config.attention_softcap = static_cast<float>(scores);
  config.logits_softcap = static_cast<float>(logits);
  AUTOGLM_TRY(config.rope, ReadRope(fields, config, "full_attention", 1.0));
  return {};
}

Status ReadJson2(const ConfigFields& fields, ModelConfig& config) {
  AUTOGLM_TRY_VOID(ReadCommonJson(fields, config));
  AUTOGLM_TRY(config.layer_is_sliding, SlidingLayers(fields, config.num_layers, "sliding_window_pattern", 2));
  config.sliding_rope = config.rope;
  return {};
}

Status ReadJson3(const ConfigFields& fields, ModelConfig& config) {
  AUTOGLM_TRY_VOID(ReadCommonJson(fields, config));
  AUTOGLM_TRY(config.layer_is_sliding, SlidingLayers(fields, config.num_layers, "sliding_window_pattern", kFullEvery));
  config.has_qk_norm = true;
  if (fields.Has("rope_parameters")) {
    AUTOGLM_TRY(config.sliding_rope, ReadRope(fields, config, "sliding_attention", 1.0));
    return {};
  }
  config.sliding_rope = {.dims = config.rope.dims, .pairing = config.rope.pairing};
  AUTOGLM_TRY(config.sliding_rope.theta, fields.NumberOr("rope_local_base_freq", 10000.0));
  return {};
}

}  // namespace

const Architecture& Gemma2() {
  static const Architecture family = {.gguf_name = "gemma2",
                                      .model_types = {"gemma2"},
                                      .read_gguf = ReadGguf2,
                                      .read_json = ReadJson2,
                                      .gguf_tensors = GgufNames(),
                                      .folder_tensors = FolderNames()};
  return family;
}

const Architecture& Gemma3() {
  static const Architecture family = {.gguf_name = "gemma3",
                                      .model_types = {"gemma3_text", "gemma3"},
                                      .read_gguf = ReadGguf3,
                                      .read_json = ReadJson3,
                                      .gguf_tensors = GgufNames(),
                                      .folder_tensors = FolderNames()};
  return family;
}

}  // namespace autoglm
