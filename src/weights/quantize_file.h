#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "base/result.h"
#include "base/thread_pool.h"
#include "weights/gguf_file.h"
#include "weights/quantize_plan.h"
#include "weights/row_tensor.h"

namespace autoglm {

// How a model came out.
struct QuantizeReport {
  int64_t num_bytes_before = 0;  // of tensors
  int64_t num_bytes = 0;
  int64_t num_weights = 0;
  int64_t num_fallbacks = 0;          // tensors whose rows do not fit the wanted type's blocks
  bool was_quantised_before = false;  // what was lost then is lost, and now some more
};

// A GGUF file as a model to be written: all of its metadata but what the writer decides, tensors in its order. The file must
// outlive the result. Errors: kUnsupported where it has a tensor of an unknown type or is one of several parts; kCorruptFile.
Result<GgufModel> ModelOfFile(const GgufFile& file);

// Writes a model in other types. Holds a few rows of one tensor at a time; the target appears whole or not at all. `progress`
// hears of the weights written so far. Errors: as GgufWriter.
Result<QuantizeReport> QuantizeModel(const GgufModel& model, const std::filesystem::path& target_path, QuantTarget target,
                                     ThreadPool& pool, const std::function<void(int64_t)>& progress);

}  // namespace autoglm
