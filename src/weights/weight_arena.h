#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace autoglm {

// One region for all packed weights of a model, so that the kernel can back it by 2 MiB pages: a decode step walks through
// every weight, and with 4 KiB pages it would miss the TLB at each of them. Address space is reserved at once, pages come
// when written.
class WeightArena {
 public:
  // Errors: kIo where the address space cannot be reserved.
  static Result<WeightArena> Reserve(int64_t capacity_bytes);
  WeightArena() = default;
  WeightArena(WeightArena&& other) noexcept;
  WeightArena& operator=(WeightArena&& other) noexcept;
  ~WeightArena();

  // `bytes` of zeroed memory, aligned to 64, valid as long as the arena. The total must stay below the capacity.
  std::byte* Allocate(int64_t bytes);
  int64_t used_bytes() const { return used_; }
  std::span<const std::byte> used() const { return {base_, static_cast<size_t>(used_)}; }
  // Lets a file stand in the place of all that is allocated, read-only from then on. Errors: kIo; the arena is as before then.
  Status MapFile(int fd, int64_t offset);

 private:
  std::byte* base_ = nullptr;  // at a multiple of 2 MiB
  int64_t capacity_ = 0;
  int64_t used_ = 0;
};

}  // namespace autoglm
