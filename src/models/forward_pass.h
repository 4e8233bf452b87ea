#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "models/transformer.h"

namespace autoglm {

// One call of Transformer::Forward. All tokens of all slices stand in one list; every member of the pool runs RunMember: a step
// for each layer and one for the logits, all in one go, or one by one while their weights are still being loaded.
//
// Two ways to share the work, with equal results bit by bit:
//   by rows    few tokens, or experts: each matrix is cut by rows, every weight is read once. Five barriers a layer:
//              norm + QKV + RoPE + KV write | attention | output + residual | norm + gate/up + activation | down + residual
//              A norm after attention or MLP costs one more each, experts four.
//   by tokens  many tokens: each member takes a chunk of tokens through the whole layer, whose activations stay in its
//              cache. One barrier a layer, after the keys and values have been written.
class ForwardPass {
 public:
  ForwardPass(const ModelConfig& config, const TransformerWeights& weights, const KernelTable& kernels, Arithmetic arithmetic,
              StepBuffers& buffers, KvPool& kv, ThreadPool& pool, std::vector<std::vector<float>>* capture);

  // As CausalLm::Forward.
  bool Run(std::span<const ForwardSlice> slices, std::vector<float>& logits, const std::atomic<bool>* interrupt);

 private:
  struct TokenRange {
    int64_t begin = 0;
    int64_t end = 0;
    int64_t size() const { return end - begin; }
  };
  // Rows of x to normalise: a range of tokens, or (for logits) a list of them.
  struct RowSource {
    const float* weight = nullptr;
    int64_t first = 0;
    const int64_t* indices = nullptr;  // null: first, first + 1, ...
  };
  // What a layer's attention asks for.
  struct LayerView {
    int64_t index = 0;
    const LayerWeights& weights;
    int64_t window = 0;  // tokens that a token sees, itself included; 0: all
    const float* cosines = nullptr;
    const float* sines = nullptr;
  };
  // One query head group of one slice over one range of its tokens.
  struct AttentionUnit {
    int64_t slice;
    int64_t kv_head;
    int64_t range;
  };

  // Step l < num_layers begins layer l, step num_layers ends in logits.
  struct StepRange {
    int64_t begin = 0;
    int64_t end = 0;
  };

  void LayOut(std::span<const ForwardSlice> slices);
  void LayOutByRows();
  void LoadWeightsOf(int64_t step);
  void RunSteps(StepRange steps);
  void RunMember(int member, StepRange steps);
  bool StopsBefore(int member, int64_t step);
  void EmbedAll(ItemClaims& claims);
  void StepByRows(int member, ItemClaims& claims, int64_t step);
  void AttendByRows(int member, ItemClaims& claims, const LayerView& layer);
  void MlpByRows(int member, ItemClaims& claims, const LayerView& layer);
  void AddByRows(int member, ItemClaims& claims, const PackedMatrix& matrix, const ActivationBuffer& input,
                 std::span<const float> post_norm);
  RowShare ShareOf(const PackedMatrix& matrix) const;
  RowShare ShareOfQkv() const { return {num_qkv_units(), pool_.num_threads(), 1}; }
  std::span<const std::byte> OwnRun(int member, const PackedMatrix& matrix) const;
  std::span<const std::byte> OwnQkvRun(int member, const LayerWeights& weights) const;
  void AskForQkvUnit(const LayerWeights& weights, int64_t unit) const;
  void ExpectStep(int member, int64_t step);
  void BarrierAskingAhead(int member);
  void StepByTokens(int member, ItemClaims& claims, int64_t step);
  void FinishLayerByTokens(MemberBuffers& own, const LayerView& layer, TokenRange range, int64_t chunk_tokens);
  void AddByTokens(MemberBuffers& own, const PackedMatrix& matrix, std::span<const float> post_norm, TokenRange range);
  void ComputeLogits(int member, ItemClaims& claims);
  void Capture(int member, int64_t layer);

  // forward_pass_blocks.cc: the pieces both ways are made of.
  void EmbedTokens(TokenRange range);
  void FillNormTile(MemberBuffers& own, const RowSource& source, ActivationBuffer& out, int64_t tile);
  void Multiply(MemberBuffers& own, const PackedMatrix& matrix, int64_t panel_begin, int64_t panel_end, const ActivationBuffer& x,
                float* out, int64_t out_stride, Epilogue epilogue);
  void ReserveActivations(ActivationBuffer& out, int64_t num_tokens, std::initializer_list<const PackedMatrix*> users);
  // Activations of `num_rows` rows, filled tile by tile: by each member for itself where they are few, else shared out.
  template <typename FillTile>
  const ActivationBuffer& Prepare(int member, ItemClaims& claims, int64_t num_rows,
                                  std::initializer_list<const PackedMatrix*> users, const FillTile& fill_tile);
  // The same for one member alone.
  template <typename FillTile>
  void FillAll(ActivationBuffer& out, std::initializer_list<const PackedMatrix*> users, int64_t num_rows,
               const FillTile& fill_tile);
  int64_t num_qkv_units() const;
  // Rows [first_row, end_row) of query, key or value.
  struct QkvUnit {
    const PackedMatrix& matrix;
    int64_t first_row;
    int64_t end_row;
  };
  QkvUnit QkvUnitOf(const LayerWeights& weights, int64_t unit) const;
  void ProjectQkvUnit(MemberBuffers& own, const LayerView& layer, int64_t unit, const ActivationBuffer& x, TokenRange range);
  // Heads [first_head, first_head + num_heads) of the rows of `range`.
  struct HeadRows {
    float* rows;
    int64_t stride;
    TokenRange range;
    int64_t first_head;
    int64_t num_heads;
  };
  void NormHeads(const HeadRows& heads, std::span<const float> norm);
  void Rotate(const HeadRows& heads, const LayerView& layer);
  enum class KvHalf { kKeys, kValues };
  void WriteKvHalf(int64_t layer_index, const HeadRows& heads, KvHalf half);
  void GateUpUnit(MemberBuffers& own, const MlpWeights& mlp, int64_t panel_begin, int64_t panel_end, const ActivationBuffer& x,
                  int64_t num_tokens, float* out);
  // Adds rows of a sublayer's answer to the residual stream, each normalised.
  void AddNormed(MemberBuffers& own, const float* rows, std::span<const float> norm, TokenRange range);

  // forward_pass_moe.cc
  void RouteTokens(MemberBuffers& own, ItemClaims& claims, const LayerView& layer);
  void GroupByExpert();
  void GateUpExperts(MemberBuffers& own, ItemClaims& claims, const LayerView& layer);
  void AddExperts(MemberBuffers& own, ItemClaims& claims, const LayerView& layer);

  // forward_pass_attention.cc
  AttentionTask MakeAttentionTask(MemberBuffers& own, const LayerView& layer, int64_t kv_head, TokenRange range);
  void AttendRange(MemberBuffers& own, AttentionTask& task, int64_t layer_index, int64_t slice, int64_t kv_head,
                   int64_t range_index);
  void AttendUnit(MemberBuffers& own, const LayerView& layer, const AttentionUnit& unit);
  void FinishTokenFromPartials(MemberBuffers& own, int64_t token, float* out);
  void AttendTokens(MemberBuffers& own, const LayerView& layer, TokenRange range, float* out);
  void JoinLaterRanges(MemberBuffers& own, AttentionTask& task, int64_t layer_index, int64_t slice, int64_t kv_head,
                       int64_t num_ranges);
  void LayOutPartials();
  float* Partial(int64_t token, int64_t head, int64_t range);
  // Ranges that a token at this position sees.
  static int64_t NumRanges(int64_t position) { return position / kAttentionRangeTokens + 1; }

  LayerView View(int64_t layer) const;
  // Whether there are enough tokens to share out tokens, not rows: of whole layers, or (with experts) of attention alone.
  bool HasManyTokens() const;
  bool RunsByTokens() const { return HasManyTokens() && config_.moe.num_experts == 0; }
  int64_t query_width() const { return config_.num_heads * config_.head_dim; }
  int64_t kv_width() const { return config_.num_kv_heads * config_.head_dim; }
  int64_t padded_head_dim() const { return kv_.layout().head_dim; }

  const ModelConfig& config_;
  const TransformerWeights& weights_;
  const KernelTable& kernels_;
  const std::atomic<bool>* interrupt_ = nullptr;
  // The first step that is not computed any more. Member 0 says so one step ahead, so that a barrier lies between its word and
  // everyone's reading.
  std::atomic<int64_t> stop_at_{std::numeric_limits<int64_t>::max()};
  const Arithmetic arithmetic_;
  StepBuffers& buffers_;
  KvPool& kv_;
  ThreadPool& pool_;
  std::vector<std::vector<float>>* capture_;

  std::span<const ForwardSlice> slices_;
  std::vector<int64_t> slice_begin_;    // first token of each slice, and the end
  std::vector<int32_t> token_slice_;    // slice of each token
  std::vector<int64_t> position_;       // of each token in its sequence
  std::vector<int64_t> logits_tokens_;  // tokens whose logits are wanted
  std::vector<AttentionUnit> attention_units_;
  std::vector<int64_t> partial_begin_;  // by token, in states
  int64_t num_tokens_ = 0;
  int64_t state_floats_ = 0;  // of one state of one row
  float* logits_ = nullptr;

  float* partials_ = nullptr;
  float* mlp_ = nullptr;
  float* x_ = nullptr;
  float* query_ = nullptr;
  float* key_ = nullptr;
  float* value_ = nullptr;
  float* cosines_ = nullptr;
  float* sines_ = nullptr;
  float* sliding_cosines_ = nullptr;
  float* sliding_sines_ = nullptr;
  float* sublayer_ = nullptr;  // [tokens][hidden], what attention or MLP gives before its norm
  float* attended_ = nullptr;  // [tokens][heads * head_dim], by tokens with experts
};

}  // namespace autoglm
