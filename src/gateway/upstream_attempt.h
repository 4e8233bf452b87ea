#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "gateway/gateway_loop.h"
#include "gateway/route.h"
#include "http/client.h"
#include "routing/upstream_pool.h"

namespace autoglm::gateway {

// How an attempt failed, for the decision what to do about it and for people.
struct AttemptFailure {
  routing::Outcome outcome = routing::Outcome::kFailed;
  std::string reason;  // a label: "connect", "status_503", ...
  std::string message;
  bool was_sent = true;
  bool has_died = false;   // nobody listens, or the connection broke: the upstream does no more work for this
  bool was_stale = false;  // a kept connection that was closed meanwhile: it tells nothing about the upstream
  Duration retry_after = Duration::zero();
  // Of an upstream that answered, however bad: what the client gets if nothing better comes.
  std::optional<http::ResponseHead> head;
  std::string body;
};

class UpstreamAttempt;

// What hears of an attempt, on the loop. It may destroy the attempt from any of these.
class AttemptOwner {
 public:
  virtual ~AttemptOwner() = default;
  // The first byte of an answer's body has come, or a complete one without a body. False: it comes too late, it is given up.
  virtual bool OnFirstByte(UpstreamAttempt& attempt) = 0;
  virtual void OnStream(UpstreamAttempt& attempt, std::string_view bytes) = 0;
  virtual void OnStreamEnd(UpstreamAttempt& attempt) = 0;
  virtual void OnWholeAnswer(UpstreamAttempt& attempt) = 0;
  virtual void OnFailed(UpstreamAttempt& attempt, AttemptFailure failure) = 0;
};

// A request at one upstream, from choosing it to the end of its answer. Small answers are kept until they are complete, so that
// one that breaks off can be asked for again; streams and large ones pass through.
class UpstreamAttempt final : public http::ResponseReceiver {
 public:
  enum class Answers { kStreamed, kWhole };  // what was asked for

  UpstreamAttempt(AttemptOwner& owner, std::shared_ptr<Route> route, std::shared_ptr<const Upstream> upstream,
                  routing::Attempt routed);
  // One that has not ended is abandoned.
  ~UpstreamAttempt() override;

  void Send(GatewayLoop& loop, http::ClientRequest request, Answers answers, std::string_view path);

  const Upstream& upstream() const { return *upstream_; }
  const http::ResponseHead& head() const { return head_; }
  http::ResponseHead TakeHead() { return std::move(head_); }
  std::string TakeBody() { return std::move(body_); }
  bool has_first_byte() const { return has_first_byte_; }
  TimePoint sent_at() const { return sent_at_; }
  http::ClientCall& call() { return *call_; }

  // Which of the request's attempts it is, from 0.
  size_t number() const { return number_; }
  void SetNumber(size_t number) { number_ = number; }
  http::CallTimes times() const { return call_ != nullptr ? call_->times() : http::CallTimes{}; }

  // A retry has a place in the budget, which is given back with the attempt.
  void MarkAsRetry() { is_retry_ = true; }
  // Ended as the answer's receiver says; once, later calls do nothing.
  void Finish(routing::Outcome outcome, Duration retry_after = Duration::zero());

 private:
  void OnHead(http::ResponseHead head) override;
  void OnBody(std::string_view bytes) override;
  void OnEnd() override;
  void OnFailure(const http::ClientError& error) override;

  bool IsRetryStatus() const;
  void FailWithAnswer();

  AttemptOwner& owner_;
  const std::shared_ptr<Route> route_;
  const std::shared_ptr<const Upstream> upstream_;
  std::optional<routing::Attempt> routed_;  // nullopt: ended
  std::unique_ptr<http::ClientCall> call_;
  Answers answers_ = Answers::kWhole;
  bool is_retry_ = false;
  size_t number_ = 0;
  bool has_first_byte_ = false;
  bool passes_through_ = false;
  bool is_completion_ = false;
  TimePoint sent_at_{};
  http::ResponseHead head_;
  std::string body_;
};

}  // namespace autoglm::gateway
