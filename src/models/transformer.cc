#include "models/transformer.h"

#include <utility>

#include "models/forward_pass.h"

namespace autoglm {

Transformer::Transformer(ModelConfig config, TransformerWeights weights, const ModelLoadOptions& options)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      kernels_(GetKernels(options.isa)),
      arithmetic_(options.arithmetic),
      kv_type_(options.kv_type.value_or(options.arithmetic == Arithmetic::kExact ? KvType::kF32 : KvType::kBf16)) {}

KvLayout Transformer::kv_layout() const {
  return {.type = kv_type_,
          .num_layers = config_.num_layers,
          .num_kv_heads = config_.num_kv_heads,
          .head_dim = (config_.head_dim + 15) / 16 * 16};
}

LoadProgress Transformer::load_progress() const {
  return {.num_stages = weights_.loader->num_stages(),
          .num_loaded = weights_.loader->num_loaded(),
          .is_prepared = weights_.loader->is_prepared()};
}

bool Transformer::Forward(std::span<const ForwardSlice> slices, KvPool& kv, ThreadPool& pool, std::vector<float>& logits,
                          const std::atomic<bool>* interrupt) {
  return ForwardPass(config_, weights_, kernels_, arithmetic_, buffers_, kv, pool, capture_).Run(slices, logits, interrupt);
}

}  // namespace autoglm
