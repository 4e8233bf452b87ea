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
  const int64_t pairs = config_.rotary_dims / 2;
  for (int64_t token = range.begin; token < range.end; ++token) {
    const int32_t slice = token_slice_[token];
    const TokenId id = slices_[slice].tokens[token - slice_begin_[slice]];
    DequantizeRow(weights_.embedding, id, {x_ + token * config_.hidden_size, static_cast<size_t>(config_.hidden_size)});
    for (int64_t pair = 0; pair < pairs; ++pair) {
      const double angle = static_cast<double>(position_[token]) * static_cast<double>(weights_.rope_frequencies[pair]);
      cosines_[token * pairs + pair] = static_cast<float>(std::cos(angle));
      sines_[token * pairs + pair] = static_cast<float>(std::sin(angle));
    }
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
  if (UsesQuantized(matrix)) {
    kernels_.gemm_quantized(task, x.quantized());
  } else {
    kernels_.gemm_float(task, x.floats());
  }
}

void ForwardPass::ReserveActivations(ActivationBuffer& out, int64_t num_tokens,
                                     std::initializer_list<const PackedMatrix*> users) {
  const bool quantized = std::any_of(users.begin(), users.end(), [this](const PackedMatrix* m) { return UsesQuantized(*m); });
  const bool floats = std::any_of(users.begin(), users.end(), [this](const PackedMatrix* m) { return !UsesQuantized(*m); });
  out.Reserve(num_tokens, (*users.begin())->columns(), quantized, floats);
}

int64_t ForwardPass::num_qkv_units() const {
  const int64_t rows = UnitRows(config_);
  return (query_width() + rows - 1) / rows + 2 * ((kv_width() + rows - 1) / rows);
}

void ForwardPass::ProjectQkvUnit(MemberBuffers& own, const LayerWeights& layer, int64_t layer_index, int64_t unit,
                                 const ActivationBuffer& x, TokenRange range) {
  const int64_t unit_rows = UnitRows(config_);
  const int64_t query_units = (query_width() + unit_rows - 1) / unit_rows;
  const int64_t kv_units = (kv_width() + unit_rows - 1) / unit_rows;
  const bool is_query = unit < query_units;
  const bool is_key = !is_query && unit < query_units + kv_units;
  const PackedMatrix& matrix = is_query ? layer.query : (is_key ? layer.key : layer.value);
  const int64_t index = is_query ? unit : (is_key ? unit - query_units : unit - query_units - kv_units);
  float* out = is_query ? query_ : (is_key ? key_ : value_);

  const int64_t first_row = index * unit_rows;
  const int64_t end_row = std::min(first_row + unit_rows, matrix.rows());
  Multiply(own, matrix, first_row / kPanelRows, (end_row + kPanelRows - 1) / kPanelRows, x, out + range.begin * matrix.rows(),
           matrix.rows(), Epilogue::kStore);
  const int64_t first_head = first_row / config_.head_dim;
  const int64_t num_heads = (end_row - first_row) / config_.head_dim;
  if (is_query) {
    Rotate(query_, query_width(), range, first_head, num_heads);
  } else if (is_key) {
    Rotate(key_, kv_width(), range, first_head, num_heads);
    WriteKvHalf(layer_index, range, first_head, num_heads, key_, KvHalf::kKeys);
  } else {
    WriteKvHalf(layer_index, range, first_head, num_heads, value_, KvHalf::kValues);
  }
}

void ForwardPass::Rotate(float* rows, int64_t stride, TokenRange range, int64_t first_head, int64_t num_heads) {
  const int64_t pairs = config_.rotary_dims / 2;
  const auto rope = config_.rope_pairing == RopePairing::kInterleaved ? kernels_.rope_interleaved : kernels_.rope_half;
  for (int64_t token = range.begin; token < range.end; ++token) {
    for (int64_t head = first_head; head < first_head + num_heads; ++head) {
      rope(rows + token * stride + head * config_.head_dim, cosines_ + token * pairs, sines_ + token * pairs, pairs);
    }
  }
}

void ForwardPass::WriteKvHalf(int64_t layer_index, TokenRange range, int64_t first_head, int64_t num_heads, const float* rows,
                              KvHalf half) {
  const bool bf16 = kv_.layout().type == KvType::kBf16;
  const auto write = half == KvHalf::kKeys ? kernels_.write_keys : kernels_.write_values;
  for (int64_t token = range.begin; token < range.end; ++token) {
    const int64_t block = slices_[token_slice_[token]].block_table[position_[token] / kKvBlockTokens];
    for (int64_t head = first_head; head < first_head + num_heads; ++head) {
      std::byte* memory = kv_.Head(block, layer_index, head) + (half == KvHalf::kValues ? kv_.layout().half_head_bytes() : 0);
      write(rows + token * kv_width() + head * config_.head_dim, config_.head_dim, padded_head_dim(), bf16,
            position_[token] % kKvBlockTokens, memory);
    }
  }
}

void ForwardPass::GateUpUnit(MemberBuffers& own, const LayerWeights& layer, int64_t panel_begin, int64_t panel_end,
                             const ActivationBuffer& x, int64_t num_tokens, float* out) {
  // Gate and up of a few panels at a time: both stay in the first-level cache until SiLU has joined them.
  constexpr int64_t kPanelsAtOnce = 4;
  const int64_t stride = kPanelsAtOnce * kPanelRows;
  float* gate = own.gate.Get<float>(2 * num_tokens * stride);
  float* up = gate + num_tokens * stride;
  for (int64_t panel = panel_begin; panel < panel_end; panel += kPanelsAtOnce) {
    const int64_t end = std::min(panel + kPanelsAtOnce, panel_end);
    const int64_t first_row = panel * kPanelRows;
    const int64_t num_rows = std::min(end * kPanelRows, config_.intermediate_size) - first_row;
    // The product writes at column `row` of its output: shift the pointer back so that this unit starts at 0.
    Multiply(own, layer.gate, panel, end, x, gate - first_row, stride, Epilogue::kStore);
    Multiply(own, layer.up, panel, end, x, up - first_row, stride, Epilogue::kStore);
    for (int64_t token = 0; token < num_tokens; ++token) {
      kernels_.silu_mul(gate + token * stride, up + token * stride, num_rows,
                        out + token * config_.intermediate_size + first_row);
    }
  }
}

}  // namespace autoglm
