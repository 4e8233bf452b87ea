#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "routing/outlier_detector.h"
#include "routing/policy.h"
#include "routing/prefix_index.h"
#include "routing/upstream.h"
#include "routing/upstream_health.h"

namespace autoglm::routing {

struct PoolOptions {
  Policy policy;
  HealthOptions health;
  OutlierOptions outlier;
  PrefixIndexOptions prefix;
  Duration response_time_memory = std::chrono::seconds(10);
  // Where less than this part of the upstreams that could serve a request is healthy, health is not looked at: it is more likely
  // that the gateway is mistaken, and a few would only be overrun.
  double panic_below = 0.5;
  uint64_t seed = 0;
};

class UpstreamPool;
struct UpstreamState;

// A request on its way to an upstream, which counts as busy with it until Finish; without one it was abandoned.
class Attempt {
 public:
  Attempt(Attempt&& other) noexcept;
  Attempt& operator=(Attempt&&) = delete;
  ~Attempt();

  const std::string& upstream() const;  // until Finish, as OnFirstByte
  // Of the request's prompt, that its upstream has in memory, as far as that is known: Candidate::matched_share.
  double matched_share() const { return matched_share_; }
  // The first byte of its answer has come; once.
  void OnFirstByte(Duration response_time);
  // `retry_after`: what a refusal asked for; zero: nothing.
  void Finish(Outcome outcome, Duration retry_after = Duration::zero());

 private:
  friend class UpstreamPool;
  Attempt(UpstreamPool& pool, std::shared_ptr<UpstreamState> state, CircuitBreaker::Pass pass, TimePoint begun,
          double matched_share);

  UpstreamPool* pool_;
  std::shared_ptr<UpstreamState> state_;  // null: finished
  CircuitBreaker::Pass pass_;
  TimePoint begun_;
  double matched_share_;
};

// For people: what there is to say of an upstream.
struct UpstreamStatus {
  UpstreamSpec spec;
  Availability availability = Availability::kAvailable;
  CircuitBreaker::State breaker = CircuitBreaker::State::kClosed;
  double share = 1;
  int64_t num_inflight = 0;
  int64_t num_requests = 0;  // ever
  int64_t num_failures = 0;
  std::optional<double> response_seconds;
  std::optional<double> round_trip_seconds;
  std::optional<UpstreamReport> report;
};

// Why a request would go where it would go.
struct Explanation {
  std::string upstream;
  std::string_view left_out;   // why; empty: a candidate
  std::vector<double> scores;  // by each scorer of the policy, unweighted
  double total = 0;
};

// The upstreams of a route: who of them gets a request, and what is learned from how it went. First filters: tried already, other
// models, too long a context, unhealthy; then, while others are left, upstreams kept for longer contexts, those that asked to be
// left alone, and slow ones. Then the policy scores and picks.
//
// Every call may come from any thread: one lock, held for some hundred nanoseconds and a few more for each upstream. Attempts
// must end before the pool.
class UpstreamPool {
 public:
  UpstreamPool(PoolOptions options, std::vector<UpstreamSpec> upstreams, const Clock& clock);
  ~UpstreamPool();
  UpstreamPool(const UpstreamPool&) = delete;
  UpstreamPool& operator=(const UpstreamPool&) = delete;

  // Errors: kNotFound where no upstream serves the model, kContextLengthExceeded where those that do take no such context,
  // kResourceExhausted where one that could has as many requests as it may, kUnavailable where those that could are unhealthy or
  // were tried already.
  Result<Attempt> Choose(const RoutingRequest& request);
  // What Choose would look at now; changes nothing.
  std::vector<Explanation> Explain(const RoutingRequest& request) const;

  // Upstreams of a name that is known keep what is known of them; attempts on those that go end as they would.
  void SetUpstreams(std::vector<UpstreamSpec> upstreams);

  // Of upstreams that are not there (any more) nothing is learned.
  void OnProbe(std::string_view upstream, bool succeeded);
  void OnReport(std::string_view upstream, const UpstreamReport& report);
  void OnRoundTrip(std::string_view upstream, Duration round_trip);
  // False where there is no such upstream.
  bool SetDraining(std::string_view upstream, bool is_draining);
  // False where its probes fail, and where there is no such upstream.
  bool IsUp(std::string_view upstream) const;

  std::vector<UpstreamStatus> Status() const;
  int64_t num_inflight() const;

 private:
  friend class Attempt;
  struct Impl;

  void OnFirstByte(UpstreamState& state, Duration response_time);
  void OnEnd(UpstreamState& state, CircuitBreaker::Pass pass, Outcome outcome, Duration retry_after, TimePoint begun);

  std::unique_ptr<Impl> impl_;
};

}  // namespace autoglm::routing
