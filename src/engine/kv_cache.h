#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "kvcache/block_manager.h"
#include "models/kv_pool.h"

namespace autoglm {

// The keys and values of one model, and what is known of them: the memory of the blocks and who owns which. It outlives the
// engine that used it where the model shall come back with its prefixes.
class KvCache {
 public:
  // Errors: as KvPool::Create.
  static Result<std::unique_ptr<KvCache>> Create(const KvLayout& layout, int64_t num_blocks);
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  KvPool& pool() { return pool_; }
  BlockManager& blocks() { return blocks_; }
  // What it holds when nobody uses it: the cached prefixes.
  int64_t cached_bytes() const { return blocks_.stats().num_cached * pool_.layout().block_bytes(); }
  // Gives the memory of blocks that hold nothing back to the system. Only while no engine uses the cache.
  void ReleaseFreeMemory();

 private:
  KvCache(KvPool pool, int64_t num_blocks);

  KvPool pool_;
  BlockManager blocks_;
};

}  // namespace autoglm
