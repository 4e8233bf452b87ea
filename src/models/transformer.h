#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/kernel_table.h"
#include "models/causal_lm.h"
#include "models/step_buffers.h"
#include "models/tensor_names.h"
#include "weights/packed_matrix.h"
#include "weights/weight_loader.h"

namespace autoglm {

// down(activation(gate x) * (up x))
struct MlpWeights {
  PackedMatrix gate, up;  // [width, hidden]
  PackedMatrix down;      // [hidden, width]

  int64_t width() const { return gate.rows(); }
};

// One pre-norm block: x += attention(norm(x)); x += mlp(norm(x)). Vectors that a family lacks are empty.
struct LayerWeights {
  std::span<const float> attention_norm;                    // [hidden]
  PackedMatrix query, key, value;                           // [heads * head_dim, hidden], [kv heads * head_dim, hidden] twice
  std::span<const float> query_bias, key_bias, value_bias;  // one for each row
  std::span<const float> query_norm, key_norm;              // [head_dim]
  PackedMatrix output;                                      // [hidden, heads * head_dim]
  std::span<const float> post_attention_norm;               // [hidden]
  std::span<const float> mlp_norm;                          // [hidden]
  MlpWeights mlp;  // what every token goes through: the MLP, or the shared expert of a layer with experts (no rows: none)
  std::span<const float> post_mlp_norm;  // [hidden]

  PackedMatrix router;                 // [experts, hidden]; no rows: the layer is dense
  std::span<const float> router_bias;  // [experts]
  std::vector<MlpWeights> experts;

  bool is_moe() const { return !experts.empty(); }
};

// All of it stands in the memory of `loader`, whose stages are the layers in order, and last what the logits need.
struct TransformerWeights {
  std::unique_ptr<WeightLoader> loader;
  TensorView embedding;  // [vocab, hidden], rows are read from the file as tokens ask for them
  std::vector<LayerWeights> layers;
  std::span<const float> final_norm;            // [hidden]
  PackedMatrix lm_head;                         // [vocab, hidden]
  std::vector<float> rope_frequencies;          // [rope.dims / 2], radians a position
  std::vector<float> sliding_rope_frequencies;  // of the layers that slide

  int64_t num_bytes() const { return loader->num_bytes(); }
};

// RMS norm, rotary positions, grouped-query attention, gated MLP or experts: what GLM, Llama, Qwen and Gemma have in common.
// Where they differ, ModelConfig and the weights say so.
class Transformer final : public CausalLm {
 public:
  Transformer(ModelConfig config, TransformerWeights weights, const ModelLoadOptions& options);

  const ModelConfig& config() const override { return config_; }
  KvLayout kv_layout() const override;
  int64_t weight_bytes() const override { return weights_.num_bytes(); }
  ForwardWork WorkOf(const ForwardShape& shape) const override;
  LoadProgress load_progress() const override;
  void LoadNext(ThreadPool& pool) override { weights_.loader->LoadNext(pool); }
  Status WaitForCache() override { return weights_.loader->WaitForCache(); }
  bool Forward(std::span<const ForwardSlice> slices, KvPool& kv, ThreadPool& pool, std::vector<float>& logits,
               const std::atomic<bool>* interrupt) override;
  void SetHiddenStateCapture(std::vector<std::vector<float>>* capture) override { capture_ = capture; }

 private:
  const ModelConfig config_;
  TransformerWeights weights_;
  const KernelTable& kernels_;
  const Arithmetic arithmetic_;
  const KvType kv_type_;
  StepBuffers buffers_;
  std::vector<std::vector<float>>* capture_ = nullptr;
};

// Plans every tensor under the names of its family. Errors: as CausalLm::Open.
Result<TransformerWeights> PlanTransformerWeights(const TensorSource& source, const TensorNames& names, const ModelConfig& config,
                                                  const ModelLoadOptions& options);

}  // namespace autoglm
