#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "weights/gguf_file.h"
#include "weights/quantize_plan.h"

namespace autoglm {

// How a model came out.
struct QuantizeReport {
  int64_t num_bytes_before = 0;  // of tensors
  int64_t num_bytes = 0;
  int64_t num_weights = 0;
  int64_t num_fallbacks = 0;          // tensors whose rows do not fit the wanted type's blocks
  bool was_quantised_before = false;  // what was lost then is lost, and now some more
};

// Writes a GGUF model in other types: metadata as it was, but for the file type, and tensors in the same order. Holds a few rows
// of one tensor at a time; the target appears whole or not at all. `progress` hears of tensor bytes read so far.
// Errors: kUnsupported where the model has a tensor of an unknown type or is one of several parts; as GgufWriter otherwise.
Result<QuantizeReport> QuantizeFile(const GgufFile& source, const std::filesystem::path& target_path, QuantTarget target,
                                    ThreadPool& pool, const std::function<void(int64_t)>& progress);

}  // namespace autoglm
