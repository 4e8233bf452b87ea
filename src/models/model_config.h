#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "json/json.h"
#include "weights/gguf_file.h"

namespace autoglm {

// Which dimensions a rotation pairs. kInterleaved: (2i, 2i+1); kHalf: (i, i + dims / 2).
enum class RopePairing { kInterleaved, kHalf };

// Rotary position embedding (Su et al. 2021): pair i of a head turns by position * frequency i.
struct RopeConfig {
  enum class Scaling { kNone, kLinear, kLlama3 };

  int64_t dims = 0;  // first dims of a head that turn; even, <= head_dim
  double theta = 10000;
  RopePairing pairing = RopePairing::kInterleaved;
  Scaling scaling = Scaling::kNone;
  double factor = 1;            // positions are stretched by it
  double low_freq_factor = 1;   // kLlama3: waves longer than original_context / low are stretched whole,
  double high_freq_factor = 4;  // shorter than original_context / high not at all
  int64_t original_context = 0;

  // [dims / 2], radians a position: theta^(-2i/dims), scaled.
  std::vector<float> Frequencies() const;
};

// What multiplies the gate of an MLP.
enum class Activation { kSilu, kGeluTanh };

// A mixture of experts as DeepSeek-V3 and GLM-4.5 route it: models/moe_router.h.
struct MoeConfig {
  int64_t num_experts = 0;  // 0: the model is dense
  int64_t num_experts_per_token = 0;
  int64_t num_groups = 1;        // experts stand in groups of equal size,
  int64_t num_groups_kept = 1;   // of which the best are looked at
  int64_t expert_width = 0;      // intermediate size of one expert
  int64_t shared_width = 0;      // of the expert that sees every token; 0: there is none
  int64_t num_dense_layers = 0;  // the first layers have a dense MLP
  float routed_scale = 1;
  bool normalizes_weights = true;  // the chosen experts' weights add up to 1 before scaling
};

// A decoder-only transformer's shape, from a file's metadata. Field names follow Hugging Face's config.json.
struct ModelConfig {
  std::string architecture;  // as the file says: general.architecture of GGUF, model_type of config.json
  std::string name;          // general.name, or empty
  int64_t num_layers = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;      // rows of the embedding
  int64_t context_length = 0;  // tokens the model was trained for
  float rms_norm_eps = 0;
  RopeConfig rope;
  Activation activation = Activation::kSilu;

  bool has_qkv_bias = false;
  bool has_qk_norm = false;         // RMS norm of every query and key head, before RoPE
  bool has_sandwich_norms = false;  // RMS norm of what attention and MLP give, before it joins the residual stream
  float norm_offset = 0;            // added to every norm weight (Gemma's files hold w - 1)
  float embedding_scale = 1;
  float attention_scale = 0;    // times query . key
  float attention_softcap = 0;  // above 0: cap * tanh(score / cap)
  float logits_softcap = 0;
  std::vector<int64_t> eos_tokens;  // of config.json; GGUF's are the tokenizer's business

  // Layers that see only the last `sliding_window` tokens, themselves included. Empty: none does.
  std::vector<bool> layer_is_sliding;
  int64_t sliding_window = 0;
  RopeConfig sliding_rope;  // of those layers

  MoeConfig moe;

  int64_t heads_per_kv_head() const { return num_heads / num_kv_heads; }
  bool IsSliding(int64_t layer) const { return !layer_is_sliding.empty() && layer_is_sliding[static_cast<size_t>(layer)]; }
  bool IsMoe(int64_t layer) const { return moe.num_experts > 0 && layer >= moe.num_dense_layers; }
  const RopeConfig& RopeOf(int64_t layer) const { return IsSliding(layer) ? sliding_rope : rope; }

  // Errors: kUnsupported architecture or feature; kCorruptFile for values that are missing, out of range or do not fit together.
  static Result<ModelConfig> FromGguf(const GgufFile& file);
  // config.json of a Hugging Face folder, in the style of transformers before or after version 5.
  static Result<ModelConfig> FromJson(const Json& config);
};

}  // namespace autoglm
