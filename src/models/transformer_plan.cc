#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "models/architecture.h"
#include "models/transformer.h"
#include "weights/dequantize.h"

namespace autoglm {
namespace {

Status CheckRows(const TensorView& tensor, int64_t rows) {
  if (tensor.shape.size() >= 2 && tensor.num_rows() == rows) return {};
  return Fail(ErrorCode::kCorruptFile,
              "tensor " + tensor.name + " has " + std::to_string(tensor.num_rows()) + " rows, expected " + std::to_string(rows));
}

class Planner {
 public:
  Planner(const TensorSource& source, const TensorNames& names, const ModelConfig& config, WeightLoader& loader)
      : source_(source), names_(names), config_(config), loader_(loader) {}

  Result<std::span<const float>> Vector(const std::string& name, int64_t size) const {
    return Part(name, {.size = size, .count = size});
  }

  Result<std::span<const float>> Norm(const std::string& name, int64_t size) const {
    return Part(name, {.size = size, .count = size, .offset = config_.norm_offset});
  }

  Result<PackedMatrix> Matrix(const std::string& name, int64_t rows, int64_t columns) const {
    AUTOGLM_TRY(const TensorView* tensor, source_.FindTensor(name));
    return loader_.AddMatrix(*tensor, {rows, columns});
  }

  Result<LayerWeights> Layer(int64_t index) {
    layer_ = NumberedName(names_.layer, index);
    LayerWeights layer;
    AUTOGLM_TRY(layer.attention_norm, Norm(Weight(names_.attention_norm), config_.hidden_size));
    AUTOGLM_TRY_VOID(PlanQkv(layer));
    AUTOGLM_TRY(layer.output, Matrix(Weight(names_.output), config_.hidden_size, config_.num_heads * config_.head_dim));
    AUTOGLM_TRY(layer.mlp_norm, Norm(Weight(names_.mlp_norm), config_.hidden_size));
    if (config_.has_sandwich_norms) {
      AUTOGLM_TRY(layer.post_attention_norm, Norm(Weight(names_.post_attention_norm), config_.hidden_size));
      AUTOGLM_TRY(layer.post_mlp_norm, Norm(Weight(names_.post_mlp_norm), config_.hidden_size));
    }
    if (config_.IsMoe(index)) {
      AUTOGLM_TRY_VOID(PlanExperts(layer));
    } else {
      AUTOGLM_TRY_VOID(PlanMlp(layer.mlp));
    }
    return layer;
  }

 private:
  std::string Weight(const std::string& name) const { return layer_ + name + ".weight"; }
  std::string Bias(const std::string& name) const { return layer_ + name + ".bias"; }

  Result<std::span<const float>> Part(const std::string& name, const WeightLoader::VectorPart& part) const {
    AUTOGLM_TRY(const TensorView* tensor, source_.FindTensor(name));
    return loader_.AddVector(*tensor, part);
  }

  // Rows of a fused or stacked tensor.
  Result<PackedMatrix> Rows(const TensorView& tensor, int64_t first, int64_t rows, int64_t columns) const {
    AUTOGLM_TRY(const TensorView part, RowSlice(tensor, first, rows));
    return loader_.AddMatrix(part, {rows, columns});
  }

  Status PlanQkv(LayerWeights& layer) const {
    const int64_t query_rows = config_.num_heads * config_.head_dim;
    const int64_t kv_rows = config_.num_kv_heads * config_.head_dim;
    const bool is_fused = !names_.query_key_value.empty() && (names_.query.empty() || !source_.HasTensor(Weight(names_.query)));
    if (is_fused) {
      AUTOGLM_TRY_VOID(PlanFusedQkv(layer, query_rows, kv_rows));
    } else {
      AUTOGLM_TRY(layer.query, Matrix(Weight(names_.query), query_rows, config_.hidden_size));
      AUTOGLM_TRY(layer.key, Matrix(Weight(names_.key), kv_rows, config_.hidden_size));
      AUTOGLM_TRY(layer.value, Matrix(Weight(names_.value), kv_rows, config_.hidden_size));
      if (config_.has_qkv_bias) {
        AUTOGLM_TRY(layer.query_bias, Vector(Bias(names_.query), query_rows));
        AUTOGLM_TRY(layer.key_bias, Vector(Bias(names_.key), kv_rows));
        AUTOGLM_TRY(layer.value_bias, Vector(Bias(names_.value), kv_rows));
      }
    }
    if (!config_.has_qk_norm) return {};
    AUTOGLM_TRY(layer.query_norm, Norm(Weight(names_.query_norm), config_.head_dim));
    AUTOGLM_TRY(layer.key_norm, Norm(Weight(names_.key_norm), config_.head_dim));
    return {};
  }

  Status PlanFusedQkv(LayerWeights& layer, int64_t query_rows, int64_t kv_rows) const {
    AUTOGLM_TRY(const TensorView* fused, source_.FindTensor(Weight(names_.query_key_value)));
    AUTOGLM_TRY_VOID(CheckRows(*fused, query_rows + 2 * kv_rows));
    AUTOGLM_TRY(layer.query, Rows(*fused, 0, query_rows, config_.hidden_size));
    AUTOGLM_TRY(layer.key, Rows(*fused, query_rows, kv_rows, config_.hidden_size));
    AUTOGLM_TRY(layer.value, Rows(*fused, query_rows + kv_rows, kv_rows, config_.hidden_size));
    if (!config_.has_qkv_bias) return {};
    const int64_t size = query_rows + 2 * kv_rows;
    const std::string bias = Bias(names_.query_key_value);
    AUTOGLM_TRY(layer.query_bias, Part(bias, {.size = size, .count = query_rows}));
    AUTOGLM_TRY(layer.key_bias, Part(bias, {.size = size, .first = query_rows, .count = kv_rows}));
    AUTOGLM_TRY(layer.value_bias, Part(bias, {.size = size, .first = query_rows + kv_rows, .count = kv_rows}));
    return {};
  }

  Status PlanMlp(MlpWeights& mlp) const {
    const int64_t width = config_.intermediate_size;
    AUTOGLM_TRY(mlp.down, Matrix(Weight(names_.down), config_.hidden_size, width));
    if (!names_.gate.empty()) {
      AUTOGLM_TRY(mlp.gate, Matrix(Weight(names_.gate), width, config_.hidden_size));
      AUTOGLM_TRY(mlp.up, Matrix(Weight(names_.up), width, config_.hidden_size));
      return {};
    }
    AUTOGLM_TRY(const TensorView* fused, source_.FindTensor(Weight(names_.gate_up)));
    AUTOGLM_TRY_VOID(CheckRows(*fused, 2 * width));
    AUTOGLM_TRY(mlp.gate, Rows(*fused, 0, width, config_.hidden_size));
    AUTOGLM_TRY(mlp.up, Rows(*fused, width, width, config_.hidden_size));
    return {};
  }

  Status PlanExperts(LayerWeights& layer) const {
    const MoeConfig& moe = config_.moe;
    AUTOGLM_TRY(layer.router, Matrix(Weight(names_.router), moe.num_experts, config_.hidden_size));
    if (source_.HasTensor(layer_ + names_.router_bias)) {
      AUTOGLM_TRY(layer.router_bias, Vector(layer_ + names_.router_bias, moe.num_experts));
    }
    if (moe.shared_width > 0) {
      AUTOGLM_TRY(layer.mlp.gate, Matrix(Weight(names_.shared_gate), moe.shared_width, config_.hidden_size));
      AUTOGLM_TRY(layer.mlp.up, Matrix(Weight(names_.shared_up), moe.shared_width, config_.hidden_size));
      AUTOGLM_TRY(layer.mlp.down, Matrix(Weight(names_.shared_down), config_.hidden_size, moe.shared_width));
    }
    layer.experts.resize(static_cast<size_t>(moe.num_experts));
    for (int64_t expert = 0; expert < moe.num_experts; ++expert) {
      MlpWeights& mlp = layer.experts[static_cast<size_t>(expert)];
      AUTOGLM_TRY(mlp.gate, Expert(names_.expert_gate, expert, moe.expert_width, config_.hidden_size));
      AUTOGLM_TRY(mlp.up, Expert(names_.expert_up, expert, moe.expert_width, config_.hidden_size));
      AUTOGLM_TRY(mlp.down, Expert(names_.expert_down, expert, config_.hidden_size, moe.expert_width));
    }
    return {};
  }

  Result<PackedMatrix> Expert(const std::string& name, int64_t expert, int64_t rows, int64_t columns) const {
    if (name.find("{}") != std::string::npos) return Matrix(Weight(NumberedName(name, expert)), rows, columns);
    AUTOGLM_TRY(const TensorView* stacked, source_.FindTensor(Weight(name)));
    AUTOGLM_TRY_VOID(CheckRows(*stacked, config_.moe.num_experts * rows));
    return Rows(*stacked, expert * rows, rows, columns);
  }

  const TensorSource& source_;
  const TensorNames& names_;
  const ModelConfig& config_;
  WeightLoader& loader_;
  std::string layer_;
};

// Address space for every tensor, in panels or as a vector; one that is cut into parts fills up several last panels.
int64_t ArenaBytes(const TensorSource& file, const ModelConfig& config, const WeightPacking& packing) {
  const int64_t parts_max = std::max<int64_t>(3, config.moe.num_experts);
  int64_t bytes = 0;
  for (const TensorView& tensor : file.tensors()) {
    const int64_t packed = PackedMatrix::PackedBytes(tensor, packing);
    const int64_t num_panels = (tensor.num_rows() + kPanelRows - 1) / kPanelRows;
    const int64_t panel_bytes = num_panels == 0 ? 0 : packed / num_panels;
    const int64_t vector_bytes = tensor.shape.size() < 2 ? tensor.num_columns() * static_cast<int64_t>(sizeof(float)) : 0;
    bytes += packed + vector_bytes + parts_max * (panel_bytes + 64);
  }
  return bytes;
}

// Llama 3's scaling comes in GGUF as a tensor of divisors.
Status DivideFrequencies(const TensorSource& file, std::vector<float>& frequencies) {
  constexpr const char* kName = "rope_freqs.weight";
  if (!file.HasTensor(kName)) return {};
  AUTOGLM_TRY(const TensorView* tensor, file.FindTensor(kName));
  if (tensor->num_rows() != 1 || tensor->num_columns() != std::ssize(frequencies)) {
    return Fail(ErrorCode::kCorruptFile,
                "rope_freqs.weight is not a vector of " + std::to_string(frequencies.size()) + " values");
  }
  std::vector<float> divisors(frequencies.size());
  DequantizeRow(*tensor, 0, divisors);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    if (!(divisors[i] > 0)) return Fail(ErrorCode::kCorruptFile, "rope_freqs.weight holds a divisor that is not positive");
    frequencies[i] /= divisors[i];
  }
  return {};
}

}  // namespace

Result<TransformerWeights> PlanTransformerWeights(const TensorSource& source, const TensorNames& names, const ModelConfig& config,
                                                  const ModelLoadOptions& options) {
  TransformerWeights weights;
  const WeightPacking packing{.precision = options.precision, .arithmetic = options.arithmetic};
  AUTOGLM_TRY(weights.loader, WeightLoader::Create(source, ArenaBytes(source, config, packing), packing));
  Planner planner(source, names, config, *weights.loader);
  AUTOGLM_TRY(const TensorView* embedding, source.FindTensor(names.embedding));
  weights.embedding = *embedding;
  if (embedding->shape.size() != 2 || embedding->num_columns() != config.hidden_size ||
      embedding->num_rows() != config.vocab_size) {
    return Fail(ErrorCode::kCorruptFile, "tensor " + names.embedding + " is not a matrix of " +
                                             std::to_string(config.vocab_size) + " rows and " +
                                             std::to_string(config.hidden_size) + " columns");
  }
  weights.rope_frequencies = config.rope.Frequencies();
  AUTOGLM_TRY_VOID(DivideFrequencies(source, weights.rope_frequencies));
  if (!config.layer_is_sliding.empty()) weights.sliding_rope_frequencies = config.sliding_rope.Frequencies();
  for (int64_t index = 0; index < config.num_layers; ++index) {
    AUTOGLM_TRY(LayerWeights layer, planner.Layer(index));
    weights.layers.push_back(std::move(layer));
    weights.loader->EndStage();
  }
  AUTOGLM_TRY(weights.final_norm, planner.Norm(names.final_norm, config.hidden_size));
  // Tied embeddings: the file has no head of its own.
  const std::string& head = source.HasTensor(names.lm_head) ? names.lm_head : names.embedding;
  AUTOGLM_TRY(weights.lm_head, planner.Matrix(head, config.vocab_size, config.hidden_size));
  weights.loader->EndStage();
  weights.loader->Start(options.prepared_cache);
  return weights;
}

Result<std::unique_ptr<CausalLm>> CausalLm::Open(const GgufFile& file, const ModelLoadOptions& options) {
  AUTOGLM_TRY(ModelConfig config, ModelConfig::FromGguf(file));
  AUTOGLM_TRY(const Architecture* architecture, FindGgufArchitecture(config.architecture));
  AUTOGLM_TRY(TransformerWeights weights, PlanTransformerWeights(file, architecture->gguf_tensors, config, options));
  return std::make_unique<Transformer>(std::move(config), std::move(weights), options);
}

Result<std::unique_ptr<CausalLm>> CausalLm::Open(const TensorSource& folder, ModelConfig config,
                                                 const ModelLoadOptions& options) {
  AUTOGLM_TRY(const Architecture* architecture, FindModelType(config.architecture));
  const TensorNames names = NamesInFolder(*architecture, folder);
  AUTOGLM_TRY(TransformerWeights weights, PlanTransformerWeights(folder, names, config, options));
  return std::make_unique<Transformer>(std::move(config), std::move(weights), options);
}

}  // namespace autoglm
