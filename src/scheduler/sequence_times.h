#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace autoglm {

// What a sequence is doing. Between arriving and its end it is always in one of these.
enum class SequencePhase : uint8_t {
  kKvRestore,     // its prefix comes back from compressed memory or the disk
  kQueue,         // until it runs
  kPreempted,     // waiting again
  kPrefill,       // in steps, up to its next token
  kPrefillStall,  // between these
  kDecode,        // in steps that give one token or a few
  kDecodeStall,
};
inline constexpr size_t kNumSequencePhases = 7;

struct SequenceSpan {
  SequencePhase phase = SequencePhase::kQueue;
  TimePoint begin{};
  TimePoint end{};
  int64_t num_tokens = 0;  // computed in it
  int64_t batch = 0;       // sequences in the largest of its steps
};

// Stamps of a sequence's life, and how long it was in each phase: to the nanosecond from `enqueued` to `ended`. A
// default-constructed stamp means "not yet". Fixed in size; nothing in it allocates.
class SequenceTimes {
 public:
  // Beyond so many spans they are put together; the phases' times stay exact.
  static constexpr size_t kMaxSpans = 12;

  TimePoint enqueued{};
  TimePoint first_scheduled{};
  TimePoint first_token{};
  TimePoint last_token{};
  TimePoint ended{};

  std::array<Duration, kNumSequencePhases> phases{};
  std::array<SequenceSpan, kMaxSpans> spans{};
  size_t num_spans = 0;

  int64_t num_steps = 0;
  int64_t num_prefill_steps = 0;
  int64_t num_preemptions = 0;
  int64_t largest_batch = 0;
  int64_t sum_of_batches = 0;  // over its steps
  Duration cpu{};              // of the process, in its steps, by its share of their tokens
  Duration run_queue{};        // that the engine's thread waited for a processor, in its steps

  Duration Of(SequencePhase phase) const { return phases[static_cast<size_t>(phase)]; }

  // The end of the phases that are known.
  TimePoint until() const { return since_; }

  // In order of time; what goes back counts as standing still.
  void Enqueued(TimePoint arrived, TimePoint restored);  // the same where nothing had to be restored
  void Scheduled(TimePoint now);
  void Preempted(TimePoint now);
  struct Step {
    TimePoint begin{};
    TimePoint end{};
    int64_t num_tokens = 0;  // this sequence's
    int64_t batch = 0;       // sequences in it
    Duration cpu{};
    Duration run_queue{};
  };
  // One that it was part of. `samples`: it gave a token.
  void Stepped(const Step& step, bool samples);
  void Ended(TimePoint now);

 private:
  void Pass(SequencePhase phase, TimePoint now, int64_t num_tokens = 0, int64_t batch = 0);

  TimePoint since_{};
  SequencePhase phase_ = SequencePhase::kQueue;  // that it is in between steps
};

}  // namespace autoglm
