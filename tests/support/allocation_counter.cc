#include "support/allocation_counter.h"

#include <cstdlib>
#include <new>

namespace {

thread_local int64_t total_allocations = 0;
thread_local int64_t total_bytes = 0;

}  // namespace

// Every form but the aligned ones: a sanitizer's own version of a form left out would not fit the others.
void* operator new(std::size_t num_bytes, const std::nothrow_t&) noexcept {
  ++total_allocations;
  total_bytes += static_cast<int64_t>(num_bytes);
  return std::malloc(num_bytes == 0 ? 1 : num_bytes);
}
void* operator new(std::size_t num_bytes) {
  void* memory = operator new(num_bytes, std::nothrow);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new[](std::size_t num_bytes) { return operator new(num_bytes); }
void* operator new[](std::size_t num_bytes, const std::nothrow_t&) noexcept { return operator new(num_bytes, std::nothrow); }

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace autoglm {

AllocationCounter::AllocationCounter() : start_allocations_(total_allocations), start_bytes_(total_bytes) {}
int64_t AllocationCounter::num_allocations() const { return total_allocations - start_allocations_; }
int64_t AllocationCounter::num_bytes() const { return total_bytes - start_bytes_; }

}  // namespace autoglm
