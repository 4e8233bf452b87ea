#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/kernel_table.h"
#include "models/causal_lm.h"
#include "models/step_buffers.h"
#include "weights/packed_matrix.h"

namespace autoglm {

// One pre-norm block: x += attention(norm(x)); x += mlp(norm(x)).
struct LayerWeights {
  std::vector<float> attention_norm;  // [hidden]
  PackedMatrix query, key, value;     // [heads * head_dim, hidden], [kv heads * head_dim, hidden] twice
  PackedMatrix output;                // [hidden, heads * head_dim]
  std::vector<float> mlp_norm;        // [hidden]
  PackedMatrix gate, up;              // [intermediate, hidden]
  PackedMatrix down;                  // [hidden, intermediate]
};

struct TransformerWeights {
  WeightArena arena;     // holds every matrix below
  TensorView embedding;  // [vocab, hidden], rows are read from the file as tokens ask for them
  std::vector<LayerWeights> layers;
  std::vector<float> final_norm;        // [hidden]
  PackedMatrix lm_head;                 // [vocab, hidden]
  std::vector<float> rope_frequencies;  // [rotary_dims / 2], radians a position

  int64_t num_bytes() const { return arena.used_bytes(); }
};

// The Llama family: RMS norm, rotary positions, grouped-query attention, SwiGLU.
class Transformer final : public CausalLm {
 public:
  Transformer(ModelConfig config, TransformerWeights weights, Isa isa, Arithmetic arithmetic);

  const ModelConfig& config() const override { return config_; }
  KvLayout kv_layout() const override;
  int64_t weight_bytes() const override { return weights_.num_bytes(); }
  void Forward(std::span<const ForwardSlice> slices, KvPool& kv, ThreadPool& pool, std::vector<float>& logits) override;
  void SetHiddenStateCapture(std::vector<std::vector<float>>* capture) override { capture_ = capture; }

 private:
  const ModelConfig config_;
  const TransformerWeights weights_;
  const KernelTable& kernels_;
  const Arithmetic arithmetic_;
  StepBuffers buffers_;
  std::vector<std::vector<float>>* capture_ = nullptr;
};

// Reads every tensor of a `llama` file. Errors: as CausalLm::Load.
Result<TransformerWeights> LoadTransformerWeights(const GgufFile& file, const ModelConfig& config, ThreadPool& pool);

}  // namespace autoglm
