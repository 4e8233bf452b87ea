#include "models/model_config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "models/architecture.h"
#include "models/config_reader.h"

namespace autoglm {
namespace {

tl::unexpected<Error> Corrupt(const std::string& what) { return Fail(ErrorCode::kCorruptFile, what); }

Status CheckRope(const RopeConfig& rope, int64_t head_dim) {
  if (rope.dims < 0 || rope.dims > head_dim || rope.dims % 2 != 0) {
    return Corrupt("RoPE turns " + std::to_string(rope.dims) + " dimensions, expected an even number up to " +
                   std::to_string(head_dim));
  }
  if (!(rope.theta > 1 && std::isfinite(rope.theta))) return Corrupt("the base of RoPE is out of range");
  if (!(rope.factor > 0 && std::isfinite(rope.factor))) return Corrupt("the factor of RoPE scaling is not positive");
  return {};
}

Status CheckMoe(const MoeConfig& moe) {
  if (moe.num_experts == 0) return {};
  if (moe.num_groups < 1 || moe.num_experts % moe.num_groups != 0) {
    return Corrupt(std::to_string(moe.num_experts) + " experts cannot stand in " + std::to_string(moe.num_groups) + " groups");
  }
  const int64_t group_size = moe.num_experts / moe.num_groups;
  if (moe.num_groups_kept < 1 || moe.num_groups_kept > moe.num_groups || (moe.num_groups > 1 && group_size < 2)) {
    return Corrupt("of " + std::to_string(moe.num_groups) + " groups of " + std::to_string(group_size) + " experts, " +
                   std::to_string(moe.num_groups_kept) + " cannot be kept");
  }
  if (moe.num_experts_per_token < 1 || moe.num_experts_per_token > moe.num_groups_kept * group_size) {
    return Corrupt("a token cannot go to " + std::to_string(moe.num_experts_per_token) + " of " +
                   std::to_string(moe.num_groups_kept * group_size) + " experts");
  }
  if (!std::isfinite(moe.routed_scale)) return Corrupt("the scale of the experts is out of range");
  return {};
}

Status CheckShape(const ModelConfig& config) {
  if (config.num_heads % config.num_kv_heads != 0) {
    return Corrupt(std::to_string(config.num_heads) + " heads are not a multiple of " + std::to_string(config.num_kv_heads) +
                   " key-value heads");
  }
  if (config.head_dim < 2 || config.head_dim > kHeadDimMax || config.head_dim % 2 != 0) {
    return Corrupt("a head has " + std::to_string(config.head_dim) + " dimensions, expected an even number up to 1024");
  }
  if (!(config.rms_norm_eps >= 0 && config.rms_norm_eps < 1)) return Corrupt("the epsilon of the norms is out of range");
  if (!(config.attention_scale > 0 && std::isfinite(config.attention_scale)))
    return Corrupt("the scale of attention is out of range");
  if (!(config.attention_softcap >= 0 && config.logits_softcap >= 0)) return Corrupt("a softcap is negative");
  AUTOGLM_TRY_VOID(CheckRope(config.rope, config.head_dim));
  if (config.layer_is_sliding.empty()) return CheckMoe(config.moe);
  if (std::ssize(config.layer_is_sliding) != config.num_layers)
    return Corrupt("the list of sliding layers has another length than the layers");
  if (config.sliding_window < 1) return Corrupt("layers slide, but the window is missing");
  AUTOGLM_TRY_VOID(CheckRope(config.sliding_rope, config.head_dim));
  return CheckMoe(config.moe);
}

float DefaultAttentionScale(const ModelConfig& config) { return 1.0f / std::sqrt(static_cast<float>(config.head_dim)); }

Status ReadCommonGguf(const GgufKeys& keys, ModelConfig& config) {
  AUTOGLM_TRY(config.num_layers, keys.Integer("block_count", 1, kLayersMax));
  AUTOGLM_TRY(config.hidden_size, keys.Integer("embedding_length", 1, kWidthMax));
  AUTOGLM_TRY(config.intermediate_size, keys.Integer("feed_forward_length", 1, kWidthMax));
  AUTOGLM_TRY(config.num_heads, keys.Integer("attention.head_count", 1, kWidthMax));
  AUTOGLM_TRY(config.num_kv_heads, keys.IntegerOr("attention.head_count_kv", config.num_heads, 1, config.num_heads));
  AUTOGLM_TRY(config.head_dim, keys.IntegerOr("attention.key_length", config.hidden_size / config.num_heads, 2, kHeadDimMax));
  AUTOGLM_TRY(const int64_t value_length, keys.IntegerOr("attention.value_length", config.head_dim, 1, kWidthMax));
  if (value_length != config.head_dim)
    return Fail(ErrorCode::kUnsupported, "keys and values of different sizes are not supported");
  AUTOGLM_TRY(config.context_length, keys.Integer("context_length", 1, kContextMax));
  AUTOGLM_TRY(const double eps, keys.Float("attention.layer_norm_rms_epsilon"));
  config.rms_norm_eps = static_cast<float>(eps);
  config.attention_scale = DefaultAttentionScale(config);

  AUTOGLM_TRY(config.rope.dims, keys.IntegerOr("rope.dimension_count", config.head_dim, 0, config.head_dim));
  AUTOGLM_TRY(config.rope.theta, keys.FloatOr("rope.freq_base", 10000.0));
  const std::string* scaling = keys.file().FindString(keys.Name("rope.scaling.type"));
  if (scaling != nullptr && *scaling != "none") {
    if (*scaling != "linear") {
      return Fail(ErrorCode::kUnsupported, "rope scaling \"" + *scaling + "\" is not supported; known: linear");
    }
    config.rope.scaling = RopeConfig::Scaling::kLinear;
    AUTOGLM_TRY(config.rope.factor, keys.FloatOr("rope.scaling.factor", 1.0));
  }
  const GgufFile& file = keys.file();
  config.has_qkv_bias = file.HasTensor("blk.0.attn_q.bias") || file.HasTensor("blk.0.attn_qkv.bias");
  config.has_qk_norm = file.HasTensor("blk.0.attn_q_norm.weight");
  return {};
}

Status ReadVocabSize(const GgufFile& file, ModelConfig& config) {
  AUTOGLM_TRY(const TensorView* embedding, file.FindTensor("token_embd.weight"));
  config.vocab_size = embedding->num_rows();
  if (embedding->shape.size() != 2 || config.vocab_size < 1 || config.vocab_size > kVocabMax) {
    return Corrupt("token_embd.weight is not a matrix of a plausible size");
  }
  return {};
}

Status ReadCommonJson(const ConfigFields& fields, ModelConfig& config) {
  AUTOGLM_TRY(config.num_layers, fields.Integer("num_hidden_layers", 1, kLayersMax));
  AUTOGLM_TRY(config.hidden_size, fields.Integer("hidden_size", 1, kWidthMax));
  AUTOGLM_TRY(config.intermediate_size, fields.Integer("intermediate_size", 1, kWidthMax));
  AUTOGLM_TRY(config.num_heads, fields.Integer("num_attention_heads", 1, kWidthMax));
  AUTOGLM_TRY(config.num_kv_heads, fields.IntegerOr("num_key_value_heads", config.num_heads, 1, config.num_heads));
  AUTOGLM_TRY(config.head_dim, fields.IntegerOr("head_dim", config.hidden_size / config.num_heads, 2, kHeadDimMax));
  AUTOGLM_TRY(config.vocab_size, fields.Integer("vocab_size", 1, kVocabMax));
  AUTOGLM_TRY(config.context_length, fields.Integer("max_position_embeddings", 1, kContextMax));
  AUTOGLM_TRY(const double eps, fields.Number("rms_norm_eps"));
  config.rms_norm_eps = static_cast<float>(eps);
  config.attention_scale = DefaultAttentionScale(config);
  AUTOGLM_TRY(config.has_qkv_bias, fields.BoolOr("attention_bias", false));
  AUTOGLM_TRY(config.eos_tokens, ReadEosTokens(fields));
  return {};
}

}  // namespace

std::vector<float> RopeConfig::Frequencies() const {
  std::vector<float> frequencies(static_cast<size_t>(dims / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double frequency = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(dims));
    double scaled = scaling == Scaling::kLinear ? frequency / factor : frequency;
    if (scaling == Scaling::kLlama3) {
      // Llama 3.1: long waves are stretched, short ones left alone, those between in proportion.
      const double waves = static_cast<double>(original_context) * frequency / (2 * std::numbers::pi);
      const double keep = std::clamp((waves - low_freq_factor) / (high_freq_factor - low_freq_factor), 0.0, 1.0);
      scaled = (1 - keep) * frequency / factor + keep * frequency;
    }
    frequencies[i] = static_cast<float>(scaled);
  }
  return frequencies;
}

Result<ModelConfig> ModelConfig::FromGguf(const GgufFile& file) {
  const std::string* name = file.FindString("general.architecture");
  if (name == nullptr) return Corrupt("general.architecture is missing");
  AUTOGLM_TRY(const Architecture* architecture, FindGgufArchitecture(*name));
  ModelConfig config;
  config.architecture = *name;
  if (const std::string* title = file.FindString("general.name")) config.name = *title;
  const GgufKeys keys(file, *name);
  AUTOGLM_TRY_VOID(ReadCommonGguf(keys, config));
  AUTOGLM_TRY_VOID(ReadVocabSize(file, config));
  AUTOGLM_TRY_VOID(architecture->read_gguf(keys, config));
  AUTOGLM_TRY_VOID(CheckShape(config));
  return config;
}

Result<ModelConfig> ModelConfig::FromJson(const Json& json) {
  Result<JsonFields> root = JsonFields::Of(json);
  if (!root) return Corrupt("the configuration is not a JSON object");
  ConfigFields fields(*std::move(root));
  AUTOGLM_TRY(const std::string model_type, fields.String("model_type"));
  if (model_type.empty()) return Corrupt("model_type is missing");
  AUTOGLM_TRY(const Architecture* architecture, FindModelType(model_type));
  // A model with a tower for images keeps its language model's numbers apart.
  if (fields.Has("text_config")) {
    AUTOGLM_TRY(fields, fields.Object("text_config"));
  }
  ModelConfig config;
  config.architecture = model_type;
  if (!architecture->has_own_config_keys) {
    AUTOGLM_TRY_VOID(ReadCommonJson(fields, config));
  }
  AUTOGLM_TRY_VOID(architecture->read_json(fields, config));
  AUTOGLM_TRY_VOID(CheckShape(config));
  return config;
}

}  // namespace autoglm
