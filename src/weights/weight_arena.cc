#include "weights/weight_arena.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.h"

namespace autoglm {
namespace {

constexpr int64_t kHugePageBytes = 2 << 20;

}  // namespace

Result<WeightArena> WeightArena::Reserve(int64_t capacity_bytes) {
  const int64_t capacity = (capacity_bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  void* base =
      mmap(nullptr, static_cast<size_t>(capacity), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    return Fail(ErrorCode::kIo, "cannot reserve " + std::to_string(capacity >> 20) + " MiB for weights: " + std::strerror(errno));
  }
  // A hint: without huge pages everything works, slower.
  madvise(base, static_cast<size_t>(capacity), MADV_HUGEPAGE);
  WeightArena arena;
  arena.base_ = static_cast<std::byte*>(base);
  arena.capacity_ = capacity;
  return arena;
}

WeightArena::WeightArena(WeightArena&& other) noexcept { *this = std::move(other); }

WeightArena& WeightArena::operator=(WeightArena&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(capacity_, other.capacity_);
  std::swap(used_, other.used_);
  return *this;
}

WeightArena::~WeightArena() {
  if (base_ != nullptr) munmap(base_, static_cast<size_t>(capacity_));
}

std::byte* WeightArena::Allocate(int64_t bytes) {
  const int64_t rounded = (bytes + 63) / 64 * 64;
  AUTOGLM_CHECK(rounded <= capacity_ - used_);
  std::byte* memory = base_ + used_;
  used_ += rounded;
  return memory;
}

}  // namespace autoglm
