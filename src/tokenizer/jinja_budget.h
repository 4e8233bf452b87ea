#pragma once

#include <cstdint>

#include "base/result.h"

namespace autoglm::jinja {

// Templates come with model files that nobody has checked, so each of these bounds what one may cost.
inline constexpr int64_t kSourceBytesMax = 256 << 10;  // the longest published ones have 30 KB
inline constexpr int64_t kStringBytesMax = 32 << 20;   // of one string, and of what a template prints
inline constexpr int64_t kMemoryBytesMax = 256 << 20;  // made during one rendering, also what was freed again
inline constexpr int64_t kStepsMax = 20'000'000;       // of one rendering: about a second
inline constexpr int64_t kRangeItemsMax = 100'000;     // as Jinja2's sandbox
inline constexpr int kSyntaxDepthMax = 150;            // of nested expressions and statements
inline constexpr int kCallDepthMax = 400;              // of nested evaluations, so that macros may recurse a little
inline constexpr int kValueDepthMax = 100;             // of lists within lists
inline constexpr int kIndentColumnsMax = 1000;

// What is left of the time and memory that one rendering may use.
class Budget {
 public:
  Status Spend(int64_t steps) {
    steps_left_ -= steps;
    if (steps_left_ >= 0) return {};
    steps_left_ = 0;
    return Fail(ErrorCode::kInvalidArgument, "the template takes too many steps");
  }

  // Work that touches `bytes` bytes once.
  Status SpendBytes(size_t bytes) { return Spend(1 + static_cast<int64_t>(bytes / 64)); }

  // Looking through a list of `num_entries` names.
  Status SpendSearch(size_t num_entries) { return Spend(1 + static_cast<int64_t>(num_entries / 8)); }

  Status Allocate(size_t bytes) {
    memory_left_ -= static_cast<int64_t>(bytes);
    if (memory_left_ >= 0) return {};
    memory_left_ = 0;
    return Fail(ErrorCode::kInvalidArgument, "the template uses too much memory");
  }

 private:
  int64_t steps_left_ = kStepsMax;
  int64_t memory_left_ = kMemoryBytesMax;
};

}  // namespace autoglm::jinja
