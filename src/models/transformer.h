#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/kernel_table.h"
#include "models/causal_lm.h"
#include "models/step_buffers.h"
#include "models/tensor_names.h"
#include "weights/packed_matrix.h"

namespace autoglm {

// down(activation(gate x) * (up x))
struct MlpWeights {
  PackedMatrix gate, up;  // [width, hidden]
  PackedMatrix down;      // [hidden, width]

  int64_t width() const { return gate.rows(); }
};

// One pre-norm block: x += attention(norm(x)); x += mlp(norm(x)). Vectors that a family lacks are empty.
struct LayerWeights {
  std::vector<float> attention_norm;                    // [hidden]
  PackedMatrix query, key, value;                       // [heads * head_dim, hidden], [kv heads * head_dim, hidden] twice
  std::vector<float> query_bias, key_bias, value_bias;  // one for each row
  std::vector<float> query_norm, key_norm;              // [head_dim]
  PackedMatrix output;                                  // [hidden, heads * head_dim]
  std::vector<float> post_attention_norm;               // [hidden]
  std::vector<float> mlp_norm;                          // [hidden]
  MlpWeights mlp;  // what every token goes through: the MLP, or the shared expert of a layer with experts (no rows: none)
  std::vector<float> post_mlp_norm;  // [hidden]

  PackedMatrix router;             // [experts, hidden]; no rows: the layer is dense
  std::vector<float> router_bias;  // [experts]
  std::vector<MlpWeights> experts;

  bool is_moe() const { return !experts.empty(); }
};

struct TransformerWeights {
  WeightArena arena;     // holds every matrix below
  TensorView embedding;  // [vocab, hidden], rows are read from the file as tokens ask for them
  std::vector<LayerWeights> layers;
  std::vector<float> final_norm;                // [hidden]
  PackedMatrix lm_head;                         // [vocab, hidden]
  std::vector<float> rope_frequencies;          // [rope.dims / 2], radians a position
  std::vector<float> sliding_rope_frequencies;  // of the layers that slide

  int64_t num_bytes() const { return arena.used_bytes(); }
};

// RMS norm, rotary positions, grouped-query attention, gated MLP or experts: what GLM, Llama, Qwen and Gemma have in common.
// Where they differ, ModelConfig and the weights say so.
class Transformer final : public CausalLm {
 public:
  Transformer(ModelConfig config, TransformerWeights weights, const ModelLoadOptions& options);

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

// Reads every tensor under the names of its family. Errors: as CausalLm::Load.
Result<TransformerWeights> LoadTransformerWeights(const TensorSource& source, const TensorNames& names, const ModelConfig& config,
                                                  const ModelLoadOptions& options, ThreadPool& pool);

}  // namespace autoglm
