#include "models/kv_pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace autoglm {

Result<KvPool> KvPool::Create(const KvLayout& layout, int64_t num_blocks) {
  const int64_t bytes = layout.block_bytes() * num_blocks;
  // Not reserved: pages come, zeroed, when a block is first written.
  void* base =
      mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    return Fail(ErrorCode::kIo,
                "cannot reserve " + std::to_string(bytes >> 20) + " MiB for the KV cache: " + std::strerror(errno));
  }
  return KvPool(layout, num_blocks, static_cast<std::byte*>(base));
}

KvPool::KvPool(KvPool&& other) noexcept
    : layout_(other.layout_), num_blocks_(other.num_blocks_), base_(std::exchange(other.base_, nullptr)) {}

void KvPool::DropBlock(int64_t block) {
  const int64_t page_bytes = sysconf(_SC_PAGESIZE);
  const int64_t begin = (block * layout_.block_bytes() + page_bytes - 1) / page_bytes * page_bytes;
  const int64_t end = (block + 1) * layout_.block_bytes() / page_bytes * page_bytes;
  if (begin < end) (void)madvise(base_ + begin, static_cast<size_t>(end - begin), MADV_DONTNEED);
}

KvPool::~KvPool() {
  if (base_ != nullptr) munmap(base_, static_cast<size_t>(layout_.block_bytes() * num_blocks_));
}

}  // namespace autoglm
