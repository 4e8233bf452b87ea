#include <algorithm>
#include <cstring>

#include "models/forward_pass.h"

namespace autoglm {
namespace {

// Rows (tokens times heads) whose queries and states stay in the first-level cache together with a block.
constexpr int64_t kMaxAttentionRows = 48;

// A state of one row: maximum, 15 floats of padding, sum [16], accumulator [head_dim].
constexpr int64_t kStateSum = 16;
constexpr int64_t kStateAccumulator = 32;

}  // namespace

void ForwardPass::LayOutPartials() {
  state_floats_ = kStateAccumulator + padded_head_dim();
  if (HasManyTokens()) return;
  int64_t num_states = 0;
  for (int64_t token = 0; token < num_tokens_; ++token) {
    partial_begin_.push_back(num_states);
    num_states += NumRanges(position_[token]) * config_.num_heads;
  }
  partials_ = buffers_.partials.Get<float>(num_states * state_floats_);
  for (size_t s = 0; s < slices_.size(); ++s) {
    const int64_t last = slices_[s].first_position + static_cast<int64_t>(slices_[s].tokens.size()) - 1;
    for (int64_t kv_head = 0; kv_head < config_.num_kv_heads; ++kv_head) {
      for (int64_t range = 0; range < NumRanges(last); ++range)
        attention_units_.push_back({static_cast<int64_t>(s), kv_head, range});
    }
  }
}

float* ForwardPass::Partial(int64_t token, int64_t head, int64_t range) {
  return partials_ + (partial_begin_[token] + head * NumRanges(position_[token]) + range) * state_floats_;
}

// Queries of `range` (tokens of one slice, at most kMaxAttentionRows rows) for one KV head, scaled and padded; row =
// token * heads_per_kv_head + head.
AttentionTask ForwardPass::MakeAttentionTask(MemberBuffers& own, const LayerView& layer, int64_t kv_head, TokenRange range) {
  const int64_t heads = config_.heads_per_kv_head();
  const int64_t num_rows = range.size() * heads;
  const int64_t dim = padded_head_dim();
  const int64_t rounded_rows = (num_rows + 15) / 16 * 16;
  float* memory = own.attention.Get<float>(num_rows * (2 * dim + 32) + rounded_rows * dim / 2);
  AttentionTask task{.half_head_bytes = kv_.layout().half_head_bytes(),
                     .kv_type = kv_.layout().type,
                     .head_dim = dim,
                     .num_rows = num_rows,
                     .queries = memory,
                     .bf16_queries = reinterpret_cast<uint16_t*>(memory + num_rows * (2 * dim + 32)),
                     .score_cap = config_.attention_softcap,
                     .maximum = memory + num_rows * (2 * dim + 16),
                     .sum = memory + num_rows * 2 * dim,
                     .accumulator = memory + num_rows * dim};
  own.first_visible.resize(static_cast<size_t>(num_rows));
  own.visible.resize(static_cast<size_t>(num_rows));
  task.first_visible = own.first_visible.data();
  task.visible = own.visible.data();
  const float scale = config_.attention_scale;
  for (int64_t row = 0; row < num_rows; ++row) {
    const int64_t token = range.begin + row / heads;
    const float* query = query_ + token * query_width() + (kv_head * heads + row % heads) * config_.head_dim;
    float* out = memory + row * dim;
    std::fill(out, out + dim, 0.0f);
    kernels_.add_scaled(query, scale, config_.head_dim, out);
    own.visible[row] = position_[token] + 1;
    own.first_visible[row] = layer.window > 0 ? std::max<int64_t>(0, position_[token] + 1 - layer.window) : 0;
  }
  return task;
}

void ForwardPass::AttendRange(MemberBuffers& own, AttentionTask& task, int64_t layer_index, int64_t slice, int64_t kv_head,
                              int64_t range_index) {
  constexpr int64_t kBlocksPerRange = kAttentionRangeTokens / kKvBlockTokens;
  const std::span<const int32_t> table = slices_[slice].block_table;
  const int64_t first = range_index * kBlocksPerRange;
  const int64_t end = std::min<int64_t>(first + kBlocksPerRange, static_cast<int64_t>(table.size()));
  own.blocks.clear();
  for (int64_t i = first; i < end; ++i) own.blocks.push_back(kv_.Head(table[i], layer_index, kv_head));
  task.blocks = own.blocks.data();
  task.range_begin = range_index * kAttentionRangeTokens;
  kernels_.attention_range(task);
}

void ForwardPass::AttendUnit(MemberBuffers& own, const LayerView& layer, const AttentionUnit& unit) {
  const int64_t heads = config_.heads_per_kv_head();
  const int64_t tokens_at_once = std::max<int64_t>(kMaxAttentionRows / heads, 1);
  for (int64_t begin = slice_begin_[unit.slice]; begin < slice_begin_[unit.slice + 1]; begin += tokens_at_once) {
    const TokenRange tokens{begin, std::min(begin + tokens_at_once, slice_begin_[unit.slice + 1])};
    if (position_[tokens.end - 1] < unit.range * kAttentionRangeTokens) continue;
    AttentionTask task = MakeAttentionTask(own, layer, unit.kv_head, tokens);
    AttendRange(own, task, layer.index, unit.slice, unit.kv_head, unit.range);
    for (int64_t row = 0; row < task.num_rows; ++row) {
      const int64_t token = tokens.begin + row / heads;
      if (unit.range >= NumRanges(position_[token])) continue;
      float* state = Partial(token, unit.kv_head * heads + row % heads, unit.range);
      *state = task.maximum[row];
      std::memcpy(state + kStateSum, task.sum + row * 16, 16 * sizeof(float));
      std::memcpy(state + kStateAccumulator, task.accumulator + row * task.head_dim, task.head_dim * sizeof(float));
    }
  }
}

void ForwardPass::FinishTokenFromPartials(MemberBuffers& own, int64_t token, float* out) {
  const int64_t num_ranges = NumRanges(position_[token]);
  for (int64_t head = 0; head < config_.num_heads; ++head) {
    const float* state = Partial(token, head, 0);
    if (num_ranges > 1) {
      // Other members read the partials as well: join in own memory.
      float* joined = own.attention.Get<float>(state_floats_);
      std::memcpy(joined, state, state_floats_ * sizeof(float));
      for (int64_t range = 1; range < num_ranges; ++range) {
        const float* later = Partial(token, head, range);
        kernels_.merge_attention(joined, joined + kStateSum, joined + kStateAccumulator, *later, later + kStateSum,
                                 later + kStateAccumulator, padded_head_dim());
      }
      state = joined;
    }
    kernels_.finish_attention(state + kStateAccumulator, state + kStateSum, config_.head_dim, out + head * config_.head_dim);
  }
}

// Attention of the tokens of `range` over all heads; out: [range.size()][heads * head_dim].
void ForwardPass::AttendTokens(MemberBuffers& own, const LayerView& layer, TokenRange range, float* out) {
  const int64_t heads = config_.heads_per_kv_head();
  const int64_t tokens_at_once = std::max<int64_t>(kMaxAttentionRows / heads, 1);
  for (int64_t begin = range.begin; begin < range.end;) {
    const int32_t slice = token_slice_[begin];
    const TokenRange tokens{begin, std::min({begin + tokens_at_once, range.end, slice_begin_[slice + 1]})};
    for (int64_t kv_head = 0; kv_head < config_.num_kv_heads; ++kv_head) {
      AttentionTask task = MakeAttentionTask(own, layer, kv_head, tokens);
      AttendRange(own, task, layer.index, slice, kv_head, 0);
      JoinLaterRanges(own, task, layer.index, slice, kv_head, NumRanges(position_[tokens.end - 1]));
      for (int64_t row = 0; row < task.num_rows; ++row) {
        const int64_t token = tokens.begin + row / heads - range.begin;
        kernels_.finish_attention(task.accumulator + row * task.head_dim, task.sum + row * 16, config_.head_dim,
                                  out + token * query_width() + (kv_head * heads + row % heads) * config_.head_dim);
      }
    }
    begin = tokens.end;
  }
}

// Attends to ranges 1 ... and joins their states, in order, into the state of range 0 that `task` holds.
void ForwardPass::JoinLaterRanges(MemberBuffers& own, AttentionTask& task, int64_t layer_index, int64_t slice, int64_t kv_head,
                                  int64_t num_ranges) {
  if (num_ranges == 1) return;
  AttentionTask later = task;
  later.maximum = own.later_state.Get<float>(task.num_rows * (task.head_dim + 32));
  later.sum = later.maximum + task.num_rows * 16;
  later.accumulator = later.sum + task.num_rows * 16;
  for (int64_t range = 1; range < num_ranges; ++range) {
    AttendRange(own, later, layer_index, slice, kv_head, range);
    for (int64_t row = 0; row < task.num_rows; ++row) {
      kernels_.merge_attention(task.maximum + row, task.sum + row * 16, task.accumulator + row * task.head_dim,
                               later.maximum[row], later.sum + row * 16, later.accumulator + row * task.head_dim, task.head_dim);
    }
  }
}

}  // namespace autoglm
