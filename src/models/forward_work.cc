#include "models/forward_work.h"

#include <algorithm>

#include "models/transformer.h"

namespace autoglm {
namespace {

PeakOp OpOf(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::kInt8:
      return PeakOp::kInt8;
    case ActivationKind::kInt16:
      return PeakOp::kInt16;
    case ActivationKind::kBf16:
      return PeakOp::kBf16;
    case ActivationKind::kFloat:
      break;
  }
  return PeakOp::kF32;
}

// Keys that the tokens [depth, depth + num_tokens) of a sequence see, all together.
double NumVisible(const ForwardShape& shape, int64_t window) {
  double sum = 0;
  for (int64_t i = shape.depth; i < shape.depth + shape.num_tokens; ++i) {
    sum += static_cast<double>(window > 0 ? std::min(window, i + 1) : i + 1);
  }
  return sum;
}

}  // namespace

void ForwardWork::Add(PeakOp op, double multiplications) {
  for (Products& known : products) {
    if (known.op != op) continue;
    known.multiplications += multiplications;
    return;
  }
  products.push_back({op, multiplications});
}

ForwardWork Transformer::WorkOf(const ForwardShape& shape) const {
  ForwardWork work;
  const auto num_tokens = static_cast<double>(shape.num_sequences * shape.num_tokens);
  const auto add_matrix = [&](const PackedMatrix& matrix, double tokens, double share_read) {
    work.Add(OpOf(KindFor(matrix.format(), arithmetic_, kernels_, static_cast<int64_t>(tokens))),
             static_cast<double>(matrix.rows()) * static_cast<double>(matrix.columns()) * tokens);
    work.bytes_read += static_cast<int64_t>(static_cast<double>(matrix.num_bytes()) * share_read);
  };
  const auto add_mlp = [&](const MlpWeights& mlp, double tokens, double share_read) {
    for (const PackedMatrix* matrix : {&mlp.gate, &mlp.up, &mlp.down}) add_matrix(*matrix, tokens, share_read);
  };
  const KvLayout kv = kv_layout();
  for (int64_t l = 0; l < config_.num_layers; ++l) {
    const LayerWeights& layer = weights_.layers[static_cast<size_t>(l)];
    for (const PackedMatrix* matrix : {&layer.query, &layer.key, &layer.value, &layer.output}) add_matrix(*matrix, num_tokens, 1);
    if (layer.mlp.width() > 0) add_mlp(layer.mlp, num_tokens, 1);
    if (layer.is_moe()) {
      add_matrix(layer.router, num_tokens, 1);
      const double share = static_cast<double>(config_.moe.num_experts_per_token) / static_cast<double>(config_.moe.num_experts);
      for (const MlpWeights& expert : layer.experts) add_mlp(expert, num_tokens * share, std::min(num_tokens * share, 1.0));
    }
    const int64_t window = config_.IsSliding(l) ? config_.sliding_window : 0;
    work.Add(kv.type == KvType::kBf16 ? PeakOp::kBf16 : PeakOp::kF32,
             NumVisible(shape, window) * static_cast<double>(shape.num_sequences * 2 * config_.num_heads * config_.head_dim));
    const int64_t all = shape.depth + shape.num_tokens;
    const int64_t seen = window > 0 ? std::min(all, window + shape.num_tokens) : all;
    work.bytes_read += shape.num_sequences * seen * kv.layer_bytes() / kKvBlockTokens;
  }
  add_matrix(weights_.lm_head, static_cast<double>(shape.num_sequences), 1);
  return work;
}

}  // namespace autoglm
