#pragma once

#include <cstdint>

namespace autoglm {

// Counts what this thread allocates with new between construction and now. A test binary that uses it also compiles
// tests/support/allocation_counter.cc, which replaces the global operator new.
class AllocationCounter {
 public:
  AllocationCounter();

  int64_t num_allocations() const;
  int64_t num_bytes() const;  // of all allocations, freed or not

 private:
  const int64_t start_allocations_;
  const int64_t start_bytes_;
};

}  // namespace autoglm
