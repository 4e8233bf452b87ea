#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"
#include "routing/upstream.h"

namespace autoglm::resilience {

struct RetryOptions {
  int max_attempts = 3;  // the first one included
  // Between attempts at one upstream: doubled each time, and spread by chance, or those that failed together come back together.
  Duration first_delay = std::chrono::milliseconds(50);
  Duration max_delay = std::chrono::seconds(5);
  double jitter = 0.5;  // of a delay, that is left to chance
  // What an upstream asks for is waited for up to here; beyond it the client is told.
  Duration max_retry_after = std::chrono::seconds(10);

  bool operator==(const RetryOptions&) const = default;
};

// An attempt that failed, and what there is to go on with.
struct FailedAttempt {
  routing::Outcome outcome = routing::Outcome::kFailed;
  int num_attempts = 1;  // so far
  Duration retry_after = Duration::zero();
  bool was_sent = true;               // the upstream may have begun with it; else it was never connected
  bool is_repeatable = true;          // twice does no more than once, as with all that only generates
  bool is_answer_begun = false;       // the client has bytes of an answer already
  bool has_others = false;            // upstreams that were not tried
  std::optional<Duration> time_left;  // until the request's deadline
};

// Why there is no other attempt.
enum class GiveUp { kNotRetryable, kAnswerBegun, kAttemptsUsed, kNoTimeLeft, kAskedToWaitTooLong };
std::string_view GiveUpName(GiveUp why);

// Whether, and after what delay, a request is tried again. The budget is for the caller to ask.
struct RetryDecision {
  std::optional<Duration> delay;  // zero: at once; nullopt: not at all
  GiveUp why = GiveUp::kNotRetryable;
};

// An upstream that was not tried is asked at once: it has done nothing to be waited for. Otherwise what the upstream asked for
// counts, or the back-off.
RetryDecision DecideRetry(const FailedAttempt& failed, const RetryOptions& options, Random& random);

}  // namespace autoglm::resilience
