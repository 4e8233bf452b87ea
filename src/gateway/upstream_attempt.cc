#include "gateway/upstream_attempt.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace autoglm::gateway {
namespace {

using http::ClientFailure;
using routing::Outcome;

// An answer that grows beyond this passes through, and cannot be asked for again.
constexpr size_t kMaxKeptBytes = 4 << 20;
constexpr std::chrono::hours kMaxRetryAfter{1};

Duration RetryAfterOf(const http::ResponseHead& head) {
  const auto number = [&head](std::string_view name) {
    const std::string_view text = head.Header(name);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() && value > 0 ? value : 0;
  };
  const Duration exact = std::chrono::milliseconds(std::min<int64_t>(number("retry-after-ms"), int64_t{1} << 40));
  const Duration given =
      exact > Duration::zero() ? exact : std::chrono::seconds(std::min<int64_t>(number("retry-after"), 1 << 30));
  return std::min<Duration>(given, kMaxRetryAfter);
}

Outcome OutcomeOf(const http::ResponseHead& head) {
  if (head.status == 429 || (head.status == 503 && !head.Header("retry-after").empty())) return Outcome::kOverloaded;
  return head.status >= 500 ? Outcome::kFailed : Outcome::kAnswered;
}

Outcome OutcomeOf(ClientFailure failure) {
  switch (failure) {
    case ClientFailure::kClosedIdle:
      return Outcome::kAbandoned;
    case ClientFailure::kMalformed:
    case ClientFailure::kCut:
      return Outcome::kFailed;
    default:
      return Outcome::kUnreachable;
  }
}

bool IsJson(const http::ResponseHead& head) { return head.Header("content-type").starts_with("application/json"); }

// As far as it can be told at a glance: an answer that was cut within would not end so.
bool LooksLikeJson(std::string_view body) {
  const size_t first = body.find_first_not_of(" \t\r\n");
  const size_t last = body.find_last_not_of(" \t\r\n");
  if (first == std::string_view::npos) return false;
  return (body[first] == '{' && body[last] == '}') || (body[first] == '[' && body[last] == ']');
}

}  // namespace

UpstreamAttempt::UpstreamAttempt(AttemptOwner& owner, std::shared_ptr<Route> route, std::shared_ptr<const Upstream> upstream,
                                 routing::Attempt routed)
    : owner_(owner), route_(std::move(route)), upstream_(std::move(upstream)), routed_(std::move(routed)) {}

UpstreamAttempt::~UpstreamAttempt() {
  call_.reset();
  Finish(Outcome::kAbandoned);
  if (is_retry_) route_->retry_budget().EndRetry();
}

void UpstreamAttempt::Send(GatewayLoop& loop, http::ClientRequest request, Answers answers, std::string_view path) {
  answers_ = answers;
  // What such a request brings is JSON, or the upstream is none of ours.
  is_completion_ = path.starts_with("/v1/") && (path.ends_with("/completions") || path.ends_with("/embeddings"));
  sent_at_ = Clock::Real().Now();
  call_ = loop.client.Send(upstream_->origin, std::move(request), *this);
}

void UpstreamAttempt::Finish(Outcome outcome, Duration retry_after) {
  if (!routed_) return;
  routed_->Finish(outcome, retry_after);
  routed_.reset();
  route_->line().OnRoom();
}

bool UpstreamAttempt::IsRetryStatus() const {
  return std::ranges::find(route_->config().retry_statuses, head_.status) != route_->config().retry_statuses.end();
}

void UpstreamAttempt::OnHead(http::ResponseHead head) {
  head_ = std::move(head);
  const bool is_success = head_.status >= 200 && head_.status < 300;
  passes_through_ = is_success && answers_ == Answers::kStreamed && !IsJson(head_);
}

void UpstreamAttempt::OnBody(std::string_view bytes) {
  if (!std::exchange(has_first_byte_, true) && !IsRetryStatus()) {
    routed_->OnFirstByte(Clock::Real().Now() - sent_at_);
    if (!owner_.OnFirstByte(*this)) return;
  }
  if (passes_through_) return owner_.OnStream(*this, bytes);
  body_.append(bytes);
  if (body_.size() <= kMaxKeptBytes) return;
  passes_through_ = true;
  const std::string kept = std::exchange(body_, {});
  owner_.OnStream(*this, kept);
}

void UpstreamAttempt::OnEnd() {
  if (IsRetryStatus()) return FailWithAnswer();
  if (passes_through_) return owner_.OnStreamEnd(*this);
  const bool is_success = head_.status >= 200 && head_.status < 300;
  if (is_success && (is_completion_ || IsJson(head_)) && !LooksLikeJson(body_)) {
    return owner_.OnFailed(
        *this,
        {.reason = "garbage", .message = fmt::format("{} answered something that is not JSON", upstream_->origin.authority)});
  }
  if (!std::exchange(has_first_byte_, true)) {
    routed_->OnFirstByte(Clock::Real().Now() - sent_at_);
    if (!owner_.OnFirstByte(*this)) return;
  }
  owner_.OnWholeAnswer(*this);
}

void UpstreamAttempt::FailWithAnswer() {
  AttemptFailure failure{.outcome = OutcomeOf(head_),
                         .reason = fmt::format("status_{}", head_.status),
                         .message = fmt::format("{} answered {}", upstream_->origin.authority, head_.status),
                         .retry_after = RetryAfterOf(head_)};
  failure.head = std::move(head_);
  failure.body = std::move(body_);
  owner_.OnFailed(*this, std::move(failure));
}

void UpstreamAttempt::OnFailure(const http::ClientError& error) {
  // In the midst of an error's text: the status says enough.
  if (error.failure == ClientFailure::kCut && IsRetryStatus()) return FailWithAnswer();
  owner_.OnFailed(*this, {.outcome = OutcomeOf(error.failure),
                          .reason = std::string(http::ClientFailureName(error.failure)),
                          .message = error.message,
                          .was_sent = !http::WasNeverSent(error.failure),
                          .was_stale = error.failure == ClientFailure::kClosedIdle});
}

}  // namespace autoglm::gateway
