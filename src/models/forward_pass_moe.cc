#include <algorithm>

#include "models/forward_pass.h"

// A layer's experts, shared out by rows: every token chooses, tokens are grouped by expert, then each expert multiplies all of
// its tokens at once. A token's experts are added in the order of their numbers, whatever else is in the step.
namespace autoglm {
namespace {

constexpr int64_t kPanelsPerUnit = 8;

int64_t NumUnits(int64_t num_panels) { return (num_panels + kPanelsPerUnit - 1) / kPanelsPerUnit; }

}  // namespace

void ForwardPass::RouteTokens(MemberBuffers& own, ItemClaims& claims, const LayerView& layer) {
  const int64_t hidden = config_.hidden_size;
  const int64_t num_experts = config_.moe.num_experts;
  const int64_t per_token = config_.moe.num_experts_per_token;
  float* normed = buffers_.experts.normed.Get<float>(num_tokens_ * hidden);
  float* logits = own.sublayer.Get<float>(num_experts);
  for (int64_t token; (token = claims.Next(num_tokens_)) != ItemClaims::kNone;) {
    float* row = normed + token * hidden;
    kernels_.rms_norm(x_ + token * hidden, layer.weights.mlp_norm.data(), hidden, config_.rms_norm_eps, row);
    // In floats whatever the arithmetic is: a rounding error here sends the token to another expert.
    ActivationBuffer& input = own.activations;
    input.Reserve(1, hidden, {.floats = true}, kernels_);
    input.FillTile(kernels_, 0, row, hidden);
    const PackedMatrix& router = layer.weights.router;
    kernels_.gemm_float({.weights = router.view(),
                         .panel_begin = 0,
                         .panel_end = router.num_panels(),
                         .out = logits,
                         .out_stride = num_experts,
                         .num_rows = num_experts,
                         .epilogue = Epilogue::kStore,
                         .scratch = own.gemm_scratch.Get<float>(GemmScratchBytes(hidden) / 4)},
                        input.floats());
    RouteToken(
        {logits, static_cast<size_t>(num_experts)}, layer.weights.router_bias, config_.moe, own.router,
        std::span(buffers_.experts.choices).subspan(static_cast<size_t>(token * per_token), static_cast<size_t>(per_token)));
  }
}

// One member, between barriers. Tokens stay in order within an expert.
void ForwardPass::GroupByExpert() {
  ExpertBuffers& experts = buffers_.experts;
  const int64_t per_token = config_.moe.num_experts_per_token;
  experts.places.assign(static_cast<size_t>(config_.moe.num_experts), 0);
  for (const ExpertChoice& choice : experts.choices) ++experts.places[static_cast<size_t>(choice.expert)];
  experts.active.clear();
  experts.begins.clear();
  int64_t begin = 0;
  for (size_t expert = 0; expert < experts.places.size(); ++expert) {
    const int64_t count = experts.places[expert];
    experts.places[expert] = begin;
    if (count == 0) continue;
    experts.active.push_back(static_cast<int32_t>(expert));
    experts.begins.push_back(begin);
    begin += count;
  }
  experts.begins.push_back(begin);
  experts.tokens.resize(static_cast<size_t>(begin));
  experts.weights.resize(static_cast<size_t>(begin));
  for (size_t i = 0; i < experts.choices.size(); ++i) {
    const ExpertChoice& choice = experts.choices[i];
    const auto place = static_cast<size_t>(experts.places[static_cast<size_t>(choice.expert)]++);
    experts.tokens[place] = static_cast<int32_t>(static_cast<int64_t>(i) / per_token);
    experts.weights[place] = choice.weight;
  }
}

// Units go expert by expert, so that a member mostly meets the expert whose tokens it has just gathered.
void ForwardPass::GateUpExperts(MemberBuffers& own, ItemClaims& claims, const LayerView& layer) {
  ExpertBuffers& experts = buffers_.experts;
  const int64_t hidden = config_.hidden_size;
  const int64_t width = config_.moe.expert_width;
  const float* normed = experts.normed.Get<float>(num_tokens_ * hidden);
  float* out = experts.mlp.Get<float>(std::ssize(experts.tokens) * width);
  const int64_t num_panels = (width + kPanelRows - 1) / kPanelRows;
  const int64_t units_per_expert = NumUnits(num_panels);
  int64_t gathered = -1;
  for (int64_t unit; (unit = claims.Next(std::ssize(experts.active) * units_per_expert)) != ItemClaims::kNone;) {
    const auto slot = static_cast<size_t>(unit / units_per_expert);
    const MlpWeights& mlp = layer.weights.experts[static_cast<size_t>(experts.active[slot])];
    const int64_t begin = experts.begins[slot];
    const int64_t count = experts.begins[slot + 1] - begin;
    ActivationBuffer& input = own.activations;
    if (gathered != static_cast<int64_t>(slot)) {
      gathered = static_cast<int64_t>(slot);
      ReserveActivations(input, count, {&mlp.gate, &mlp.up});
      float* rows = own.rows.Get<float>(kMaxTileTokens * hidden);
      for (int64_t tile = 0; tile < input.tiling().num_tiles(); ++tile) {
        const int64_t first = input.tiling().Begin(tile);
        for (int64_t i = first; i < input.tiling().Begin(tile + 1); ++i) {
          const float* row = normed + experts.tokens[static_cast<size_t>(begin + i)] * hidden;
          std::copy(row, row + hidden, rows + (i - first) * hidden);
        }
        input.FillTile(kernels_, tile, rows, hidden);
      }
    }
    const int64_t panel = unit % units_per_expert * kPanelsPerUnit;
    GateUpUnit(own, mlp, panel, std::min(panel + kPanelsPerUnit, num_panels), input, count, out + begin * width);
  }
}

// A unit is some rows of the residual stream and adds all experts to them: nobody else writes there.
void ForwardPass::AddExperts(MemberBuffers& own, ItemClaims& claims, const LayerView& layer) {
  ExpertBuffers& experts = buffers_.experts;
  const int64_t hidden = config_.hidden_size;
  const int64_t width = config_.moe.expert_width;
  const float* activated = experts.mlp.Get<float>(std::ssize(experts.tokens) * width);
  const int64_t num_panels = (hidden + kPanelRows - 1) / kPanelRows;
  // Each unit quantises every expert's input again: few and wide ones.
  const int64_t panels =
      std::max<int64_t>(kPanelsPerUnit, (num_panels + 4 * pool_.num_threads() - 1) / (4 * pool_.num_threads()));
  for (int64_t unit; (unit = claims.Next((num_panels + panels - 1) / panels)) != ItemClaims::kNone;) {
    const int64_t panel_begin = unit * panels;
    const int64_t panel_end = std::min(panel_begin + panels, num_panels);
    const int64_t first_row = panel_begin * kPanelRows;
    const int64_t num_rows = std::min(panel_end * kPanelRows, hidden) - first_row;
    for (size_t slot = 0; slot < experts.active.size(); ++slot) {
      const PackedMatrix& down = layer.weights.experts[static_cast<size_t>(experts.active[slot])].down;
      const int64_t begin = experts.begins[slot];
      const int64_t count = experts.begins[slot + 1] - begin;
      ActivationBuffer& input = own.activations;
      ReserveActivations(input, count, {&down});
      for (int64_t tile = 0; tile < input.tiling().num_tiles(); ++tile) {
        input.FillTile(kernels_, tile, activated + (begin + input.tiling().Begin(tile)) * width, width);
      }
      const int64_t stride = panels * kPanelRows;
      float* answer = own.sublayer.Get<float>(count * stride);
      Multiply(own, down, panel_begin, panel_end, input, answer - first_row, stride, Epilogue::kStore);
      for (int64_t i = 0; i < count; ++i) {
        const auto place = static_cast<size_t>(begin + i);
        kernels_.add_scaled(answer + i * stride, experts.weights[place], num_rows,
                            x_ + experts.tokens[place] * hidden + first_row);
      }
    }
  }
}

}  // namespace autoglm
