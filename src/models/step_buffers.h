#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernel_table.h"
#include "models/model_config.h"
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

// The input of matrix products: the activations of some tokens in the form the weights ask for.
class ActivationBuffer {
 public:
  // Makes room; the views are valid until the next Reserve.
  void Reserve(int64_t num_tokens, int64_t columns, bool quantized, bool floats);

  bool has_quantized() const { return has_quantized_; }
  bool has_floats() const { return has_floats_; }
  const QuantizedActivations& quantized() const { return quantized_; }
  const FloatActivations& floats() const { return floats_; }
  Tiling tiling() const { return tiling_; }

  // Writes a tile from rows[width][columns].
  void FillTile(const KernelTable& kernels, int64_t tile, const float* rows, int64_t stride);

 private:
  Tiling tiling_;
  bool has_quantized_ = false;
  bool has_floats_ = false;
  QuantizedActivations quantized_;
  FloatActivations floats_;
  GrowingBuffer quantized_memory_;
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
  std::vector<const std::byte*> blocks;
  std::vector<int64_t> visible;
};

// What a forward pass computes with, shared by the members. Row strides are given by ModelConfig.
struct StepBuffers {
  GrowingBuffer x;               // [tokens][hidden], the residual stream
  GrowingBuffer query;           // [tokens][heads * head_dim]
  GrowingBuffer key, value;      // [tokens][kv heads * head_dim]
  GrowingBuffer mlp;             // [tokens][intermediate]
  GrowingBuffer partials;        // states of attention ranges
  GrowingBuffer cosines, sines;  // [tokens][rotary_dims / 2]
  ActivationBuffer shared_activations;
  std::vector<MemberBuffers> members;
};

}  // namespace autoglm
