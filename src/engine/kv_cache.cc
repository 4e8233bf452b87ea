#include "engine/kv_cache.h"

#include <utility>

namespace autoglm {

Result<std::unique_ptr<KvCache>> KvCache::Create(const KvLayout& layout, int64_t num_blocks) {
  AUTOGLM_TRY(KvPool pool, KvPool::Create(layout, num_blocks));
  return std::unique_ptr<KvCache>(new KvCache(std::move(pool), num_blocks));
}

void KvCache::ReleaseFreeMemory() {
  for (int64_t block = 0; block < pool_.num_blocks(); ++block) {
    if (blocks_.IsFree(static_cast<BlockIndex>(block))) pool_.DropBlock(block);
  }
}

}  // namespace autoglm
