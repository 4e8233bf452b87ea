#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "weights/packed_matrix.h"
#include "weights/prepared_cache.h"
#include "weights/read_ahead.h"
#include "weights/tensor_source.h"
#include "weights/weight_arena.h"

namespace autoglm {

// The way of a model's weights from its files into the memory that kernels read, in the order a forward pass needs them, so
// that the first layers compute while later ones are still being read.
//
//   plan    AddMatrix, AddVector, EndStage: checks types and shapes against the files' headers and hands out addresses.
//           Every error of a model shows here; no weight is read.
//   load    Start, then LoadNext once for each stage: what belongs to it is valid from then on and never changes.
//
// With a cache, weights prepared by an earlier run are mapped in Start, and every stage is loaded at once; without a hit they
// are written there in the background once the last stage is loaded.
class WeightLoader {
 public:
  // `source` must outlive the loader. Errors: as WeightArena::Reserve.
  static Result<std::unique_ptr<WeightLoader>> Create(const TensorSource& source, int64_t capacity_bytes,
                                                      const WeightPacking& packing);
  ~WeightLoader();

  // A matrix [rows, columns], or a RowSlice of one. Errors: kUnsupported for a type without a panel format; kCorruptFile where
  // the shape is not the expected one.
  Result<PackedMatrix> AddMatrix(const TensorView& tensor, MatrixShape expected);
  // `count` values from `first` on of a vector of `size` values, each with `offset` added. Errors: kCorruptFile.
  struct VectorPart {
    int64_t size = 0;
    int64_t first = 0;
    int64_t count = 0;
    float offset = 0;
  };
  Result<std::span<const float>> AddVector(const TensorView& tensor, const VectorPart& part);
  // What was added since the last call is needed together.
  void EndStage();

  // The plan is complete: looks into the cache and begins to read ahead.
  void Start(const PreparedCacheOptions& cache);
  int64_t num_stages() const { return static_cast<int64_t>(stages_.size()); }
  // Any thread.
  int64_t num_loaded() const { return num_loaded_.load(std::memory_order_acquire); }
  bool is_complete() const { return num_loaded() == num_stages(); }
  // Fills the next stage; the pool's members share the work. One caller at a time.
  void LoadNext(ThreadPool& pool);

  // Of the memory that holds the weights, known as soon as they are planned.
  int64_t num_bytes() const { return arena_.used_bytes(); }
  // Whether Start found the weights prepared.
  bool is_prepared() const { return is_prepared_; }
  // Waits for the writing into the cache, where there is any. Errors: as PreparedCache::Store.
  Status WaitForCache();

 private:
  struct Item {
    TensorView tensor;
    PackedMatrix matrix;  // no rows: a vector
    float* vector = nullptr;
    VectorPart part;
  };
  struct Stage {
    size_t begin = 0;  // of items_
    size_t end = 0;
    int64_t file_bytes_end = 0;  // of all stages up to this one
  };

  WeightLoader(const TensorSource& source, WeightArena arena, const WeightPacking& packing)
      : source_(source), arena_(std::move(arena)), packing_(packing) {}
  void FillStage(const Stage& stage, ThreadPool& pool);
  static void FillVector(const TensorView& tensor, const VectorPart& part, float* values);
  PreparedKey Key() const;

  const TensorSource& source_;
  WeightArena arena_;
  const WeightPacking packing_;
  std::vector<Item> items_;
  std::vector<Stage> stages_;
  std::atomic<int64_t> num_loaded_{0};
  bool is_prepared_ = false;
  PreparedCacheOptions cache_;  // to write into; no folder: nowhere
  PreparedKey key_;             // of the image there
  std::unique_ptr<ReadAhead> read_ahead_;
  std::unique_ptr<PreparedWriter> writer_;
};

}  // namespace autoglm
