#include "scheduler/sequence_times.h"

#include <algorithm>

namespace autoglm {
namespace {

// Steps of decoding are shown as one, with the gaps between them.
SequencePhase ShownAs(SequencePhase phase) { return phase == SequencePhase::kDecodeStall ? SequencePhase::kDecode : phase; }

}  // namespace

void SequenceTimes::Enqueued(TimePoint arrived, TimePoint restored) {
  enqueued = arrived;
  since_ = arrived;
  Pass(SequencePhase::kKvRestore, restored);
  phase_ = SequencePhase::kQueue;
}

void SequenceTimes::Scheduled(TimePoint now) {
  Pass(phase_, now);
  if (first_scheduled == TimePoint{}) first_scheduled = since_;
  phase_ = SequencePhase::kPrefillStall;
}

void SequenceTimes::Preempted(TimePoint now) {
  Pass(phase_, now);
  ++num_preemptions;
  phase_ = SequencePhase::kPreempted;
}

void SequenceTimes::Stepped(const Step& step, bool samples) {
  const bool is_prefill = phase_ == SequencePhase::kPrefillStall;
  Pass(phase_, step.begin);
  Pass(is_prefill ? SequencePhase::kPrefill : SequencePhase::kDecode, step.end, step.num_tokens, step.batch);
  if (samples) phase_ = SequencePhase::kDecodeStall;
  ++num_steps;
  num_prefill_steps += is_prefill ? 1 : 0;
  largest_batch = std::max(largest_batch, step.batch);
  sum_of_batches += step.batch;
  cpu += step.cpu;
  run_queue += step.run_queue;
}

void SequenceTimes::Ended(TimePoint now) {
  if (ended != TimePoint{}) return;
  Pass(phase_, now);
  ended = since_;
}

void SequenceTimes::Pass(SequencePhase phase, TimePoint now, int64_t num_tokens, int64_t batch) {
  if (now <= since_) now = since_;
  phases[static_cast<size_t>(phase)] += now - since_;
  const SequenceSpan span{.phase = ShownAs(phase), .begin = since_, .end = now, .num_tokens = num_tokens, .batch = batch};
  since_ = now;
  SequenceSpan* last = num_spans > 0 ? &spans[num_spans - 1] : nullptr;
  const bool is_same = last != nullptr && last->phase == span.phase && span.phase == SequencePhase::kDecode;
  if (!is_same && num_spans < kMaxSpans) {
    if (span.end > span.begin || num_tokens > 0) spans[num_spans++] = span;
    return;
  }
  last->end = span.end;
  last->num_tokens += num_tokens;
  last->batch = std::max(last->batch, batch);
}

}  // namespace autoglm
