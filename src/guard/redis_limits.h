#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "auth/principal.h"
#include "base/result.h"
#include "config/gateway_config.h"
#include "guard/budget_account.h"
#include "guard/redis_connection.h"
#include "guard/usage_limits.h"
#include "http/event_loop.h"

namespace autoglm::guard {

// What a request asks of the limits that gateways share.
struct SharedRequest {
  std::string key_id;
  Policy policy;
  int64_t tokens = 0;                    // to reserve
  std::optional<BudgetAccount> account;  // nullopt: no budget
  int64_t cost = 0;                      // to reserve of it, in millionths
  int64_t known_used = 0;                // of it, at least
  std::function<int64_t(int64_t input_tokens, int64_t output_tokens)> price;
};

// Limits as Redis counts them, for the requests of one loop, on its thread only.
//
// What a request holds is leased and renewed while it runs: of a gateway that is killed it comes back when the lease ends. What
// becomes free while Redis is away is told when it is back. A bill is sent once: where the connection breaks just then, it may
// be lost, and what was held comes back with the lease.
class RedisLimits : public std::enable_shared_from_this<RedisLimits> {
 public:
  struct Events {
    std::function<void()> on_well;                                    // Redis is there, or counts: any number of times
    std::function<void(const Error&)> on_trouble;                     // it is not, or does not
    std::function<void(const BudgetAccount&, int64_t used)> on_used;  // what Redis knows of a budget
    std::function<WallTime()> wall_now;
  };

  static std::shared_ptr<RedisLimits> Create(http::EventLoop& loop, const gateway::RedisConfig& config,
                                             std::chrono::milliseconds lease, Events events);
  // Whoever still has a Usage of it keeps it, but nothing is sent any more.
  void Close();

  // False where Redis is not there: `done` does not come then. Else it comes once, with the answer, or with an error where Redis
  // gave none.
  [[nodiscard]] bool Acquire(SharedRequest request, std::function<void(Result<Granted>)> done);

 private:
  // What is leased to one request.
  struct Lease {
    std::string id;
    SharedRequest request;
  };
  struct Bill {
    std::shared_ptr<const Lease> lease;
    int64_t tokens = 0;
    int64_t cost = 0;
  };
  struct Answer;
  class SharedUsage;

  RedisLimits(http::EventLoop& loop, gateway::RedisConfig config, std::chrono::milliseconds lease, Events events);
  std::vector<std::string> KeysOf(const SharedRequest& request) const;
  int64_t LifetimeMs(const SharedRequest& request) const;
  std::vector<std::string> ArgumentsOf(const Lease& lease) const;
  static Result<Answer> ReadAnswer(const RedisReply& reply, const Policy& policy);
  Granted Grant(const std::shared_ptr<const Lease>& lease, const Answer& answer);
  void GiveBack(const std::shared_ptr<const Lease>& lease, int64_t tokens, int64_t cost);
  bool SendBill(const Bill& bill);
  void SendBills();
  void Renew();
  void WatchLeases();

  http::EventLoop& loop_;
  const gateway::RedisConfig config_;
  const std::chrono::milliseconds lease_;
  const Events events_;
  const std::string id_prefix_;  // of this process and loop
  int64_t num_ids_ = 0;
  std::unordered_map<std::string, std::shared_ptr<const Lease>> leases_;  // by id, of requests that run
  std::deque<Bill> bills_;                                                // while Redis is away
  http::EventLoop::Timer renewal_;
  std::unique_ptr<RedisConnection> connection_;  // nullptr: closed
};

}  // namespace autoglm::guard
