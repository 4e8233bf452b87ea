#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "weights/gguf_file.h"

namespace autoglm {

// Which dimensions a rotation pairs. kInterleaved: (2i, 2i+1); kHalf: (i, i + rotary_dims / 2).
enum class RopePairing { kInterleaved, kHalf };

// A decoder-only transformer's shape, from a file's metadata. Field names follow Hugging Face's config.json.
struct ModelConfig {
  std::string architecture;  // GGUF's general.architecture
  std::string name;          // general.name, or empty
  int64_t num_layers = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t rotary_dims = 0;     // first dims of a head that RoPE turns; even, <= head_dim
  int64_t vocab_size = 0;      // rows of the embedding
  int64_t context_length = 0;  // tokens the model was trained for
  float rms_norm_eps = 0;
  float rope_theta = 10000;
  RopePairing rope_pairing = RopePairing::kInterleaved;

  int64_t heads_per_kv_head() const { return num_heads / num_kv_heads; }

  // Errors: kUnsupported architecture; kCorruptFile for keys that are missing, out of range or do not fit together.
  static Result<ModelConfig> FromGguf(const GgufFile& file);
};

}  // namespace autoglm
