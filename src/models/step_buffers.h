#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernel_table.h"
#include "models/model_config.h"
#include "models/moe_router.h"
#include "models/row_share.h"
#include "weights/packed_matrix.h"

namespace autoglm {

// Memory that only grows, so that a step allocates nothing once the largest step has been seen. Contents do not survive
// a growth.
class GrowingBuffer {
 public:
  template <typename T>
  T* Get(int64_t count) {
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    if (bytes > capacity_) {
      data_ = AllocateAligned(bytes);
      capacity_ = bytes;
    }
    return reinterpret_cast<T*>(data_.get());
  }

 private:
  AlignedBuffer data_;
  int64_t capacity_ = 0;
};

// In which forms some activations are asked for.
struct ActivationNeeds {
  bool int8 = false, int16 = false, bf16 = false, floats = false;
  // Of 8-bit activations: which sums, see QuantizedActivations.
  bool starts_8 = false, starts_16 = false, starts_128 = false, half_starts_32 = false, scaled_sums = false;

  void Add(PackedFormat format, ActivationKind kind);
};

// The input of matrix products: the activations of some tokens in the forms the weights ask for.
class ActivationBuffer {
 public:
  // Makes room; the views are valid until the next Reserve.
  void Reserve(int64_t num_tokens, int64_t columns, const ActivationNeeds& needs, const KernelTable& kernels);

  const QuantizedActivations& quantized() const { return quantized_; }
  const PairActivations& int16() const { return int16_; }
  const PairActivations& bf16() const { return bf16_; }
  const FloatActivations& floats() const { return floats_; }
  Tiling tiling() const { return tiling_; }

  // Writes a tile from rows[width][columns].
  void FillTile(const KernelTable& kernels, int64_t tile, const float* rows, int64_t stride);

 private:
  void ReserveQuantized(int64_t num_tokens, int64_t columns);

  Tiling tiling_;
  ActivationNeeds needs_;
  QuantizedActivations quantized_;
  PairActivations int16_;
  PairActivations bf16_;
  FloatActivations floats_;
  GrowingBuffer quantized_memory_;
  GrowingBuffer int16_memory_;
  GrowingBuffer bf16_memory_;
  GrowingBuffer float_memory_;
};

// What one member of the thread pool computes with.
struct MemberBuffers {
  GrowingBuffer gemm_scratch;
  GrowingBuffer rows;  // a tile of rows before they become activations
  ActivationBuffer activations;
  GrowingBuffer mlp;          // [tokens][intermediate]
  GrowingBuffer gate;         // gate and up of one unit of rows
  GrowingBuffer attention;    // queries and states of a tile of rows
  GrowingBuffer later_state;  // state of a later range, before it is joined
  GrowingBuffer sublayer;     // what attention or MLP of a chunk gives before its norm; an expert's answer
  WeightsAhead ahead;
  RouterScratch router;
  std::vector<const std::byte*> blocks;
  std::vector<int64_t> first_visible, visible;
};

// Which tokens go to which experts in one layer, and what the experts compute.
struct ExpertBuffers {
  GrowingBuffer normed;               // [tokens][hidden]
  GrowingBuffer mlp;                  // [tokens * experts per token][expert width], in the order of `tokens`
  std::vector<ExpertChoice> choices;  // [tokens][experts per token]
  // Choices grouped by expert: those of active[i] stand at [begins[i], begins[i + 1]).
  std::vector<int32_t> active;
  std::vector<int64_t> begins;
  std::vector<int32_t> tokens;
  std::vector<float> weights;
  std::vector<int64_t> places;  // next free place of each expert while grouping
};

// What a forward pass computes with, shared by the members. Row strides are given by ModelConfig.
struct StepBuffers {
  GrowingBuffer x;               // [tokens][hidden], the residual stream
  GrowingBuffer query;           // [tokens][heads * head_dim]
  GrowingBuffer key, value;      // [tokens][kv heads * head_dim]
  GrowingBuffer mlp;             // [tokens][intermediate]
  GrowingBuffer partials;        // states of attention ranges
  GrowingBuffer cosines, sines;  // [tokens][rope.dims / 2]
  GrowingBuffer sliding_cosines, sliding_sines;
  GrowingBuffer sublayer;  // [tokens][hidden]
  GrowingBuffer attended;  // [tokens][heads * head_dim]
  ExpertBuffers experts;
  ActivationBuffer shared_activations;
  std::vector<MemberBuffers> members;
};

}  // namespace autoglm
