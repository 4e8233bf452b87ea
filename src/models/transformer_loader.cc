#include <algorithm>
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

class Loader {
 public:
  Loader(const TensorSource& source, const TensorNames& names, const ModelConfig& config, const PackTarget& target)
      : source_(source), names_(names), config_(config), target_(target) {}

  Result<std::vector<float>> Vector(const std::string& name, int64_t size) const {
    AUTOGLM_TRY(const TensorView* tensor, source_.FindTensor(name));
    if (tensor->num_rows() != 1 || tensor->num_columns() != size) {
      return Fail(ErrorCode::kCorruptFile, "tensor " + name + " has " +
                                               std::to_string(tensor->num_rows() * tensor->num_columns()) +
                                               " values, expected a vector of " + std::to_string(size));
    }
    std::vector<float> values(static_cast<size_t>(size));
    DequantizeRow(*tensor, 0, values);
    return values;
  }

  Result<std::vector<float>> Norm(const std::string& name, int64_t size) const {
    AUTOGLM_TRY(std::vector<float> weights, Vector(name, size));
    for (float& weight : weights) weight += config_.norm_offset;
    return weights;
  }

  // Packs a matrix and gives the file's pages back: from here on only the copy is used.
  Result<PackedMatrix> Matrix(const std::string& name, int64_t rows, int64_t columns) const {
    AUTOGLM_TRY(const TensorView* tensor, source_.FindTensor(name));
    return Pack(*tensor, rows, columns);
  }

  Result<LayerWeights> Layer(int64_t index) {
    layer_ = NumberedName(names_.layer, index);
    LayerWeights layer;
    AUTOGLM_TRY(layer.attention_norm, Norm(Weight(names_.attention_norm), config_.hidden_size));
    AUTOGLM_TRY_VOID(LoadQkv(layer));
    AUTOGLM_TRY(layer.output, Matrix(Weight(names_.output), config_.hidden_size, config_.num_heads * config_.head_dim));
    AUTOGLM_TRY(layer.mlp_norm, Norm(Weight(names_.mlp_norm), config_.hidden_size));
    if (config_.has_sandwich_norms) {
      AUTOGLM_TRY(layer.post_attention_norm, Norm(Weight(names_.post_attention_norm), config_.hidden_size));
      AUTOGLM_TRY(layer.post_mlp_norm, Norm(Weight(names_.post_mlp_norm), config_.hidden_size));
    }
    if (config_.IsMoe(index)) {
      AUTOGLM_TRY_VOID(LoadExperts(layer));
    } else {
      AUTOGLM_TRY_VOID(LoadMlp(layer.mlp));
    }
    return layer;
  }

 private:
  std::string Weight(const std::string& name) const { return layer_ + name + ".weight"; }
  std::string Bias(const std::string& name) const { return layer_ + name + ".bias"; }

  Result<PackedMatrix> Pack(const TensorView& tensor, int64_t rows, int64_t columns) const {
    AUTOGLM_TRY(PackedMatrix matrix, PackedMatrix::Pack(tensor, {rows, columns}, target_));
    source_.DropPages(tensor);
    return matrix;
  }

  // Rows of a fused or stacked tensor.
  Result<PackedMatrix> PackRows(const TensorView& tensor, int64_t first, int64_t rows, int64_t columns) const {
    AUTOGLM_TRY(const TensorView part, RowSlice(tensor, first, rows));
    return Pack(part, rows, columns);
  }

  Status LoadQkv(LayerWeights& layer) const {
    const int64_t query_rows = config_.num_heads * config_.head_dim;
    const int64_t kv_rows = config_.num_kv_heads * config_.head_dim;
    const bool is_fused = !names_.query_key_value.empty() && (names_.query.empty() || !source_.HasTensor(Weight(names_.query)));
    if (is_fused) {
      AUTOGLM_TRY_VOID(LoadFusedQkv(layer, query_rows, kv_rows));
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

  Status LoadFusedQkv(LayerWeights& layer, int64_t query_rows, int64_t kv_rows) const {
    AUTOGLM_TRY(const TensorView* fused, source_.FindTensor(Weight(names_.query_key_value)));
    AUTOGLM_TRY_VOID(CheckRows(*fused, query_rows + 2 * kv_rows));
    AUTOGLM_TRY(layer.query, PackRows(*fused, 0, query_rows, config_.hidden_size));
    AUTOGLM_TRY(layer.key, PackRows(*fused, query_rows, kv_rows, config_.hidden_size));
    AUTOGLM_TRY(layer.value, PackRows(*fused, query_rows + kv_rows, kv_rows, config_.hidden_size));
    if (!config_.has_qkv_bias) return {};
    AUTOGLM_TRY(const std::vector<float> bias, Vector(Bias(names_.query_key_value), query_rows + 2 * kv_rows));
    layer.query_bias.assign(bias.begin(), bias.begin() + query_rows);
    layer.key_bias.assign(bias.begin() + query_rows, bias.begin() + query_rows + kv_rows);
    layer.value_bias.assign(bias.begin() + query_rows + kv_rows, bias.end());
    return {};
  }

  Status LoadMlp(MlpWeights& mlp) const {
    const int64_t width = config_.intermediate_size;
    AUTOGLM_TRY(mlp.down, Matrix(Weight(names_.down), config_.hidden_size, width));
    if (!names_.gate.empty()) {
      AUTOGLM_TRY(mlp.gate, Matrix(Weight(names_.gate), width, config_.hidden_size));
      AUTOGLM_TRY(mlp.up, Matrix(Weight(names_.up), width, config_.hidden_size));
      return {};
    }
    AUTOGLM_TRY(const TensorView* fused, source_.FindTensor(Weight(names_.gate_up)));
    AUTOGLM_TRY_VOID(CheckRows(*fused, 2 * width));
    AUTOGLM_TRY(mlp.gate, PackRows(*fused, 0, width, config_.hidden_size));
    AUTOGLM_TRY(mlp.up, PackRows(*fused, width, width, config_.hidden_size));
    return {};
  }

  Status LoadExperts(LayerWeights& layer) const {
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
    return PackRows(*stacked, expert * rows, rows, columns);
  }

  const TensorSource& source_;
  const TensorNames& names_;
  const ModelConfig& config_;
  PackTarget target_;
  std::string layer_;
};

// Address space for every tensor in panels; a tensor of three dimensions, or one that is cut, fills up several last panels.
int64_t ArenaBytes(const TensorSource& file, const ModelConfig& config, WeightPrecision precision) {
  const int64_t parts_max = std::max<int64_t>(3, config.moe.num_experts);
  int64_t bytes = 0;
  for (const TensorView& tensor : file.tensors()) {
    const int64_t packed = PackedMatrix::PackedBytes(tensor, precision);
    const int64_t num_panels = (tensor.num_rows() + kPanelRows - 1) / kPanelRows;
    const int64_t panel_bytes = num_panels == 0 ? 0 : packed / num_panels;
    bytes += packed + (tensor.shape.size() < 2 ? 1 : parts_max) * (panel_bytes + 64);
  }
  return bytes;
}

// Llama 3's scaling comes in GGUF as a tensor of divisors.
Status DivideFrequencies(const TensorSource& file, const Loader& loader, std::vector<float>& frequencies) {
  constexpr const char* kName = "rope_freqs.weight";
  if (!file.HasTensor(kName)) return {};
  AUTOGLM_TRY(const std::vector<float> divisors, loader.Vector(kName, std::ssize(frequencies)));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    if (!(divisors[i] > 0)) return Fail(ErrorCode::kCorruptFile, "rope_freqs.weight holds a divisor that is not positive");
    frequencies[i] /= divisors[i];
  }
  return {};
}

// The language model of a model with a tower for images has a longer prefix: "model.language_model." since transformers 4.52,
// "language_model.model." before.
TensorNames NamesInFolder(const TensorNames& plain, const TensorSource& folder) {
  if (folder.HasTensor(plain.embedding)) return plain;
  const auto prefixed = [&](std::string_view prefix) {
    TensorNames names = plain;
    for (std::string* name : {&names.embedding, &names.final_norm, &names.layer}) {
      if (name->starts_with("model.")) name->replace(0, 6, prefix);
    }
    return names;
  };
  for (const std::string_view prefix : {"model.language_model.", "language_model.model."}) {
    TensorNames names = prefixed(prefix);
    if (!folder.HasTensor(names.embedding)) continue;
    if (!folder.HasTensor(names.lm_head)) names.lm_head = "language_model." + names.lm_head;
    return names;
  }
  return plain;
}

}  // namespace

Result<TransformerWeights> LoadTransformerWeights(const TensorSource& source, const TensorNames& names, const ModelConfig& config,
                                                  const ModelLoadOptions& options, ThreadPool& pool) {
  TransformerWeights weights;
  AUTOGLM_TRY(weights.arena, WeightArena::Reserve(ArenaBytes(source, config, options.precision)));
  Loader loader(source, names, config, {.arena = weights.arena, .pool = pool, .precision = options.precision});
  AUTOGLM_TRY(const TensorView* embedding, source.FindTensor(names.embedding));
  weights.embedding = *embedding;
  if (embedding->shape.size() != 2 || embedding->num_columns() != config.hidden_size ||
      embedding->num_rows() != config.vocab_size) {
    return Fail(ErrorCode::kCorruptFile, "tensor " + names.embedding + " is not a matrix of " +
                                             std::to_string(config.vocab_size) + " rows and " +
                                             std::to_string(config.hidden_size) + " columns");
  }
  weights.rope_frequencies = config.rope.Frequencies();
  AUTOGLM_TRY_VOID(DivideFrequencies(source, loader, weights.rope_frequencies));
  if (!config.layer_is_sliding.empty()) weights.sliding_rope_frequencies = config.sliding_rope.Frequencies();
  AUTOGLM_TRY(weights.final_norm, loader.Norm(names.final_norm, config.hidden_size));
  // Tied embeddings: the file has no head of its own.
  const std::string& head = source.HasTensor(names.lm_head) ? names.lm_head : names.embedding;
  AUTOGLM_TRY(weights.lm_head, loader.Matrix(head, config.vocab_size, config.hidden_size));
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    AUTOGLM_TRY(LayerWeights loaded, loader.Layer(layer));
    weights.layers.push_back(std::move(loaded));
  }
  return weights;
}

Result<std::unique_ptr<CausalLm>> CausalLm::Load(const GgufFile& file, const ModelLoadOptions& options, ThreadPool& pool) {
  AUTOGLM_TRY(ModelConfig config, ModelConfig::FromGguf(file));
  AUTOGLM_TRY(const Architecture* architecture, FindGgufArchitecture(config.architecture));
  AUTOGLM_TRY(TransformerWeights weights, LoadTransformerWeights(file, architecture->gguf_tensors, config, options, pool));
  return std::make_unique<Transformer>(std::move(config), std::move(weights), options);
}

Result<std::unique_ptr<CausalLm>> CausalLm::Load(const TensorSource& folder, ModelConfig config, const ModelLoadOptions& options,
                                                 ThreadPool& pool) {
  AUTOGLM_TRY(const Architecture* architecture, FindModelType(config.architecture));
  const TensorNames names = NamesInFolder(architecture->folder_tensors, folder);
  AUTOGLM_TRY(TransformerWeights weights, LoadTransformerWeights(folder, names, config, options, pool));
  return std::make_unique<Transformer>(std::move(config), std::move(weights), options);
}

}  // namespace autoglm
