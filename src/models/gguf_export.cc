#include "models/gguf_export.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/architecture.h"
#include "weights/dequantize.h"

namespace autoglm {
namespace {

constexpr int64_t kSigmoidGating = 2;  // expert_gating_func

// What a row goes through on its way.
struct Change {
  float offset = 0;
  float scale = 1;        // after the offset
  int64_t num_heads = 0;  // above 0: rows of that many heads go from pairs (i, i + d/2) to pairs (2i, 2i + 1)

  bool IsNone() const { return offset == 0 && scale == 1 && num_heads == 0; }
};

class Exporter {
 public:
  Exporter(const TensorSource& folder, const ModelConfig& config, const Architecture& from, const Architecture& to)
      : folder_(folder),
        config_(config),
        from_(NamesInFolder(from, folder)),
        to_(to.gguf_tensors),
        prefix_(std::string(to.gguf_name) + ".") {
    is_llama_ = to.gguf_name == "llama" && config.rope.pairing == RopePairing::kHalf;
  }

  Result<GgufModel> Export(const std::string& name, std::string_view gguf_architecture) {
    Add("general.architecture", std::string(gguf_architecture));
    Add("general.name", name);
    AddMetadata();
    AUTOGLM_TRY_VOID(AddTensor(from_.embedding, to_.embedding));
    AUTOGLM_TRY_VOID(AddTensor(from_.final_norm, to_.final_norm, Norm()));
    if (folder_.HasTensor(from_.lm_head)) AUTOGLM_TRY_VOID(AddTensor(from_.lm_head, to_.lm_head));
    if (config_.rope.scaling == RopeConfig::Scaling::kLlama3) AddRopeDivisors();
    for (int64_t layer = 0; layer < config_.num_layers; ++layer) AUTOGLM_TRY_VOID(AddLayer(layer));
    model_.num_layers = config_.num_layers;
    return std::move(model_);
  }

 private:
  void Add(std::string key, GgufValue value) { model_.metadata.emplace_back(std::move(key), std::move(value)); }
  void AddOwn(std::string_view key, GgufValue value) { Add(prefix_ + std::string(key), std::move(value)); }
  void AddFloat(std::string_view key, double value) { AddOwn(key, value); }

  Change Norm() const { return {.offset = config_.norm_offset}; }

  void AddMetadata() {
    AddOwn("context_length", config_.context_length);
    AddOwn("embedding_length", config_.hidden_size);
    AddOwn("block_count", config_.num_layers);
    AddOwn("feed_forward_length", config_.intermediate_size);
    AddOwn("attention.head_count", config_.num_heads);
    AddOwn("attention.head_count_kv", config_.num_kv_heads);
    AddOwn("attention.key_length", config_.head_dim);
    AddOwn("attention.value_length", config_.head_dim);
    AddFloat("attention.layer_norm_rms_epsilon", static_cast<double>(config_.rms_norm_eps));
    AddOwn("vocab_size", config_.vocab_size);
    AddOwn("rope.dimension_count", config_.rope.dims);
    AddFloat("rope.freq_base", config_.rope.theta);
    if (config_.rope.scaling == RopeConfig::Scaling::kLinear) {
      AddOwn("rope.scaling.type", std::string("linear"));
      AddFloat("rope.scaling.factor", config_.rope.factor);
    }
    if (!config_.layer_is_sliding.empty()) {
      AddOwn("attention.sliding_window", config_.sliding_window);
      AddOwn("attention.sliding_window_pattern", config_.layer_is_sliding);
      AddFloat("rope.freq_base_swa", config_.sliding_rope.theta);
    }
    if (config_.attention_softcap > 0) AddFloat("attn_logit_softcapping", static_cast<double>(config_.attention_softcap));
    if (config_.logits_softcap > 0) AddFloat("final_logit_softcapping", static_cast<double>(config_.logits_softcap));
    if (config_.moe.num_experts > 0) AddMoeMetadata();
  }

  void AddMoeMetadata() {
    const MoeConfig& moe = config_.moe;
    AddOwn("expert_count", moe.num_experts);
    AddOwn("expert_used_count", moe.num_experts_per_token);
    AddOwn("expert_shared_count", moe.shared_width / moe.expert_width);
    AddOwn("expert_feed_forward_length", moe.expert_width);
    AddOwn("leading_dense_block_count", moe.num_dense_layers);
    AddOwn("expert_group_count", moe.num_groups);
    AddOwn("expert_group_used_count", moe.num_groups_kept);
    AddOwn("expert_gating_func", kSigmoidGating);
    AddFloat("expert_weights_scale", static_cast<double>(moe.routed_scale));
    AddOwn("expert_weights_norm", moe.normalizes_weights);
    AddOwn("nextn_predict_layers", int64_t{0});
  }

  Status AddTensor(const std::string& from, const std::string& to, const Change& change = {}) {
    AUTOGLM_TRY(const TensorView* tensor, folder_.FindTensor(from));
    return AddRows({tensor}, tensor->shape, to, change);
  }

  // The rows of all parts, one after another.
  Status AddRows(std::vector<const TensorView*> parts, std::vector<int64_t> shape, const std::string& to, const Change& change) {
    const int64_t rows_each = parts[0]->num_rows();
    for (const TensorView* part : parts) {
      if (part->num_rows() != rows_each || part->num_columns() != parts[0]->num_columns() || part->dtype != parts[0]->dtype) {
        return Fail(ErrorCode::kCorruptFile, "tensor " + part->name + " differs in shape or type from " + parts[0]->name);
      }
    }
    if (change.num_heads > 0 && rows_each % (2 * change.num_heads) != 0) {
      return Fail(ErrorCode::kCorruptFile, "tensor " + parts[0]->name + " has no even number of rows for each head");
    }
    RowTensor out{.name = to,
                  .shape = std::move(shape),
                  .dtype = parts[0]->dtype,
                  .read_row =
                      [parts, rows_each, change](int64_t row, std::span<float> values) {
                        DequantizeRow(*parts[static_cast<size_t>(row / rows_each)], SourceRow(row % rows_each, rows_each, change),
                                      values);
                        if (change.IsNone()) return;
                        for (float& value : values) value = (value + change.offset) * change.scale;
                      },
                  .bytes = parts.size() == 1 && change.IsNone() ? parts[0]->bytes : std::span<const std::byte>(),
                  .on_written =
                      [this_folder = &folder_, parts] {
                        for (const TensorView* part : parts) this_folder->DropPages(*part);
                      }};
    // Vectors are always F32 in GGUF.
    if (parts[0]->num_rows() == 1 && out.dtype != DType::kF32) {
      out.dtype = DType::kF32;
      out.bytes = {};
    }
    model_.tensors.push_back(std::move(out));
    return {};
  }

  static int64_t SourceRow(int64_t row, int64_t num_rows, const Change& change) {
    if (change.num_heads == 0) return row;
    const int64_t head_rows = num_rows / change.num_heads;
    const int64_t within = row % head_rows;
    return row - within + within / 2 + within % 2 * (head_rows / 2);
  }

  // The divisors by which Llama 3 slows the turning of each pair.
  void AddRopeDivisors() {
    RopeConfig plain = config_.rope;
    plain.scaling = RopeConfig::Scaling::kNone;
    const std::vector<float> before = plain.Frequencies();
    const std::vector<float> after = config_.rope.Frequencies();
    auto divisors = std::make_shared<std::vector<float>>(before.size());
    for (size_t i = 0; i < before.size(); ++i) (*divisors)[i] = before[i] / after[i];
    model_.tensors.push_back(
        {.name = "rope_freqs.weight",
         .shape = {static_cast<int64_t>(before.size())},
         .dtype = DType::kF32,
         .read_row = [divisors](int64_t, std::span<float> out) { std::ranges::copy(*divisors, out.begin()); },
         .bytes = {}});
  }

  Status AddLayer(int64_t index) {
    const std::string from = NumberedName(from_.layer, index);
    const std::string to = NumberedName(to_.layer, index);
    const auto weight = [&](const std::string& from_name, const std::string& to_name, const Change& change = {}) {
      return AddTensor(from + from_name + ".weight", to + to_name + ".weight", change);
    };
    AUTOGLM_TRY_VOID(weight(from_.attention_norm, to_.attention_norm, Norm()));
    AUTOGLM_TRY_VOID(AddQkv(from, to));
    AUTOGLM_TRY_VOID(weight(from_.output, to_.output));
    AUTOGLM_TRY_VOID(weight(from_.mlp_norm, to_.mlp_norm, Norm()));
    if (config_.has_sandwich_norms) {
      AUTOGLM_TRY_VOID(weight(from_.post_attention_norm, to_.post_attention_norm, Norm()));
      AUTOGLM_TRY_VOID(weight(from_.post_mlp_norm, to_.post_mlp_norm, Norm()));
    }
    if (config_.IsMoe(index)) return AddExperts(from, to);
    AUTOGLM_TRY_VOID(weight(from_.down, to_.down));
    if (from_.gate.empty()) return weight(from_.gate_up, to_.gate_up);
    AUTOGLM_TRY_VOID(weight(from_.gate, to_.gate));
    return weight(from_.up, to_.up);
  }

  Status AddQkv(const std::string& from, const std::string& to) {
    struct Part {
      const std::string& from;
      const std::string& to;
      Change change;
    };
    const bool is_fused = from_.query.empty();
    std::vector<Part> parts;
    if (is_fused) {
      parts.push_back({from_.query_key_value, to_.query_key_value, {}});
    } else {
      const float query_scale = config_.has_qk_norm ? 1.0f : QueryScale();
      parts.push_back({from_.query, to_.query, {.scale = query_scale, .num_heads = is_llama_ ? config_.num_heads : 0}});
      parts.push_back({from_.key, to_.key, {.num_heads = is_llama_ ? config_.num_kv_heads : 0}});
      parts.push_back({from_.value, to_.value, {}});
    }
    for (const Part& part : parts) {
      AUTOGLM_TRY_VOID(AddTensor(from + part.from + ".weight", to + part.to + ".weight", part.change));
      if (config_.has_qkv_bias) AUTOGLM_TRY_VOID(AddTensor(from + part.from + ".bias", to + part.to + ".bias"));
    }
    if (!config_.has_qk_norm) return {};
    AUTOGLM_TRY_VOID(AddTensor(from + from_.query_norm + ".weight", to + to_.query_norm + ".weight",
                               {.offset = config_.norm_offset, .scale = QueryScale()}));
    return AddTensor(from + from_.key_norm + ".weight", to + to_.key_norm + ".weight", Norm());
  }

  // GGUF has no key for the scale of scores. Readers take 1 / sqrt(head_dim), but for the 27B models of Gemma 2 and 3; what
  // differs from that goes into the queries.
  float QueryScale() const {
    const bool is_27b = (config_.architecture == "gemma2" && config_.num_layers == 46) ||
                        (config_.architecture.starts_with("gemma3") && config_.num_layers == 62);
    const int64_t scalar = is_27b ? config_.hidden_size / config_.num_heads : config_.head_dim;
    const float scale = config_.attention_scale * std::sqrt(static_cast<float>(scalar));
    return std::fabs(scale - 1) < 1e-6f ? 1.0f : scale;
  }

  Status AddExperts(const std::string& from, const std::string& to) {
    AUTOGLM_TRY_VOID(AddTensor(from + from_.router + ".weight", to + to_.router + ".weight"));
    if (folder_.HasTensor(from + from_.router_bias)) AUTOGLM_TRY_VOID(AddTensor(from + from_.router_bias, to + to_.router_bias));
    if (config_.moe.shared_width > 0) {
      AUTOGLM_TRY_VOID(AddTensor(from + from_.shared_gate + ".weight", to + to_.shared_gate + ".weight"));
      AUTOGLM_TRY_VOID(AddTensor(from + from_.shared_up + ".weight", to + to_.shared_up + ".weight"));
      AUTOGLM_TRY_VOID(AddTensor(from + from_.shared_down + ".weight", to + to_.shared_down + ".weight"));
    }
    AUTOGLM_TRY_VOID(AddStacked(from, from_.expert_gate, to + to_.expert_gate + ".weight"));
    AUTOGLM_TRY_VOID(AddStacked(from, from_.expert_up, to + to_.expert_up + ".weight"));
    return AddStacked(from, from_.expert_down, to + to_.expert_down + ".weight");
  }

  Status AddStacked(const std::string& from, const std::string& pattern, const std::string& to) {
    std::vector<const TensorView*> parts;
    for (int64_t expert = 0; expert < config_.moe.num_experts; ++expert) {
      AUTOGLM_TRY(const TensorView* part, folder_.FindTensor(from + NumberedName(pattern, expert) + ".weight"));
      parts.push_back(part);
    }
    const std::vector<int64_t> shape = {config_.moe.num_experts, parts[0]->num_rows(), parts[0]->num_columns()};
    return AddRows(std::move(parts), shape, to, {});
  }

  const TensorSource& folder_;
  const ModelConfig& config_;
  const TensorNames from_;
  const TensorNames to_;
  const std::string prefix_;
  bool is_llama_ = false;
  GgufModel model_;
};

}  // namespace

Result<GgufModel> ExportModel(const TensorSource& folder, const ModelConfig& config, const std::string& name) {
  AUTOGLM_TRY(const Architecture* from, FindModelType(config.architecture));
  // Transformers' "glm" is the same network as the original code's; GGUF has one name for both.
  const std::string_view gguf_name = from->gguf_name.empty() ? "chatglm" : from->gguf_name;
  AUTOGLM_TRY(const Architecture* to, FindGgufArchitecture(gguf_name));
  return Exporter(folder, config, *from, *to).Export(name, gguf_name);
}

}  // namespace autoglm
