#include "resilience/retry_policy.h"

#include <algorithm>

namespace autoglm::resilience {
namespace {

using routing::Outcome;

bool IsRetryable(const FailedAttempt& failed) {
  switch (failed.outcome) {
    case Outcome::kAnswered:
    case Outcome::kAbandoned:
      return false;
    case Outcome::kOverloaded:
      return true;  // it was refused: nothing was done
    case Outcome::kFailed:
    case Outcome::kUnreachable:
      return failed.is_repeatable || !failed.was_sent;
  }
  return false;
}

Duration BackOff(int num_attempts, const RetryOptions& options, Random& random) {
  constexpr int kMaxDoublings = 20;
  const Duration doubled = options.first_delay * (int64_t{1} << std::clamp(num_attempts - 1, 0, kMaxDoublings));
  const double seconds = Seconds(std::min(doubled, options.max_delay));
  return DurationFromSeconds(seconds * (1 - options.jitter * random.NextDouble()));
}

}  // namespace

std::string_view GiveUpName(GiveUp why) {
  switch (why) {
    case GiveUp::kNotRetryable:
      return "not retryable";
    case GiveUp::kAnswerBegun:
      return "answer begun";
    case GiveUp::kAttemptsUsed:
      return "attempts used";
    case GiveUp::kNoTimeLeft:
      return "no time left";
    case GiveUp::kAskedToWaitTooLong:
      return "asked to wait too long";
  }
  return "unknown";
}

RetryDecision DecideRetry(const FailedAttempt& failed, const RetryOptions& options, Random& random) {
  if (failed.is_answer_begun) return {.why = GiveUp::kAnswerBegun};
  if (!IsRetryable(failed)) return {.why = GiveUp::kNotRetryable};
  if (failed.num_attempts >= options.max_attempts) return {.why = GiveUp::kAttemptsUsed};
  Duration delay = Duration::zero();
  if (!failed.has_others) {
    if (failed.retry_after > options.max_retry_after) return {.why = GiveUp::kAskedToWaitTooLong};
    delay = std::max(failed.retry_after, BackOff(failed.num_attempts, options, random));
  }
  if (failed.time_left && delay >= *failed.time_left) return {.why = GiveUp::kNoTimeLeft};
  return {.delay = delay};
}

}  // namespace autoglm::resilience
