#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "gateway/admitted_request.h"
#include "gateway/attempt_trail.h"
#include "gateway/client_answer.h"
#include "gateway/fault_plan.h"
#include "gateway/gateway_loop.h"
#include "gateway/gateway_state.h"
#include "gateway/route.h"
#include "gateway/stream_relay.h"
#include "gateway/upstream_attempt.h"
#include "http/server.h"

namespace autoglm::gateway {

// A request on its way through the gateway: to an upstream and perhaps a second beside it, to others where one fails, and back to
// the client. Keeps itself alive until the answer is over or the client has gone. On one loop's thread.
class ProxiedRequest final : public AttemptOwner, public std::enable_shared_from_this<ProxiedRequest> {
 public:
  static void Begin(GatewayLoop& loop, std::shared_ptr<const GatewayState> state, std::shared_ptr<Route> route,
                    AdmittedRequest admitted);
  ~ProxiedRequest() override;

 private:
  ProxiedRequest(GatewayLoop& loop, std::shared_ptr<const GatewayState> state, std::shared_ptr<Route> route,
                 AdmittedRequest admitted);

  void Run();
  void EnterRoute(std::shared_ptr<Route> route);
  void LeaveRoute();

  // Choosing an upstream.
  void Dispatch();
  bool NeedsTokens() const;
  bool Tokenise();
  Result<routing::Attempt> Choose();
  void OnNobody(Error error);
  void WaitInLine(const Error& error);
  bool FallBack();
  enum class Budget { kNone, kRetry };  // whether it has a place in that of retries
  void StartAttempt(routing::Attempt routed, AttemptKind kind, Budget budget = Budget::kNone);
  http::ClientRequest UpstreamRequest(const UpstreamAttempt& attempt);
  bool AsksToKeepTrace() const;
  std::shared_ptr<const std::string> UpstreamBody(const Upstream& upstream);
  void ArmHedge();
  void Hedge();
  void SendMirrors();

  // Of attempts.
  bool OnFirstByte(UpstreamAttempt& attempt) override;
  void OnStream(UpstreamAttempt& attempt, std::string_view bytes) override;
  void OnStreamEnd(UpstreamAttempt& attempt) override;
  void OnWholeAnswer(UpstreamAttempt& attempt) override;
  void OnFailed(UpstreamAttempt& attempt, AttemptFailure failure) override;
  std::unique_ptr<UpstreamAttempt> TakeOut(UpstreamAttempt& attempt);
  void Retry(const AttemptFailure& failure);
  void GiveUp(const AttemptFailure& failure);

  // A stream that broke off.
  void GoOnWithout(const AttemptFailure& failure);
  bool ContinueElsewhere(const AttemptFailure& failure);
  bool DoesNoMoreWork(const AttemptFailure& failure) const;

  // The answer.
  void StartStream(UpstreamAttempt& attempt);
  void WriteStream(std::string events, int64_t num_events);
  void SlowDown(UpstreamAttempt& attempt);
  void Answer(http::Response response);
  void AnswerError(int status, std::string_view type, std::string_view code, std::string_view message, Duration retry_after);
  void AddOwnHeaders(http::Response& response, const Upstream* upstream) const;
  void OnClientGone();
  void Finish();
  void Settle();
  void Audit() const;
  void FillRecord() const;

  bool IsRepeatable() const;
  std::optional<Duration> TimeLeft() const;

  GatewayLoop& loop_;
  const std::shared_ptr<const GatewayState> state_;
  std::shared_ptr<Route> route_;
  AdmittedRequest admitted_;
  FaultPlan faults_;
  ClientAnswer answer_;
  std::shared_ptr<ProxiedRequest> keep_alive_;

  std::vector<uint64_t> prefix_;
  std::vector<TokenId> tokens_;                             // of the prompt; empty: not known
  std::shared_ptr<const PromptModel> tokenised_for_;        // whose tokens these are
  std::vector<std::unique_ptr<UpstreamAttempt>> attempts_;  // at work: one, or two where it is hedged
  std::vector<std::string> tried_;                          // upstreams that failed
  std::vector<std::string> routes_tried_;
  int num_attempts_ = 0;
  int num_stale_ = 0;
  bool is_next_retry_ = false;  // the attempt that a timer begins has its place in the budget
  bool is_hedge_asked_ = false;
  UpstreamAttempt* hedge_ = nullptr;
  UpstreamAttempt* winner_ = nullptr;  // whose answer it is
  std::string answered_by_;
  http::EventLoop::Timer hedge_timer_;
  http::EventLoop::Timer wait_timer_;   // before a retry, or at the end of waiting in line
  http::EventLoop::Timer drain_timer_;  // while the client is slower than the upstream

  uint64_t turn_ = 0;
  std::unique_ptr<WaitingLine::Place> place_;
  TimePoint waiting_since_{};

  std::optional<StreamRelay> relay_;
  bool is_continuing_ = false;
  int status_ = 0;  // that the client was told
  std::string refusal_;
  std::optional<TokenUsage> usage_;
  std::vector<std::string> degraded_;
  std::optional<int64_t> capped_tokens_;
};

}  // namespace autoglm::gateway
