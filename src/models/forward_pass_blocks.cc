#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/forward_pass.h"
#include "weights/dequantize.h"

namespace autoglm {
namespace {

// A unit is as many rows as are both whole heads and whole panels: query units first, then key units, then value units.
int64_t UnitRows(const ModelConfig& config) { return std::lcm(config.head_dim, kPanelRows); }

}  // namespace

void ForwardPass::EmbedTokens(TokenRange range) {
  const auto fill_angles = [](int64_t position, const std::vector<float>& frequencies, float* cosines, float* sines) {
    for (size_t pair = 0; pair < frequencies.size(); ++pair) {
      const double angle = static_cast<double>(position) * static_cast<double>(frequencies[pair]);
      cosines[pair] = static_cast<float>(std::cos(angle));
      sines[pair] = static_cast<float>(std::sin(angle));
    }
  };
  for (int64_t token = range.begin; token < range.end; ++token) {
    const int32_t slice = token_slice_[token];
    const TokenId id = slices_[slice].tokens[token - slice_begin_[slice]];
    float* x = x_ + token * config_.hidden_size;
    DequantizeRow(weights_.embedding, id, {x, static_cast<size_t>(config_.hidden_size)});
    if (config_.embedding_scale != 1) {
      for (int64_t i = 0; i < config_.hidden_size; ++i) x[i] *= config_.embedding_scale;
    }
    const int64_t at = token * config_.rope.dims / 2;
    fill_angles(position_[token], weights_.rope_frequencies, cosines_ + at, sines_ + at);
    if (config_.layer_is_sliding.empty()) continue;
    const int64_t sliding_at = token * config_.sliding_rope.dims / 2;
    fill_angles(position_[token], weights_.sliding_rope_frequencies, sliding_cosines_ + sliding_at, sliding_sines_ + sliding_at);
  }
}

void ForwardPass::FillNormTile(MemberBuffers& own, const RowSource& source, ActivationBuffer& out, int64_t tile) {
  const int64_t hidden = config_.hidden_size;
  const int64_t begin = out.tiling().Begin(tile);
  const int64_t end = out.tiling().Begin(tile + 1);
  float* rows = own.rows.Get<float>(kMaxTileTokens * hidden);
  for (int64_t i = begin; i < end; ++i) {
    const int64_t token = source.indices != nullptr ? source.indices[i] : source.first + i;
    kernels_.rms_norm(x_ + token * hidden, source.weight, hidden, config_.rms_norm_eps, rows + (i - begin) * hidden);
  }
  out.FillTile(kernels_, tile, rows, hidden);
}

void ForwardPass::Multiply(MemberBuffers& own, const PackedMatrix& matrix, int64_t panel_begin, int64_t panel_end,
                           const ActivationBuffer& x, float* out, int64_t out_stride, Epilogue epilogue) {
  const GemmTask task{.weights = matrix.view(),
                      .panel_begin = panel_begin,
                      .panel_end = panel_end,
                      .out = out,
                      .out_stride = out_stride,
                      .num_rows = matrix.rows(),
                      .epilogue = epilogue,
                      .scratch = own.gemm_scratch.Get<float>(GemmScratchBytes(matrix.columns()) / 4)};
  switch (KindFor(matrix.format(), arithmetic_, kernels_, x.tiling().num_tokens)) {
    case ActivationKind::kInt8:
      return kernels_.gemm_quantized(task, x.quantized());
    case ActivationKind::kInt16:
      return kernels_.gemm_int16(task, x.int16());
    case ActivationKind::kBf16:
      return kernels_.gemm_bf16(task, x.bf16());
    case ActivationKind::kFloat:
      return kernels_.gemm_float(task, x.floats());
  }
}

void ForwardPass::ReserveActivations(ActivationBuffer& out, int64_t num_tokens,
                                     std::initializer_list<const PackedMatrix*> users) {
  ActivationNeeds needs;
  for (const PackedMatrix* matrix : users)
    needs.Add(matrix->format(), KindFor(matrix->format(), arithmetic_, kernels_, num_tokens));
  out.Reserve(num_tokens, (*users.begin())->columns(), needs, kernels_);
}

int64_t ForwardPass::num_qkv_units() const {
  const int64_t rows = UnitRows(config_);
  return (query_width() + rows - 1) / rows + 2 * ((kv_width() + rows - 1) / rows);
}

// What a member reads first of query, key and value.
std::span<const std::byte> ForwardPass::OwnQkvRun(int member, const LayerWeights& weights) const {
  const RowShare share = ShareOfQkv();
  if (share.own_units() == 0) return {};
  const QkvUnit place = QkvUnitOf(weights, share.own_begin(member));
  const PackedMatrix& matrix = place.matrix;
  const int64_t begin = place.first_row / kPanelRows * matrix.view().panel_bytes;
  const int64_t own_bytes = share.own_units() * UnitRows(config_) / kPanelRows * matrix.view().panel_bytes;
  return {matrix.view().data + begin, static_cast<size_t>(std::min(own_bytes, matrix.num_bytes() - begin))};
}

ForwardPass::QkvUnit ForwardPass::QkvUnitOf(const LayerWeights& weights, int64_t unit) const {
  const int64_t unit_rows = UnitRows(config_);
  const PackedMatrix* matrix = &weights.query;
  for (const PackedMatrix* next : {&weights.key, &weights.value}) {
    const int64_t num_units = (matrix->rows() + unit_rows - 1) / unit_rows;
    if (unit < num_units) break;
    unit -= num_units;
    matrix = next;
  }
  return {*matrix, unit * unit_rows, std::min((unit + 1) * unit_rows, matrix->rows())};
}

void ForwardPass::AskForQkvUnit(const LayerWeights& weights, int64_t unit) const {
  const QkvUnit place = QkvUnitOf(weights, unit);
  AskForPanel(place.matrix, place.first_row / kPanelRows);
}

void ForwardPass::ProjectQkvUnit(MemberBuffers& own, const LayerView& layer, int64_t unit, const ActivationBuffer& x,
                                 TokenRange range) {
  const LayerWeights& weights = layer.weights;
  const auto [matrix, first_row, end_row] = QkvUnitOf(weights, unit);
  const bool is_query = &matrix == &weights.query;
  const bool is_key = &matrix == &weights.key;
  const std::span<const float> bias = is_query ? weights.query_bias : (is_key ? weights.key_bias : weights.value_bias);
  float* out = is_query ? query_ : (is_key ? key_ : value_);

  Multiply(own, matrix, first_row / kPanelRows, (end_row + kPanelRows - 1) / kPanelRows, x, out + range.begin * matrix.rows(),
           matrix.rows(), Epilogue::kStore);
  for (int64_t token = range.begin; !bias.empty() && token < range.end; ++token) {
    kernels_.add_scaled(bias.data() + first_row, 1.0f, end_row - first_row, out + token * matrix.rows() + first_row);
  }
  const HeadRows heads{.rows = out,
                       .stride = matrix.rows(),
                       .range = range,
                       .first_head = first_row / config_.head_dim,
                       .num_heads = (end_row - first_row) / config_.head_dim};
  if (is_query) {
    NormHeads(heads, weights.query_norm);
    Rotate(heads, layer);
  } else if (is_key) {
    NormHeads(heads, weights.key_norm);
    Rotate(heads, layer);
    WriteKvHalf(layer.index, heads, KvHalf::kKeys);
  } else {
    WriteKvHalf(layer.index, heads, KvHalf::kValues);
  }
}

void ForwardPass::NormHeads(const HeadRows& heads, std::span<const float> norm) {
  if (norm.empty()) return;
  for (int64_t token = heads.range.begin; token < heads.range.end; ++token) {
    for (int64_t head = heads.first_head; head < heads.first_head + heads.num_heads; ++head) {
      float* values = heads.rows + token * heads.stride + head * config_.head_dim;
      kernels_.rms_norm(values, norm.data(), config_.head_dim, config_.rms_norm_eps, values);
    }
  }
}

void ForwardPass::Rotate(const HeadRows& heads, const LayerView& layer) {
  const RopeConfig& rope = config_.RopeOf(layer.index);
  const int64_t pairs = rope.dims / 2;
  const auto turn = rope.pairing == RopePairing::kInterleaved ? kernels_.rope_interleaved : kernels_.rope_half;
  for (int64_t token = heads.range.begin; token < heads.range.end; ++token) {
    for (int64_t head = heads.first_head; head < heads.first_head + heads.num_heads; ++head) {
      turn(heads.rows + token * heads.stride + head * config_.head_dim, layer.cosines + token * pairs,
           layer.sines + token * pairs, pairs);
    }
  }
}

void ForwardPass::WriteKvHalf(int64_t layer_index, const HeadRows& heads, KvHalf half) {
  const auto write = half == KvHalf::kKeys ? kernels_.write_keys : kernels_.write_values;
  for (int64_t token = heads.range.begin; token < heads.range.end; ++token) {
    const int64_t block = slices_[token_slice_[token]].block_table[position_[token] / kKvBlockTokens];
    for (int64_t head = heads.first_head; head < heads.first_head + heads.num_heads; ++head) {
      std::byte* memory = kv_.Head(block, layer_index, head) + (half == KvHalf::kValues ? kv_.layout().half_head_bytes() : 0);
      write(heads.rows + token * heads.stride + head * config_.head_dim, config_.head_dim, padded_head_dim(), kv_.layout().type,
            position_[token] % kKvBlockTokens, memory);
    }
  }
}

void ForwardPass::GateUpUnit(MemberBuffers& own, const MlpWeights& mlp, int64_t panel_begin, int64_t panel_end,
                             const ActivationBuffer& x, int64_t num_tokens, float* out) {
  // Gate and up of a few panels at a time: both stay in the first-level cache until the activation has joined them.
  constexpr int64_t kPanelsAtOnce = 4;
  const int64_t stride = kPanelsAtOnce * kPanelRows;
  const auto activate = config_.activation == Activation::kSilu ? kernels_.silu_mul : kernels_.gelu_tanh_mul;
  float* gate = own.gate.Get<float>(2 * num_tokens * stride);
  float* up = gate + num_tokens * stride;
  for (int64_t panel = panel_begin; panel < panel_end; panel += kPanelsAtOnce) {
    const int64_t end = std::min(panel + kPanelsAtOnce, panel_end);
    const int64_t first_row = panel * kPanelRows;
    const int64_t num_rows = std::min(end * kPanelRows, mlp.width()) - first_row;
    // The product writes at column `row` of its output: shift the pointer back so that this unit starts at 0.
    Multiply(own, mlp.gate, panel, end, x, gate - first_row, stride, Epilogue::kStore);
    Multiply(own, mlp.up, panel, end, x, up - first_row, stride, Epilogue::kStore);
    for (int64_t token = 0; token < num_tokens; ++token) {
      activate(gate + token * stride, up + token * stride, num_rows, out + token * mlp.width() + first_row);
    }
  }
}

void ForwardPass::AddNormed(MemberBuffers& own, const float* rows, std::span<const float> norm, TokenRange range) {
  const int64_t hidden = config_.hidden_size;
  float* normed = own.rows.Get<float>(kMaxTileTokens * hidden);
  for (int64_t token = range.begin; token < range.end; ++token) {
    kernels_.rms_norm(rows + (token - range.begin) * hidden, norm.data(), hidden, config_.rms_norm_eps, normed);
    kernels_.add_scaled(normed, 1.0f, hidden, x_ + token * hidden);
  }
}

}  // namespace autoglm
