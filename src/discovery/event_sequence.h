#pragma once

#include <cstdint>
#include <optional>

namespace autoglm::discovery {

// Whether messages that are numbered from 0 on have all come. Live ones come in order; a replay brings some of them again, in
// order, too, while live ones wait.
class EventSequence {
 public:
  enum class Verdict {
    kNext,    // to be taken: all before it were
    kSeen,    // it was taken from a replay
    kMissed,  // some before it did not come
  };

  Verdict Live(uint64_t number) {
    // Who publishes has begun anew.
    if (last_live_ && number <= *last_live_) next_.reset();
    last_live_ = number;
    return Replayed(number);
  }
  Verdict Replayed(uint64_t number) const {
    if (number == next()) return Verdict::kNext;
    return number < next() ? Verdict::kSeen : Verdict::kMissed;
  }
  // With or without those before it.
  void Take(uint64_t number) { next_ = number + 1; }
  void Reset() { *this = EventSequence(); }

  // The first that was not taken.
  uint64_t next() const { return next_.value_or(0); }
  bool is_at_beginning() const { return !next_; }

 private:
  std::optional<uint64_t> next_;
  std::optional<uint64_t> last_live_;
};

}  // namespace autoglm::discovery
