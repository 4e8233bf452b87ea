#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/thread_pool.h"
#include "weights/packed_matrix.h"

namespace autoglm {

// How the units of a matrix (panels, or several of them) are shared out by rows: most of them in one run for each member, which
// it reads as one stream and knows beforehand, and the rest in claims, which even out what one does slower than another.
class RowShare {
 public:
  RowShare(int64_t num_units, int num_members, int64_t units_per_claim)
      : num_units_(num_units),
        units_per_claim_(units_per_claim),
        own_units_(num_units * 7 / 8 / num_members),
        first_claimed_(own_units_ * num_members) {}

  int64_t own_begin(int member) const { return member * own_units_; }
  int64_t own_units() const { return own_units_; }

  // Calls body(first unit, end) for this member's run and for what it claims, and next(first unit) of a claim when the work
  // before it begins.
  template <typename Body, typename Next>
  void ForEachRun(int member, ItemClaims& claims, const Body& body, const Next& next) const {
    const int64_t num_claims = (num_units_ - first_claimed_ + units_per_claim_ - 1) / units_per_claim_;
    int64_t begin = own_begin(member);
    int64_t end = begin + own_units_;
    while (true) {
      const int64_t claim = claims.Next(num_claims);
      const int64_t claimed = first_claimed_ + claim * units_per_claim_;
      if (claim != ItemClaims::kNone) next(claimed);
      if (begin < end) body(begin, end);
      if (claim == ItemClaims::kNone) break;
      begin = claimed;
      end = std::min(begin + units_per_claim_, num_units_);
    }
  }

 private:
  int64_t num_units_;
  int64_t units_per_claim_;
  int64_t own_units_;  // of each member
  int64_t first_claimed_;
};

inline constexpr size_t kCacheLineBytes = 64;

// Asks for the first lines of a panel: from there on, products ask for what is next themselves.
inline void AskForPanel(const PackedMatrix& matrix, int64_t panel) {
  constexpr size_t kBytes = 4096;
  const std::byte* lines = matrix.view().data + panel * matrix.view().panel_bytes;
  for (size_t at = 0; at < kBytes; at += kCacheLineBytes) __builtin_prefetch(lines + at, 0, 2);
}

// Weights that a member will read next, asked for while it waits for others: they come from memory into its second-level cache.
class WeightsAhead {
 public:
  // Where the reading of up to two matrices will begin.
  void Expect(std::initializer_list<std::span<const std::byte>> streams) {
    at_ = 0;
    first_ = second_ = {};
    if (streams.size() > 0) first_ = Beginning(streams.begin()[0]);
    if (streams.size() > 1) second_ = Beginning(streams.begin()[1]);
  }
  // Asks for a few lines; false when there is nothing more to ask for.
  bool Ask() {
    for (const size_t end = at_ + kLinesAtOnce * kCacheLineBytes; at_ < end; at_ += kCacheLineBytes) {
      if (at_ < first_.size()) __builtin_prefetch(first_.data() + at_, 0, 2);
      if (at_ < second_.size()) __builtin_prefetch(second_.data() + at_, 0, 2);
    }
    return at_ < first_.size();
  }

 private:
  static constexpr size_t kLinesAtOnce = 8;
  static constexpr size_t kMostBytes = 64 << 10;  // of a stream

  static std::span<const std::byte> Beginning(std::span<const std::byte> stream) {
    return stream.first(std::min(stream.size(), kMostBytes));
  }

  std::span<const std::byte> first_, second_;
  size_t at_ = 0;
};

}  // namespace autoglm
