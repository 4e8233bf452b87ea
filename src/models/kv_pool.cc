#include "models/kv_pool.h"

#include <sys/mman.h>

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

KvPool::~KvPool() {
  if (base_ != nullptr) munmap(base_, static_cast<size_t>(layout_.block_bytes() * num_blocks_));
}

}  // namespace autoglm
