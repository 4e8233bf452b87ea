#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "kernels/isa.h"
#include "models/forward_work.h"
#include "models/kv_pool.h"
#include "models/model_config.h"
#include "weights/gguf_file.h"
#include "weights/packed_matrix.h"
#include "weights/prepared_cache.h"
#include "weights/tensor_source.h"

namespace autoglm {

// One sequence's share of a forward pass.
struct ForwardSlice {
  std::span<const TokenId> tokens;  // to compute, at positions first_position ...
  int64_t first_position = 0;
  std::span<const int32_t> block_table;  // KV blocks of positions [0, first_position + tokens.size())
  enum class Logits { kNone, kLast, kAll } logits = Logits::kNone;
};

// How a model is to be loaded and computed.
struct ModelLoadOptions {
  Isa isa = Isa::kScalar;                     // what to compute with; see DetectIsa
  Arithmetic arithmetic = Arithmetic::kFast;  // kExact: float32 activations and KV; kMixed: see isa.h
  WeightPrecision precision = WeightPrecision::kAsStored;
  std::optional<KvType> kv_type;        // nullopt: F32 with exact arithmetic, else BF16
  PreparedCacheOptions prepared_cache;  // without a folder nothing is cached
};

// How much of a model's weights is there.
struct LoadProgress {
  int64_t num_stages = 0;  // layers, and one for what the logits need
  int64_t num_loaded = 0;
  bool is_prepared = false;  // mapped from the cache of prepared weights, not packed

  bool is_complete() const { return num_loaded == num_stages; }
};

// A decoder-only transformer. It can compute from the start: weights that have not arrived yet are loaded by the step that
// needs them, layer by layer.
class CausalLm {
 public:
  // Reads headers only; every error of a model shows here. Errors: kUnsupported (architecture, tensor type), kCorruptFile
  // (missing tensor, wrong shape). The file must outlive the model.
  static Result<std::unique_ptr<CausalLm>> Open(const GgufFile& file, const ModelLoadOptions& options);
  // A Hugging Face folder: its tensors, and its config.json read by ModelConfig::FromJson. Errors: as for GGUF.
  static Result<std::unique_ptr<CausalLm>> Open(const TensorSource& folder, ModelConfig config, const ModelLoadOptions& options);
  virtual ~CausalLm() = default;

  virtual const ModelConfig& config() const = 0;
  virtual KvLayout kv_layout() const = 0;
  virtual int64_t weight_bytes() const = 0;  // of memory that the packed weights take once they are all loaded

  // What a forward pass costs at least, by the shapes and formats of the weights.
  virtual ForwardWork WorkOf(const ForwardShape& shape) const = 0;

  // Any thread.
  virtual LoadProgress load_progress() const = 0;
  // Loads one more stage, when there is time for it; only while the progress is not complete. One caller at a time, as Forward.
  virtual void LoadNext(ThreadPool& pool) = 0;
  // Waits until prepared weights are written into the cache, where they are to be. Errors: as PreparedCache::Store.
  virtual Status WaitForCache() = 0;

  // Computes all slices in one pass, writes their KV into the pool's blocks, and puts the logits asked for, [rows,
  // vocab_size] in slice order, into `logits`. A token's logits do not depend on the other slices, on how its sequence was
  // cut into slices, or on the number of threads: bit for bit.
  //
  // Where somebody sets `interrupt` meanwhile, it gives up at the next layer and answers false: `logits` are of no use, and the
  // KV of these slices must be computed again. Null: never.
  //
  // Not thread-safe: one caller at a time.
  virtual bool Forward(std::span<const ForwardSlice> slices, KvPool& kv, ThreadPool& pool, std::vector<float>& logits,
                       const std::atomic<bool>* interrupt) = 0;

  // Test hook: hidden states [num_tokens, hidden] of the last Forward after embedding (0), each block, and the final norm.
  virtual void SetHiddenStateCapture(std::vector<std::vector<float>>* capture) = 0;
};

}  // namespace autoglm
