#include "models/model_config.h"

#include <cmath>

namespace autoglm {
namespace {

// Bounds far above any published model: what lies beyond is a damaged or hostile file.
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxHeadDim = 1024;
constexpr int64_t kMaxVocab = 1 << 24;
constexpr int64_t kMaxContext = 1 << 24;

Result<int64_t> BoundedKey(const GgufFile& file, const std::string& key, int64_t maximum) {
  AUTOGLM_TRY(const int64_t value, file.Integer(key));
  if (value < 1 || value > maximum) {
    return Fail(ErrorCode::kCorruptFile, key + " is " + std::to_string(value) + ", expected 1 to " + std::to_string(maximum));
  }
  return value;
}

Status CheckShape(const ModelConfig& config) {
  const auto corrupt = [](const std::string& what) { return Fail(ErrorCode::kCorruptFile, what); };
  if (config.num_heads % config.num_kv_heads != 0) {
    return corrupt("attention.head_count " + std::to_string(config.num_heads) + " is not a multiple of head_count_kv " +
                   std::to_string(config.num_kv_heads));
  }
  if (config.head_dim < 2 || config.head_dim > kMaxHeadDim || config.head_dim % 2 != 0) {
    return corrupt("a head has " + std::to_string(config.head_dim) + " dimensions, expected an even number up to 1024");
  }
  if (config.rotary_dims < 0 || config.rotary_dims > config.head_dim || config.rotary_dims % 2 != 0) {
    return corrupt("rope.dimension_count is " + std::to_string(config.rotary_dims) + ", expected an even number up to " +
                   std::to_string(config.head_dim));
  }
  if (!(config.rms_norm_eps >= 0 && config.rms_norm_eps < 1)) return corrupt("attention.layer_norm_rms_epsilon is out of range");
  if (!(config.rope_theta > 1 && std::isfinite(config.rope_theta))) return corrupt("rope.freq_base is out of range");
  return {};
}

}  // namespace

Result<ModelConfig> ModelConfig::FromGguf(const GgufFile& file) {
  const std::string* architecture = file.FindString("general.architecture");
  if (architecture == nullptr) return Fail(ErrorCode::kCorruptFile, "general.architecture is missing");
  if (*architecture != "llama") {
    return Fail(ErrorCode::kUnsupported, "architecture \"" + *architecture + "\" is not supported; known: llama");
  }
  const std::string prefix = *architecture + ".";
  ModelConfig config;
  config.architecture = *architecture;
  if (const std::string* name = file.FindString("general.name")) config.name = *name;
  AUTOGLM_TRY(config.num_layers, BoundedKey(file, prefix + "block_count", kMaxLayers));
  AUTOGLM_TRY(config.hidden_size, BoundedKey(file, prefix + "embedding_length", kMaxWidth));
  AUTOGLM_TRY(config.intermediate_size, BoundedKey(file, prefix + "feed_forward_length", kMaxWidth));
  AUTOGLM_TRY(config.num_heads, BoundedKey(file, prefix + "attention.head_count", kMaxWidth));
  config.num_kv_heads = config.num_heads;
  if (file.metadata().contains(prefix + "attention.head_count_kv")) {
    AUTOGLM_TRY(config.num_kv_heads, BoundedKey(file, prefix + "attention.head_count_kv", config.num_heads));
  }
  AUTOGLM_TRY(config.context_length, BoundedKey(file, prefix + "context_length", kMaxContext));
  AUTOGLM_TRY(const double eps, file.Float(prefix + "attention.layer_norm_rms_epsilon"));
  config.rms_norm_eps = static_cast<float>(eps);
  config.rope_theta = static_cast<float>(file.FloatOr(prefix + "rope.freq_base", 10000.0));
  config.head_dim = file.IntegerOr(prefix + "attention.key_length", config.hidden_size / config.num_heads);
  config.rotary_dims = file.IntegerOr(prefix + "rope.dimension_count", config.head_dim);

  AUTOGLM_TRY(const TensorView* embedding, file.FindTensor("token_embd.weight"));
  config.vocab_size = embedding->num_rows();
  if (embedding->shape.size() != 2 || config.vocab_size > kMaxVocab) {
    return Fail(ErrorCode::kCorruptFile, "token_embd.weight is not a matrix of a plausible size");
  }
  AUTOGLM_TRY_VOID(CheckShape(config));
  return config;
}

}  // namespace autoglm
