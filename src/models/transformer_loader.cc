#include <cmath>
#include <string>
#include <utility>

#include "models/transformer.h"
#include "weights/dequantize.h"

namespace autoglm {
namespace {

Result<std::vector<float>> LoadVector(const GgufFile& file, const std::string& name, int64_t size) {
  AUTOGLM_TRY(const TensorView* tensor, file.FindTensor(name));
  if (tensor->num_rows() != 1 || tensor->num_columns() != size) {
    return Fail(ErrorCode::kCorruptFile, "tensor " + name + " has " + std::to_string(tensor->num_rows() * tensor->num_columns()) +
                                             " values, expected a vector of " + std::to_string(size));
  }
  std::vector<float> values(static_cast<size_t>(size));
  DequantizeRow(*tensor, 0, values);
  return values;
}

// Where matrices go and who packs them.
struct Packer {
  WeightArena& arena;
  ThreadPool& pool;
};

// Packs a matrix and gives the file's pages back: from here on only the copy is used.
Result<PackedMatrix> LoadMatrix(const GgufFile& file, const std::string& name, int64_t rows, int64_t columns,
                                const Packer& packer) {
  AUTOGLM_TRY(const TensorView* tensor, file.FindTensor(name));
  AUTOGLM_TRY(PackedMatrix matrix, PackedMatrix::Pack(*tensor, rows, columns, packer.arena, packer.pool));
  file.DropPages(*tensor);
  return matrix;
}

Result<LayerWeights> LoadLayer(const GgufFile& file, const ModelConfig& config, int64_t index, const Packer& packer) {
  const std::string block = "blk." + std::to_string(index) + ".";
  const int64_t hidden = config.hidden_size;
  const int64_t query_rows = config.num_heads * config.head_dim;
  const int64_t kv_rows = config.num_kv_heads * config.head_dim;
  LayerWeights layer;
  AUTOGLM_TRY(layer.attention_norm, LoadVector(file, block + "attn_norm.weight", hidden));
  AUTOGLM_TRY(layer.query, LoadMatrix(file, block + "attn_q.weight", query_rows, hidden, packer));
  AUTOGLM_TRY(layer.key, LoadMatrix(file, block + "attn_k.weight", kv_rows, hidden, packer));
  AUTOGLM_TRY(layer.value, LoadMatrix(file, block + "attn_v.weight", kv_rows, hidden, packer));
  AUTOGLM_TRY(layer.output, LoadMatrix(file, block + "attn_output.weight", hidden, query_rows, packer));
  AUTOGLM_TRY(layer.mlp_norm, LoadVector(file, block + "ffn_norm.weight", hidden));
  AUTOGLM_TRY(layer.gate, LoadMatrix(file, block + "ffn_gate.weight", config.intermediate_size, hidden, packer));
  AUTOGLM_TRY(layer.up, LoadMatrix(file, block + "ffn_up.weight", config.intermediate_size, hidden, packer));
  AUTOGLM_TRY(layer.down, LoadMatrix(file, block + "ffn_down.weight", hidden, config.intermediate_size, packer));
  return layer;
}

// f_i = theta^(-2i/d); Llama 3's scaling comes as a tensor of divisors.
Result<std::vector<float>> RopeFrequencies(const GgufFile& file, const ModelConfig& config) {
  std::vector<float> frequencies(static_cast<size_t>(config.rotary_dims / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(config.rotary_dims);
    frequencies[i] = static_cast<float>(std::pow(static_cast<double>(config.rope_theta), exponent));
  }
  const std::string prefix = config.architecture + ".rope.scaling.";
  const std::string* scaling = file.FindString(prefix + "type");
  if (scaling != nullptr && *scaling != "none") {
    if (*scaling != "linear")
      return Fail(ErrorCode::kUnsupported, "rope scaling \"" + *scaling + "\" is not supported; known: linear");
    const auto factor = static_cast<float>(file.FloatOr(prefix + "factor", 1.0));
    if (!(factor > 0)) return Fail(ErrorCode::kCorruptFile, prefix + "factor is not positive");
    for (float& frequency : frequencies) frequency /= factor;
  }
  if (!file.HasTensor("rope_freqs.weight")) return frequencies;
  AUTOGLM_TRY(const std::vector<float> divisors, LoadVector(file, "rope_freqs.weight", config.rotary_dims / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    if (!(divisors[i] > 0)) return Fail(ErrorCode::kCorruptFile, "rope_freqs.weight holds a divisor that is not positive");
    frequencies[i] /= divisors[i];
  }
  return frequencies;
}

}  // namespace

Result<TransformerWeights> LoadTransformerWeights(const GgufFile& file, const ModelConfig& config, ThreadPool& pool) {
  int64_t capacity = 0;
  for (const TensorView& tensor : file.tensors()) capacity += PackedMatrix::PackedBytes(tensor) + 64;
  TransformerWeights weights;
  AUTOGLM_TRY(weights.arena, WeightArena::Reserve(capacity));
  const Packer packer{weights.arena, pool};
  AUTOGLM_TRY(const TensorView* embedding, file.FindTensor("token_embd.weight"));
  weights.embedding = *embedding;
  if (embedding->num_columns() != config.hidden_size) {
    return Fail(ErrorCode::kCorruptFile, "token_embd.weight has " + std::to_string(embedding->num_columns()) +
                                             " columns, expected " + std::to_string(config.hidden_size));
  }
  AUTOGLM_TRY(weights.rope_frequencies, RopeFrequencies(file, config));
  AUTOGLM_TRY(weights.final_norm, LoadVector(file, "output_norm.weight", config.hidden_size));
  // Tied embeddings: no output.weight in the file.
  const std::string head = file.HasTensor("output.weight") ? "output.weight" : "token_embd.weight";
  AUTOGLM_TRY(weights.lm_head, LoadMatrix(file, head, config.vocab_size, config.hidden_size, packer));
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    AUTOGLM_TRY(LayerWeights loaded, LoadLayer(file, config, layer, packer));
    weights.layers.push_back(std::move(loaded));
  }
  return weights;
}

Result<std::unique_ptr<CausalLm>> CausalLm::Load(const GgufFile& file, Isa isa, Arithmetic arithmetic, ThreadPool& pool) {
  AUTOGLM_TRY(ModelConfig config, ModelConfig::FromGguf(file));
  AUTOGLM_TRY(TransformerWeights weights, LoadTransformerWeights(file, config, pool));
  return std::make_unique<Transformer>(std::move(config), std::move(weights), isa, arithmetic);
}

}  // namespace autoglm
