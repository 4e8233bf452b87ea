#include "models/forward_pass.h"

#include <algorithm>

#include "base/check.h"

namespace autoglm {
namespace {

// From this many tokens a member on, its own chunk amortises decoding every weight for itself.
constexpr int64_t kTokensPerMemberByTokens = 16;
// Widest chunk: its activations of one layer stay within a second-level cache of 1 to 2 MiB, and the weights are decoded seldom
// enough for that to cost a few percent.
constexpr int64_t kMaxChunkTokens = 132;
// Matrix tiles multiply so fast that reading the weights once a chunk would take as long.
constexpr int64_t kMaxChunkTokensOnTiles = 384;
// From this many tokens a member on, it gets two chunks: the second ones even out unequal attention and a disturbed core.
constexpr int64_t kTokensForTwoChunks = 96;
// Of the panels that are claimed, a member takes so many bytes at once.
constexpr int64_t kClaimBytes = 16 << 10;

// As even as possible, so that no member waits for the last chunk.
int64_t ChunkTokens(int64_t num_tokens, int num_threads, Isa isa) {
  const int64_t per_member = (num_tokens + num_threads - 1) / num_threads;
  const int64_t most = isa == Isa::kAmx ? kMaxChunkTokensOnTiles : kMaxChunkTokens;
  const bool takes_two = isa != Isa::kAmx && per_member >= kTokensForTwoChunks;
  const int64_t chunks = std::max<int64_t>((per_member + most - 1) / most, takes_two ? 2 : 1);
  return (num_tokens + chunks * num_threads - 1) / (chunks * num_threads);
}

}  // namespace

ForwardPass::ForwardPass(const ModelConfig& config, const TransformerWeights& weights, const KernelTable& kernels,
                         Arithmetic arithmetic, StepBuffers& buffers, KvPool& kv, ThreadPool& pool,
                         std::vector<std::vector<float>>* capture)
    : config_(config),
      weights_(weights),
      kernels_(kernels),
      arithmetic_(arithmetic),
      buffers_(buffers),
      kv_(kv),
      pool_(pool),
      capture_(capture) {}

bool ForwardPass::Run(std::span<const ForwardSlice> slices, std::vector<float>& logits, const std::atomic<bool>* interrupt) {
  interrupt_ = interrupt;
  LayOut(slices);
  logits.resize(logits_tokens_.size() * static_cast<size_t>(config_.vocab_size));
  logits_ = logits.data();
  const int64_t num_steps = config_.num_layers + 1;
  if (weights_.loader->is_complete()) {
    RunSteps({0, num_steps});
    return stop_at_ >= num_steps;
  }
  for (int64_t step = 0; step < std::min(num_steps, stop_at_.load()); ++step) {
    LoadWeightsOf(step);
    RunSteps({step, step + 1});
  }
  return stop_at_ >= num_steps;
}

// Before the last step it is too late to save anything.
bool ForwardPass::StopsBefore(int member, int64_t step) {
  if (step >= stop_at_.load(std::memory_order_relaxed)) return true;
  if (member == 0 && interrupt_ != nullptr && step + 1 < config_.num_layers && interrupt_->load(std::memory_order_relaxed)) {
    stop_at_.store(std::min(step + 1, stop_at_.load(std::memory_order_relaxed)), std::memory_order_relaxed);
  }
  return false;
}

void ForwardPass::LoadWeightsOf(int64_t step) {
  const bool is_needed = step < config_.num_layers || !logits_tokens_.empty() || capture_ != nullptr;
  while (is_needed && weights_.loader->num_loaded() <= step) weights_.loader->LoadNext(pool_);
}

void ForwardPass::RunSteps(StepRange steps) {
  pool_.ResetItems();
  pool_.Run([this, steps](int member) { RunMember(member, steps); });
}

void ForwardPass::LayOut(std::span<const ForwardSlice> slices) {
  slices_ = slices;
  for (size_t s = 0; s < slices.size(); ++s) {
    const ForwardSlice& slice = slices[s];
    const auto count = static_cast<int64_t>(slice.tokens.size());
    AUTOGLM_CHECK(count > 0);
    AUTOGLM_CHECK((slice.first_position + count + kKvBlockTokens - 1) / kKvBlockTokens <=
                  static_cast<int64_t>(slice.block_table.size()));
    slice_begin_.push_back(num_tokens_);
    for (int64_t i = 0; i < count; ++i) {
      AUTOGLM_CHECK(slice.tokens[i] >= 0 && slice.tokens[i] < config_.vocab_size);
      token_slice_.push_back(static_cast<int32_t>(s));
      position_.push_back(slice.first_position + i);
      const bool wanted =
          slice.logits == ForwardSlice::Logits::kAll || (slice.logits == ForwardSlice::Logits::kLast && i + 1 == count);
      if (wanted) logits_tokens_.push_back(num_tokens_ + i);
    }
    num_tokens_ += count;
  }
  slice_begin_.push_back(num_tokens_);

  x_ = buffers_.x.Get<float>(num_tokens_ * config_.hidden_size);
  query_ = buffers_.query.Get<float>(num_tokens_ * query_width());
  key_ = buffers_.key.Get<float>(num_tokens_ * kv_width());
  value_ = buffers_.value.Get<float>(num_tokens_ * kv_width());
  cosines_ = buffers_.cosines.Get<float>(num_tokens_ * config_.rope.dims / 2 + 1);
  sines_ = buffers_.sines.Get<float>(num_tokens_ * config_.rope.dims / 2 + 1);
  if (!config_.layer_is_sliding.empty()) {
    sliding_cosines_ = buffers_.sliding_cosines.Get<float>(num_tokens_ * config_.sliding_rope.dims / 2 + 1);
    sliding_sines_ = buffers_.sliding_sines.Get<float>(num_tokens_ * config_.sliding_rope.dims / 2 + 1);
  }
  buffers_.members.resize(static_cast<size_t>(pool_.num_threads()));
  if (!RunsByTokens()) LayOutByRows();
  LayOutPartials();
}

void ForwardPass::LayOutByRows() {
  mlp_ = buffers_.mlp.Get<float>(num_tokens_ * std::max(config_.intermediate_size, config_.moe.shared_width));
  if (config_.has_sandwich_norms) sublayer_ = buffers_.sublayer.Get<float>(num_tokens_ * config_.hidden_size);
  if (HasManyTokens()) attended_ = buffers_.attended.Get<float>(num_tokens_ * query_width());
  if (config_.moe.num_experts == 0) return;
  const int64_t num_choices = num_tokens_ * config_.moe.num_experts_per_token;
  buffers_.experts.choices.resize(static_cast<size_t>(num_choices));
  buffers_.experts.normed.Get<float>(num_tokens_ * config_.hidden_size);
  buffers_.experts.mlp.Get<float>(num_choices * config_.moe.expert_width);
}

bool ForwardPass::HasManyTokens() const { return num_tokens_ >= kTokensPerMemberByTokens * pool_.num_threads(); }

ForwardPass::LayerView ForwardPass::View(int64_t layer) const {
  const bool slides = config_.IsSliding(layer);
  return {.index = layer,
          .weights = weights_.layers[static_cast<size_t>(layer)],
          .window = slides ? config_.sliding_window : 0,
          .cosines = slides ? sliding_cosines_ : cosines_,
          .sines = slides ? sliding_sines_ : sines_};
}

template <typename FillTile>
const ActivationBuffer& ForwardPass::Prepare(int member, ItemClaims& claims, int64_t num_rows,
                                             std::initializer_list<const PackedMatrix*> users, const FillTile& fill_tile) {
  if (num_rows <= kernels_.tile_tokens) {
    ActivationBuffer& own = buffers_.members[member].activations;
    ReserveActivations(own, num_rows, users);
    fill_tile(own, 0);
    return own;
  }
  ActivationBuffer& shared = buffers_.shared_activations;
  if (member == 0) ReserveActivations(shared, num_rows, users);
  pool_.Barrier();
  for (int64_t tile; (tile = claims.Next(shared.tiling().num_tiles())) != ItemClaims::kNone;) fill_tile(shared, tile);
  pool_.Barrier();
  return shared;
}

template <typename FillTile>
void ForwardPass::FillAll(ActivationBuffer& out, std::initializer_list<const PackedMatrix*> users, int64_t num_rows,
                          const FillTile& fill_tile) {
  ReserveActivations(out, num_rows, users);
  for (int64_t tile = 0; tile < out.tiling().num_tiles(); ++tile) fill_tile(tile);
}

void ForwardPass::RunMember(int member, StepRange steps) {
  ItemClaims claims(pool_);
  if (steps.begin == 0) {
    EmbedAll(claims);
    Capture(member, 0);
  }
  for (int64_t step = steps.begin; step < steps.end; ++step) {
    if (StopsBefore(member, step)) return;
    if (RunsByTokens()) {
      StepByTokens(member, claims, step);
    } else {
      StepByRows(member, claims, step);
    }
  }
  if (steps.end > config_.num_layers) ComputeLogits(member, claims);
}

// Embeddings and rotation angles, a tile of tokens at a time.
void ForwardPass::EmbedAll(ItemClaims& claims) {
  const int64_t num_tiles = (num_tokens_ + kMaxTileTokens - 1) / kMaxTileTokens;
  for (int64_t tile; (tile = claims.Next(num_tiles)) != ItemClaims::kNone;) {
    EmbedTokens({tile * kMaxTileTokens, std::min(num_tokens_, (tile + 1) * kMaxTileTokens)});
  }
  pool_.Barrier();
}

void ForwardPass::StepByRows(int member, ItemClaims& claims, int64_t step) {
  if (step > 0) Capture(member, step);
  if (step == config_.num_layers) return;
  const LayerView layer = View(step);
  AttendByRows(member, claims, layer);
  MlpByRows(member, claims, layer);
}

void ForwardPass::AttendByRows(int member, ItemClaims& claims, const LayerView& layer) {
  MemberBuffers& own = buffers_.members[member];
  const LayerWeights& weights = layer.weights;
  const ActivationBuffer& normed =
      Prepare(member, claims, num_tokens_, {&weights.query, &weights.key, &weights.value},
              [&](ActivationBuffer& out, int64_t tile) { FillNormTile(own, {weights.attention_norm.data()}, out, tile); });
  ShareOfQkv().ForEachRun(
      member, claims,
      [&](int64_t begin, int64_t end) {
        for (int64_t unit = begin; unit < end; ++unit) ProjectQkvUnit(own, layer, unit, normed, {0, num_tokens_});
      },
      [&](int64_t unit) { AskForQkvUnit(weights, unit); });
  own.ahead.Expect({OwnRun(member, weights.output)});
  BarrierAskingAhead(member);

  if (HasManyTokens()) {
    const int64_t num_tiles = (num_tokens_ + kMaxTileTokens - 1) / kMaxTileTokens;
    for (int64_t tile; (tile = claims.Next(num_tiles)) != ItemClaims::kNone;) {
      const TokenRange range{tile * kMaxTileTokens, std::min(num_tokens_, (tile + 1) * kMaxTileTokens)};
      AttendTokens(own, layer, range, attended_ + range.begin * query_width());
    }
  } else {
    const auto num_units = static_cast<int64_t>(attention_units_.size());
    for (int64_t unit; (unit = claims.Next(num_units)) != ItemClaims::kNone;) {
      AttendUnit(own, layer, attention_units_[unit]);
      own.ahead.Ask();
    }
  }
  BarrierAskingAhead(member);

  const ActivationBuffer& attended =
      Prepare(member, claims, num_tokens_, {&weights.output}, [&](ActivationBuffer& out, int64_t tile) {
        const int64_t begin = out.tiling().Begin(tile);
        const int64_t end = out.tiling().Begin(tile + 1);
        if (HasManyTokens()) {
          out.FillTile(kernels_, tile, attended_ + begin * query_width(), query_width());
          return;
        }
        float* rows = own.rows.Get<float>(kMaxTileTokens * query_width());
        for (int64_t token = begin; token < end; ++token) {
          FinishTokenFromPartials(own, token, rows + (token - begin) * query_width());
        }
        out.FillTile(kernels_, tile, rows, query_width());
      });
  own.ahead.Expect({OwnRun(member, weights.mlp.gate), OwnRun(member, weights.mlp.up)});
  AddByRows(member, claims, weights.output, attended, weights.post_attention_norm);
}

void ForwardPass::MlpByRows(int member, ItemClaims& claims, const LayerView& layer) {
  MemberBuffers& own = buffers_.members[member];
  const LayerWeights& weights = layer.weights;
  if (weights.is_moe()) {
    RouteTokens(own, claims, layer);
    pool_.Barrier();
    if (member == 0) GroupByExpert();
    pool_.Barrier();
    GateUpExperts(own, claims, layer);
    pool_.Barrier();
  }
  const MlpWeights& mlp = weights.mlp;
  if (mlp.width() > 0) {
    const ActivationBuffer& normed =
        Prepare(member, claims, num_tokens_, {&mlp.gate, &mlp.up},
                [&](ActivationBuffer& out, int64_t tile) { FillNormTile(own, {weights.mlp_norm.data()}, out, tile); });
    ShareOf(mlp.gate).ForEachRun(
        member, claims, [&](int64_t begin, int64_t end) { GateUpUnit(own, mlp, begin, end, normed, num_tokens_, mlp_); },
        [&](int64_t panel) {
          AskForPanel(mlp.gate, panel);
          AskForPanel(mlp.up, panel);
        });
    own.ahead.Expect({OwnRun(member, mlp.down)});
    BarrierAskingAhead(member);

    const ActivationBuffer& activated =
        Prepare(member, claims, num_tokens_, {&mlp.down}, [&](ActivationBuffer& out, int64_t tile) {
          out.FillTile(kernels_, tile, mlp_ + out.tiling().Begin(tile) * mlp.width(), mlp.width());
        });
    ExpectStep(member, layer.index + 1);
    AddByRows(member, claims, mlp.down, activated, weights.post_mlp_norm);
  }
  if (!weights.is_moe()) return;
  AddExperts(own, claims, layer);
  pool_.Barrier();
}

// x += norm(matrix . input), without the norm where there is none. Ends with a barrier.
void ForwardPass::AddByRows(int member, ItemClaims& claims, const PackedMatrix& matrix, const ActivationBuffer& input,
                            std::span<const float> post_norm) {
  MemberBuffers& own = buffers_.members[member];
  float* out = post_norm.empty() ? x_ : sublayer_;
  const Epilogue epilogue = post_norm.empty() ? Epilogue::kAdd : Epilogue::kStore;
  ShareOf(matrix).ForEachRun(
      member, claims,
      [&](int64_t begin, int64_t end) { Multiply(own, matrix, begin, end, input, out, config_.hidden_size, epilogue); },
      [&](int64_t panel) { AskForPanel(matrix, panel); });
  BarrierAskingAhead(member);
  if (post_norm.empty()) return;
  for (int64_t token; (token = claims.Next(num_tokens_)) != ItemClaims::kNone;) {
    AddNormed(own, sublayer_ + token * config_.hidden_size, post_norm, {token, token + 1});
  }
  BarrierAskingAhead(member);
}

RowShare ForwardPass::ShareOf(const PackedMatrix& matrix) const {
  return {matrix.num_panels(), pool_.num_threads(), std::max<int64_t>(1, kClaimBytes / matrix.view().panel_bytes)};
}

// The panels that a member has for itself.
std::span<const std::byte> ForwardPass::OwnRun(int member, const PackedMatrix& matrix) const {
  if (matrix.rows() == 0) return {};
  const RowShare share = ShareOf(matrix);
  const PanelView& view = matrix.view();
  return {view.data + share.own_begin(member) * view.panel_bytes, static_cast<size_t>(share.own_units() * view.panel_bytes)};
}

// What the step begins with.
void ForwardPass::ExpectStep(int member, int64_t step) {
  WeightsAhead& ahead = buffers_.members[member].ahead;
  if (step == config_.num_layers) {
    ahead.Expect({OwnRun(member, weights_.lm_head)});
    return;
  }
  ahead.Expect({OwnQkvRun(member, weights_.layers[static_cast<size_t>(step)])});
}

void ForwardPass::BarrierAskingAhead(int member) {
  WeightsAhead& ahead = buffers_.members[member].ahead;
  pool_.Barrier([&] { return ahead.Ask(); });
}

void ForwardPass::StepByTokens(int member, ItemClaims& claims, int64_t step) {
  MemberBuffers& own = buffers_.members[member];
  const int64_t chunk_tokens = ChunkTokens(num_tokens_, pool_.num_threads(), kernels_.isa);
  const int64_t num_chunks = (num_tokens_ + chunk_tokens - 1) / chunk_tokens;
  const auto project_qkv = [&](const LayerView& layer, TokenRange range) {
    const LayerWeights& weights = layer.weights;
    FillAll(own.activations, {&weights.query, &weights.key, &weights.value}, range.size(),
            [&](int64_t tile) { FillNormTile(own, {weights.attention_norm.data(), range.begin}, own.activations, tile); });
    for (int64_t unit = 0; unit < num_qkv_units(); ++unit) ProjectQkvUnit(own, layer, unit, own.activations, range);
  };
  // The last first: later tokens attend to more, and the longest work should not be what the others wait for.
  for (int64_t claim; (claim = claims.Next(num_chunks)) != ItemClaims::kNone;) {
    const int64_t chunk = num_chunks - 1 - claim;
    const TokenRange range{chunk * chunk_tokens, std::min(num_tokens_, (chunk + 1) * chunk_tokens)};
    if (step > 0) FinishLayerByTokens(own, View(step - 1), range, chunk_tokens);
    if (step < config_.num_layers) project_qkv(View(step), range);
  }
  pool_.Barrier();
  if (step > 0) Capture(member, step);
}

// All of a layer that follows the keys and values, for one chunk.
void ForwardPass::FinishLayerByTokens(MemberBuffers& own, const LayerView& layer, TokenRange range, int64_t chunk_tokens) {
  const LayerWeights& weights = layer.weights;
  const int64_t width = weights.mlp.width();
  ActivationBuffer& input = own.activations;
  float* rows = own.mlp.Get<float>(chunk_tokens * std::max(query_width(), width));
  AttendTokens(own, layer, range, rows);
  FillAll(input, {&weights.output}, range.size(), [&](int64_t tile) {
    input.FillTile(kernels_, tile, rows + input.tiling().Begin(tile) * query_width(), query_width());
  });
  AddByTokens(own, weights.output, weights.post_attention_norm, range);

  FillAll(input, {&weights.mlp.gate, &weights.mlp.up}, range.size(),
          [&](int64_t tile) { FillNormTile(own, {weights.mlp_norm.data(), range.begin}, input, tile); });
  GateUpUnit(own, weights.mlp, 0, weights.mlp.gate.num_panels(), input, range.size(), rows);
  FillAll(input, {&weights.mlp.down}, range.size(),
          [&](int64_t tile) { input.FillTile(kernels_, tile, rows + input.tiling().Begin(tile) * width, width); });
  AddByTokens(own, weights.mlp.down, weights.post_mlp_norm, range);
}

// As AddByRows, for the rows of one chunk, whose input stands in own.activations.
void ForwardPass::AddByTokens(MemberBuffers& own, const PackedMatrix& matrix, std::span<const float> post_norm,
                              TokenRange range) {
  const int64_t hidden = config_.hidden_size;
  if (post_norm.empty()) {
    Multiply(own, matrix, 0, matrix.num_panels(), own.activations, x_ + range.begin * hidden, hidden, Epilogue::kAdd);
    return;
  }
  float* answer = own.sublayer.Get<float>(range.size() * hidden);
  Multiply(own, matrix, 0, matrix.num_panels(), own.activations, answer, hidden, Epilogue::kStore);
  AddNormed(own, answer, post_norm, range);
}

void ForwardPass::ComputeLogits(int member, ItemClaims& claims) {
  if (logits_tokens_.empty()) return;
  MemberBuffers& own = buffers_.members[member];
  const auto num_rows = static_cast<int64_t>(logits_tokens_.size());
  const RowSource source{weights_.final_norm.data(), 0, logits_tokens_.data()};
  const ActivationBuffer& normed = Prepare(member, claims, num_rows, {&weights_.lm_head},
                                           [&](ActivationBuffer& out, int64_t tile) { FillNormTile(own, source, out, tile); });
  ShareOf(weights_.lm_head)
      .ForEachRun(
          member, claims,
          [&](int64_t begin, int64_t end) {
            Multiply(own, weights_.lm_head, begin, end, normed, logits_, config_.vocab_size, Epilogue::kStore);
            if (config_.logits_softcap == 0) return;
            const int64_t first = begin * kPanelRows;
            const int64_t count = std::min(end * kPanelRows, config_.vocab_size) - first;
            for (int64_t row = 0; row < num_rows; ++row) {
              kernels_.soft_cap(logits_ + row * config_.vocab_size + first, config_.logits_softcap, count);
            }
          },
          [&](int64_t panel) { AskForPanel(weights_.lm_head, panel); });
}

void ForwardPass::Capture(int member, int64_t layer) {
  if (capture_ == nullptr) return;
  if (member == 0) {
    if (layer == 0) capture_->clear();
    std::vector<float>& rows = capture_->emplace_back(x_, x_ + num_tokens_ * config_.hidden_size);
    for (int64_t token = 0; layer == config_.num_layers && token < num_tokens_; ++token) {
      float* row = rows.data() + token * config_.hidden_size;
      kernels_.rms_norm(row, weights_.final_norm.data(), config_.hidden_size, config_.rms_norm_eps, row);
    }
  }
  pool_.Barrier();
}

}  // namespace autoglm
