#include "models/forward_pass.h"

#include <algorithm>

#include "base/check.h"

namespace autoglm {
namespace {

// From this many tokens a member on, its own chunk amortises decoding every weight for itself.
constexpr int64_t kTokensPerMemberByTokens = 16;
// Chunks a member should get at least, so that the last ones even out unequal attention and a disturbed core.
constexpr int64_t kChunksPerMember = 3;
// Widest chunk: its activations of one layer stay within a second-level cache of 1 to 2 MiB.
constexpr int64_t kMaxChunkTokens = 8 * kMaxTileTokens;
// Panels a member claims at once.
constexpr int64_t kPanelsPerClaim = 4;

int64_t ChunkTokens(int64_t num_tokens, int num_threads) {
  const int64_t even = num_tokens / (num_threads * kChunksPerMember);
  const int64_t whole_tiles = std::max<int64_t>(even / kMaxTileTokens, 1) * kMaxTileTokens;
  return std::min(whole_tiles, kMaxChunkTokens);
}

int64_t NumClaims(int64_t num_panels) { return (num_panels + kPanelsPerClaim - 1) / kPanelsPerClaim; }

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

void ForwardPass::Run(std::span<const ForwardSlice> slices, std::vector<float>& logits) {
  LayOut(slices);
  logits.resize(logits_tokens_.size() * static_cast<size_t>(config_.vocab_size));
  logits_ = logits.data();
  pool_.ResetItems();
  pool_.Run([this](int member) { RunMember(member); });
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
  cosines_ = buffers_.cosines.Get<float>(num_tokens_ * config_.rotary_dims / 2 + 1);
  sines_ = buffers_.sines.Get<float>(num_tokens_ * config_.rotary_dims / 2 + 1);
  buffers_.members.resize(static_cast<size_t>(pool_.num_threads()));
  if (!RunsByTokens()) mlp_ = buffers_.mlp.Get<float>(num_tokens_ * config_.intermediate_size);
  LayOutPartials();
}

bool ForwardPass::RunsByTokens() const { return num_tokens_ >= kTokensPerMemberByTokens * pool_.num_threads(); }

template <typename FillTile>
const ActivationBuffer& ForwardPass::Prepare(int member, ItemClaims& claims, int64_t num_rows,
                                             std::initializer_list<const PackedMatrix*> users, const FillTile& fill_tile) {
  if (num_rows <= kMaxTileTokens) {
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

void ForwardPass::RunMember(int member) {
  ItemClaims claims(pool_);
  // Embeddings and rotation angles, a tile of tokens at a time.
  const int64_t num_tiles = (num_tokens_ + kMaxTileTokens - 1) / kMaxTileTokens;
  for (int64_t tile; (tile = claims.Next(num_tiles)) != ItemClaims::kNone;) {
    EmbedTokens({tile * kMaxTileTokens, std::min(num_tokens_, (tile + 1) * kMaxTileTokens)});
  }
  pool_.Barrier();
  Capture(member, 0);
  if (RunsByTokens()) {
    RunByTokens(member, claims);
  } else {
    RunByRows(member, claims);
  }
  ComputeLogits(member, claims);
}

void ForwardPass::RunByRows(int member, ItemClaims& claims) {
  MemberBuffers& own = buffers_.members[member];
  const TokenRange all{0, num_tokens_};
  const int64_t hidden = config_.hidden_size;
  for (int64_t l = 0; l < config_.num_layers; ++l) {
    const LayerWeights& layer = weights_.layers[l];
    const ActivationBuffer& normed =
        Prepare(member, claims, num_tokens_, {&layer.query, &layer.key, &layer.value},
                [&](ActivationBuffer& out, int64_t tile) { FillNormTile(own, {layer.attention_norm.data()}, out, tile); });
    for (int64_t unit; (unit = claims.Next(num_qkv_units())) != ItemClaims::kNone;) {
      ProjectQkvUnit(own, layer, l, unit, normed, all);
    }
    pool_.Barrier();

    const auto num_units = static_cast<int64_t>(attention_units_.size());
    for (int64_t unit; (unit = claims.Next(num_units)) != ItemClaims::kNone;) AttendUnit(own, l, attention_units_[unit]);
    pool_.Barrier();

    const ActivationBuffer& attended =
        Prepare(member, claims, num_tokens_, {&layer.output}, [&](ActivationBuffer& out, int64_t tile) {
          const int64_t begin = out.tiling().Begin(tile);
          const int64_t end = out.tiling().Begin(tile + 1);
          float* rows = own.rows.Get<float>(kMaxTileTokens * query_width());
          for (int64_t token = begin; token < end; ++token)
            FinishTokenFromPartials(own, token, rows + (token - begin) * query_width());
          out.FillTile(kernels_, tile, rows, query_width());
        });
    const auto add_to_x = [&](const PackedMatrix& matrix, const ActivationBuffer& input) {
      for (int64_t claim; (claim = claims.Next(NumClaims(matrix.num_panels()))) != ItemClaims::kNone;) {
        const int64_t panel = claim * kPanelsPerClaim;
        Multiply(own, matrix, panel, std::min(panel + kPanelsPerClaim, matrix.num_panels()), input, x_, hidden, Epilogue::kAdd);
      }
      pool_.Barrier();
    };
    add_to_x(layer.output, attended);

    const ActivationBuffer& mlp_normed =
        Prepare(member, claims, num_tokens_, {&layer.gate, &layer.up},
                [&](ActivationBuffer& out, int64_t tile) { FillNormTile(own, {layer.mlp_norm.data()}, out, tile); });
    for (int64_t claim; (claim = claims.Next(NumClaims(layer.gate.num_panels()))) != ItemClaims::kNone;) {
      const int64_t panel = claim * kPanelsPerClaim;
      GateUpUnit(own, layer, panel, std::min(panel + kPanelsPerClaim, layer.gate.num_panels()), mlp_normed, num_tokens_, mlp_);
    }
    pool_.Barrier();

    const ActivationBuffer& activated =
        Prepare(member, claims, num_tokens_, {&layer.down}, [&](ActivationBuffer& out, int64_t tile) {
          out.FillTile(kernels_, tile, mlp_ + out.tiling().Begin(tile) * config_.intermediate_size, config_.intermediate_size);
        });
    add_to_x(layer.down, activated);
    Capture(member, l + 1);
  }
}

void ForwardPass::RunByTokens(int member, ItemClaims& claims) {
  MemberBuffers& own = buffers_.members[member];
  const int64_t hidden = config_.hidden_size;
  const int64_t intermediate = config_.intermediate_size;
  const int64_t chunk_tokens = ChunkTokens(num_tokens_, pool_.num_threads());
  const int64_t num_chunks = (num_tokens_ + chunk_tokens - 1) / chunk_tokens;
  ActivationBuffer& input = own.activations;
  const auto fill_all = [&](std::initializer_list<const PackedMatrix*> users, TokenRange range, const auto& fill_tile) {
    ReserveActivations(input, range.size(), users);
    for (int64_t tile = 0; tile < input.tiling().num_tiles(); ++tile) fill_tile(tile);
  };
  const auto project_qkv = [&](int64_t l, TokenRange range) {
    const LayerWeights& layer = weights_.layers[l];
    fill_all({&layer.query, &layer.key, &layer.value}, range,
             [&](int64_t tile) { FillNormTile(own, {layer.attention_norm.data(), range.begin}, input, tile); });
    for (int64_t unit = 0; unit < num_qkv_units(); ++unit) ProjectQkvUnit(own, layer, l, unit, input, range);
  };
  const auto finish_layer = [&](int64_t l, TokenRange range) {
    const LayerWeights& layer = weights_.layers[l];
    float* x = x_ + range.begin * hidden;
    float* attended = own.mlp.Get<float>(chunk_tokens * std::max(query_width(), intermediate));
    AttendTokens(own, l, range, attended);
    fill_all({&layer.output}, range, [&](int64_t tile) {
      input.FillTile(kernels_, tile, attended + input.tiling().Begin(tile) * query_width(), query_width());
    });
    Multiply(own, layer.output, 0, layer.output.num_panels(), input, x, hidden, Epilogue::kAdd);

    fill_all({&layer.gate, &layer.up}, range,
             [&](int64_t tile) { FillNormTile(own, {layer.mlp_norm.data(), range.begin}, input, tile); });
    float* mlp = attended;
    GateUpUnit(own, layer, 0, layer.gate.num_panels(), input, range.size(), mlp);
    fill_all({&layer.down}, range, [&](int64_t tile) {
      input.FillTile(kernels_, tile, mlp + input.tiling().Begin(tile) * intermediate, intermediate);
    });
    Multiply(own, layer.down, 0, layer.down.num_panels(), input, x, hidden, Epilogue::kAdd);
  };

  for (int64_t l = 0; l <= config_.num_layers; ++l) {
    for (int64_t chunk; (chunk = claims.Next(num_chunks)) != ItemClaims::kNone;) {
      const TokenRange range{chunk * chunk_tokens, std::min(num_tokens_, (chunk + 1) * chunk_tokens)};
      if (l > 0) finish_layer(l - 1, range);
      if (l < config_.num_layers) project_qkv(l, range);
    }
    pool_.Barrier();
    if (l > 0) Capture(member, l);
  }
}

void ForwardPass::ComputeLogits(int member, ItemClaims& claims) {
  if (logits_tokens_.empty()) return;
  MemberBuffers& own = buffers_.members[member];
  const auto num_rows = static_cast<int64_t>(logits_tokens_.size());
  const RowSource source{weights_.final_norm.data(), 0, logits_tokens_.data()};
  const ActivationBuffer& normed = Prepare(member, claims, num_rows, {&weights_.lm_head},
                                           [&](ActivationBuffer& out, int64_t tile) { FillNormTile(own, source, out, tile); });
  const int64_t num_panels = weights_.lm_head.num_panels();
  // The vocabulary is long: larger claims, the same evenness.
  const int64_t panels_per_claim = 16 * kPanelsPerClaim;
  const int64_t num_claims = (num_panels + panels_per_claim - 1) / panels_per_claim;
  for (int64_t claim; (claim = claims.Next(num_claims)) != ItemClaims::kNone;) {
    const int64_t panel = claim * panels_per_claim;
    Multiply(own, weights_.lm_head, panel, std::min(panel + panels_per_claim, num_panels), normed, logits_, config_.vocab_size,
             Epilogue::kStore);
  }
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
