#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/admitted_request.h"
#include "gateway/gateway_loop.h"
#include "gateway/gateway_state.h"
#include "http/server.h"
#include "web/ids.h"

namespace autoglm::gateway {

// Where requests come in on one I/O thread: who sent them, whether they may, how much of it, and by which route they go on. What
// is refused is answered here, with a reason that is counted.
class Ingress {
 public:
  using StateSource = std::function<std::shared_ptr<const GatewayState>()>;

  Ingress(GatewayLoop& loop, StateSource state, const std::atomic<bool>& is_draining, uint64_t seed)
      : loop_(loop), state_(std::move(state)), is_draining_(is_draining), ids_(seed) {}

  void Handle(std::shared_ptr<const http::Request> request, std::shared_ptr<http::Exchange> exchange);

 private:
  struct Arrival;
  enum class Patience { kWaitForKeys, kNone };

  bool AnswerOwnPath(const Arrival& arrival);
  void AnswerModels(const Arrival& arrival) const;
  void Enter(std::shared_ptr<Arrival> arrival, Patience patience);
  Status Admit(Arrival& arrival) const;
  void GoOn(Arrival& arrival);
  Status CheckPermission(Arrival& arrival) const;
  void Limit(Arrival& arrival, const std::shared_ptr<Route>& route);
  // `reason`: why it did not pass; empty where it did.
  static void AddToAudit(const Arrival& arrival, int status, std::string_view reason);
  static void Refuse(const Arrival& arrival, const Error& error, std::string_view reason, int64_t retry_after_seconds);

  GatewayLoop& loop_;
  const StateSource state_;
  const std::atomic<bool>& is_draining_;
  IdSource ids_;
};

}  // namespace autoglm::gateway
