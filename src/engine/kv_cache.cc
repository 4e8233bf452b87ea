#include "engine/kv_cache.h"

#include <algorithm>
#include <utility>

namespace autoglm {

Result<std::unique_ptr<KvCache>> KvCache::Create(const KvLayout& layout, int64_t num_blocks) {
  AUTOGLM_TRY(KvPool pool, KvPool::Create(layout, num_blocks));
  return std::unique_ptr<KvCache>(new KvCache(std::move(pool), num_blocks));
}

KvCache::KvCache(KvPool pool, int64_t num_blocks) : pool_(std::move(pool)), blocks_(num_blocks) {
  blocks_.SetCopy([this](BlockIndex from, BlockIndex to) { std::ranges::copy(pool_.Block(from), pool_.Block(to).begin()); });
}

void KvCache::ReleaseFreeMemory() {
  for (int64_t block = 0; block < pool_.num_blocks(); ++block) {
    if (blocks_.IsFree(static_cast<BlockIndex>(block))) pool_.DropBlock(block);
  }
}

}  // namespace autoglm
