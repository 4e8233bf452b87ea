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
  // One huge page more than asked for, of which what lies before and after the aligned part goes back.
  const int64_t reserved = capacity + kHugePageBytes;
  void* address =
      mmap(nullptr, static_cast<size_t>(reserved), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) {
    return Fail(ErrorCode::kIo, "cannot reserve " + std::to_string(capacity >> 20) + " MiB for weights: " + std::strerror(errno));
  }
  auto* reservation = static_cast<std::byte*>(address);
  const auto misaligned = static_cast<int64_t>(reinterpret_cast<uintptr_t>(address) % kHugePageBytes);
  const int64_t before = misaligned == 0 ? 0 : kHugePageBytes - misaligned;
  if (before > 0) AUTOGLM_CHECK(munmap(reservation, static_cast<size_t>(before)) == 0);
  AUTOGLM_CHECK(munmap(reservation + before + capacity, static_cast<size_t>(kHugePageBytes - before)) == 0);

  WeightArena arena;
  arena.base_ = reservation + before;
  arena.capacity_ = capacity;
  // A hint: without huge pages everything works, slower.
  (void)madvise(arena.base_, static_cast<size_t>(capacity), MADV_HUGEPAGE);
  return arena;
}

Status WeightArena::MapFile(int fd, int64_t offset) {
  if (used_ == 0) return {};
  const auto num_bytes = static_cast<size_t>(used_);
  if (mmap(base_, num_bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, offset) == MAP_FAILED) {
    return Fail(ErrorCode::kIo, std::string("cannot map prepared weights: ") + std::strerror(errno));
  }
  (void)madvise(base_, num_bytes, MADV_HUGEPAGE);
  return {};
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
