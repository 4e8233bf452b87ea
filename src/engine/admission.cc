#include "engine/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace autoglm {
namespace {

constexpr size_t kMaxPromises = 16'384;
// Clocks of clients are not ours: who comes this much too early is on time.
constexpr double kEarlySeconds = 0.5;
// How long after its moment a promise is kept, at least, and as a share of the time that was waited.
constexpr double kLeastGraceSeconds = 5;
constexpr double kGraceShare = 0.2;
// Of the backlog that it may be: predictions err, and a promise is kept nevertheless.
constexpr double kMostForPromised = 1.5;
// With less than this inside, the engine would soon have nothing to do while it waits for those who were promised room: others
// may go ahead of them.
constexpr double kRunsDrySeconds = 2;
// An engine with more to do than it can always stands at the edge of what it lets in, so that half of the answers would be late
// whenever predictions err: they are to be there in this part of the timeout.
constexpr double kTimely = 0.6;
constexpr double kTimelyIfPromised = 0.8;
// Until answers have ended, so many tokens are expected of one.
constexpr int64_t kUnknownAnswerTokens = 128;

int64_t WholeSeconds(double seconds) {
  return std::max<int64_t>(1, static_cast<int64_t>(std::ceil(std::min(seconds, 86'400.0))));
}

}  // namespace

int64_t Admission::ExpectedAnswerTokens() const {
  return load_.mean_answer_tokens > 0 ? std::llround(load_.mean_answer_tokens) : kUnknownAnswerTokens;
}

int64_t Admission::ExpectedAnswerTokens(const AdmissionAsk& ask) const {
  return std::min(ask.max_answer_tokens, ExpectedAnswerTokens() * ask.num_requests);
}

double Admission::WorkSeconds(int64_t num_prompt_tokens, int64_t num_answer_tokens) const {
  return load_.slowdown * load_.prompt_cost.Seconds(0, num_prompt_tokens) +
         static_cast<double>(num_answer_tokens) * load_.seconds_per_answer_token;
}

// As much of it as counts against the bound.
Admission::Work Admission::WorkOf(const AdmissionAsk& ask) const {
  double seconds = WorkSeconds(ask.num_prompt_tokens, ExpectedAnswerTokens(ask));
  if (limits_.max_backlog_seconds > 0) seconds = std::min(seconds, limits_.max_backlog_seconds / 2);
  return {.num_requests = ask.num_requests, .num_prompt_tokens = ask.num_prompt_tokens, .seconds = seconds};
}

// Of one that began at once.
double Admission::OwnSeconds(const AdmissionAsk& ask) const {
  const double answer = static_cast<double>(ExpectedAnswerTokens(ask)) / static_cast<double>(ask.num_requests);
  return WorkSeconds(ask.num_prompt_tokens, 0) / load_.prompt_share + answer * load_.seconds_per_step;
}

// How long it must wait at the door so that its answer is there in the `timely` part of its timeout: prompts of those inside and
// `promised` come before its own, and it needs a place among those that run.
double Admission::SecondsTooLate(const AdmissionAsk& ask, const Work& promised, double timely) const {
  if (!ask.timeout || ask.is_urgent || num_inside_ == 0) return 0;
  const int64_t num_ahead = num_inside_ + promised.num_requests;
  const double num_before = std::max(0.0, static_cast<double>(num_ahead + 1 - limits_.max_running));
  const double for_place = (InsideSeconds() + promised.seconds) * num_before / static_cast<double>(num_ahead);
  const double prompts_ahead =
      load_.prompt_backlog_seconds + WorkSeconds(arriving_prompt_tokens_ + promised.num_prompt_tokens, 0);
  const double before = std::max(for_place, prompts_ahead / load_.prompt_share);
  return std::max(0.0, before + OwnSeconds(ask) - timely * Seconds(*ask.timeout));
}

// Until there is room for it behind all that are inside and `promised`.
double Admission::SecondsToRoom(const Work& work, const Work& promised, double max_backlog_seconds) const {
  const int64_t num_before = num_inside_ + promised.num_requests;
  const double inside_seconds = InsideSeconds();
  double wait = 0;
  if (max_backlog_seconds > 0 && num_before > 0) wait = inside_seconds + promised.seconds + work.seconds - max_backlog_seconds;
  const int64_t num_beyond = num_before + work.num_requests - limits_.max_requests;
  if (num_beyond > 0) {
    const double interval = num_inside_ > 0 ? inside_seconds / static_cast<double>(num_inside_) : 0;
    wait = std::max({wait, interval * static_cast<double>(num_beyond), 1e-3});
  }
  return std::max(wait, 0.0);
}

tl::expected<void, Refusal> Admission::Admit(const AdmissionAsk& ask) {
  const std::lock_guard lock(mutex_);
  if (ask.num_requests > limits_.max_requests) {
    return tl::unexpected(Refusal{{.code = ErrorCode::kInvalidArgument,
                                   .message = fmt::format("{} answers are asked for at once; this server computes at most {}.",
                                                          ask.num_requests, limits_.max_requests),
                                   .param = "n"}});
  }
  const TimePoint now = clock_.Now();
  ForgetOldPromises(now);
  if (ask.timeout && OwnSeconds(ask) > Seconds(*ask.timeout)) {
    return tl::unexpected(
        Refusal{{.code = ErrorCode::kUnavailable,
                 .message = fmt::format("The answer alone would take about {:.1f} s, and the request allows {:.1f} s.",
                                        OwnSeconds(ask), Seconds(*ask.timeout))},
                WholeSeconds(load_.backlog_seconds)});
  }
  const Work work = WorkOf(ask);
  const auto promise = promises_.find(ask.fingerprint);
  const bool is_promised = ask.fingerprint != 0 && promise != promises_.end();
  if (is_promised) {
    const double early = Seconds(promise->second.from - now);
    if (early > kEarlySeconds) {
      return tl::unexpected(Refusal{{.code = ErrorCode::kResourceExhausted,
                                     .message = "There is no room for this request yet; Retry-After says when there is."},
                                    WholeSeconds(early)});
    }
    Forget(ask.fingerprint);
  }
  // Who was promised room does not stand behind other promises, and is let in a little further.
  const bool runs_dry = InsideSeconds() + work.seconds < std::min(kRunsDrySeconds, limits_.max_backlog_seconds / 4);
  Work before = is_promised ? Work() : promised_;
  if (runs_dry) before = {.num_requests = before.num_requests};  // their places stay theirs
  const double late = SecondsTooLate(ask, before, is_promised ? kTimelyIfPromised : kTimely);
  const double max_backlog = limits_.max_backlog_seconds * (is_promised ? kMostForPromised : 1);
  const double seconds = std::max(late, SecondsToRoom(work, before, max_backlog));
  if (seconds > 0) {
    Refusal refusal = RefuseUntilRoom(ask.fingerprint, work, seconds, now);
    if (seconds == late) refusal.error.code = ErrorCode::kUnavailable;
    return tl::unexpected(std::move(refusal));
  }
  Take(ask);
  return {};
}

void Admission::Take(const AdmissionAsk& ask) {
  num_inside_ += ask.num_requests;
  num_arriving_ += ask.num_requests;
  arriving_prompt_tokens_ += ask.num_prompt_tokens;
}

double Admission::InsideSeconds() const {
  return load_.backlog_seconds + WorkSeconds(arriving_prompt_tokens_, num_arriving_ * ExpectedAnswerTokens());
}

Refusal Admission::RefuseUntilRoom(uint64_t fingerprint, const Work& work, double seconds, TimePoint now) {
  const int64_t whole = WholeSeconds(seconds);
  if (fingerprint != 0 && promises_.size() < kMaxPromises) {
    const auto wait = static_cast<double>(whole);
    const Promise promise{.from = now + DurationFromSeconds(wait),
                          .until = now + DurationFromSeconds(wait + std::max(kLeastGraceSeconds, kGraceShare * wait)),
                          .work = work};
    promises_.emplace(fingerprint, promise);
    ends_.emplace(promise.until, fingerprint);
    promised_.num_requests += work.num_requests;
    promised_.num_prompt_tokens += work.num_prompt_tokens;
    promised_.seconds += work.seconds;
  }
  return {{.code = ErrorCode::kResourceExhausted,
           .message = fmt::format("{} requests are being served or wait, {:.0f} s of work; try again in {} s.", num_inside_,
                                  load_.backlog_seconds, whole)},
          whole};
}

void Admission::ForgetOldPromises(TimePoint now) {
  while (!ends_.empty() && ends_.begin()->first < now) Forget(ends_.begin()->second);
}

void Admission::Forget(uint64_t fingerprint) {
  const auto found = promises_.find(fingerprint);
  AUTOGLM_CHECK(found != promises_.end());
  const Promise& promise = found->second;
  promised_.num_requests -= promise.work.num_requests;
  promised_.num_prompt_tokens -= promise.work.num_prompt_tokens;
  promised_.seconds = promises_.size() == 1 ? 0 : promised_.seconds - promise.work.seconds;
  const auto [begin, end] = ends_.equal_range(promise.until);
  ends_.erase(std::find_if(begin, end, [&](const auto& entry) { return entry.second == fingerprint; }));
  promises_.erase(found);
}

void Admission::Entered(int64_t num_prompt_tokens) {
  const std::lock_guard lock(mutex_);
  --num_arriving_;
  arriving_prompt_tokens_ -= num_prompt_tokens;
  AUTOGLM_CHECK(num_arriving_ >= 0 && arriving_prompt_tokens_ >= 0);
}

void Admission::Leave() {
  const std::lock_guard lock(mutex_);
  AUTOGLM_CHECK(num_inside_ > 0);
  --num_inside_;
}

void Admission::Update(const LoadEstimate& load) {
  const std::lock_guard lock(mutex_);
  load_ = load;
}

int64_t Admission::num_inside() const {
  const std::lock_guard lock(mutex_);
  return num_inside_;
}

int64_t Admission::num_promised() const {
  const std::lock_guard lock(mutex_);
  return promised_.num_requests;
}

double Admission::Pressure() const {
  const std::lock_guard lock(mutex_);
  const double by_count = static_cast<double>(num_inside_) / static_cast<double>(limits_.max_requests);
  if (limits_.max_backlog_seconds <= 0) return by_count;
  return std::max(by_count, InsideSeconds() / limits_.max_backlog_seconds);
}

}  // namespace autoglm
