#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"
#include "tensor/tensor_view.h"

namespace autoglm {

// What a model can be written as. The K mixtures spend more bits where they count most, as llama.cpp's "medium" ones do.
enum class QuantTarget {
  kF32,
  kF16,
  kBf16,
  kQ8_0,
  kInt8,  // Q8_0 blocks that share one scale a row (output channel)
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ4_K,  // Q4_K; Q6_K for the head, and for values and down projections of about half the layers
  kQ5_K,  // the same over Q5_K
  kQ6_K,
  kIQ4_NL,
};

struct QuantTargetInfo {
  QuantTarget target = QuantTarget::kF32;
  std::string_view name;       // as people write it: "q4_k"
  DType type = DType::kF32;    // of most matrices
  int64_t gguf_file_type = 0;  // general.file_type
};
std::span<const QuantTargetInfo> QuantTargets();
const QuantTargetInfo& Info(QuantTarget target);
// "q4_k"; "q4_k_m" and "q5_k_m" mean the same as q4_k and q5_k. Errors: kInvalidArgument; the message lists the names.
Result<QuantTarget> ParseQuantTarget(std::string_view name);

// What becomes of one tensor.
struct TensorPlan {
  const TensorView* tensor = nullptr;
  DType type = DType::kF32;
  bool is_by_channel = false;  // one scale a row
  bool is_fallback = false;    // the rows are no whole number of the wanted type's blocks
};

// By GGUF names. Matrices are quantised; vectors and routers are F32. The head ("output.weight",
// or the embedding where they are one) is the last to see every number and gets Q6_K from all types below 8 bits. Rows that do
// not divide into blocks of 256 get a type with blocks of 32 (Q4_K: Q5_0, Q5_K: Q5_1, Q6_K: Q8_0), and F16 where that does not
// fit either.
std::vector<TensorPlan> PlanQuantization(std::span<const TensorView> tensors, QuantTarget target, int64_t num_layers);

}  // namespace autoglm
