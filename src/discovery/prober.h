#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "config/gateway_config.h"
#include "http/client.h"
#include "http/event_loop.h"
#include "routing/upstream.h"

namespace autoglm::discovery {

struct ProbeTarget {
  std::string name;  // in the hooks; one of its kind
  http::Origin origin;
  std::string api_key;  // sent as bearer token; empty: none
  std::string path;     // of health, where it is another than the configuration's; empty: that one
};

// Called on the loop's thread; none may change or destroy the prober.
struct ProbeHooks {
  std::function<void(const std::string& name, bool is_well)> on_probe;
  std::function<void(const std::string& name, const routing::UpstreamReport& report)> on_report;
  // Of a probe on a connection that was kept: the way there and back, and what the server takes for it.
  std::function<void(const std::string& name, Duration round_trip)> on_round_trip;
  // Ids of the models it lists at /v1/models.
  std::function<void(const std::string& name, std::vector<std::string> models)> on_models = [](const auto&, auto) {};
};

// Asks upstreams whether they are well, and what they say of themselves in their metrics. Each at times of its own, so that
// neither upstreams nor gateways see probes come in step. On the loop's thread, destruction included.
class Prober {
 public:
  Prober(http::EventLoop& loop, http::Client& client, gateway::ProbeConfig config, ProbeHooks hooks, uint64_t seed);
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // Those that are new, or are elsewhere now, are asked soon; those that stay, when it is their time.
  void SetUpstreams(std::span<const ProbeTarget> targets);

 private:
  class Poll;
  struct Upstream;

  // `took` is zero where the connection was not kept from before. The answer is the interval to the next.
  using OnAnswer = std::function<Duration(const Result<http::Client::Answer>& answer, Duration took)>;

  std::unique_ptr<Upstream> Begin(const ProbeTarget& target);
  std::unique_ptr<Poll> BeginHealth(const ProbeTarget& target);
  std::unique_ptr<Poll> BeginMetrics(const ProbeTarget& target);
  std::unique_ptr<Poll> BeginModels(const ProbeTarget& target);
  std::unique_ptr<Poll> BeginPoll(const ProbeTarget& target, std::string path, int64_t max_body_bytes, Duration first,
                                  OnAnswer on_answer);

  http::EventLoop& loop_;
  http::Client& client_;
  const gateway::ProbeConfig config_;
  const ProbeHooks hooks_;
  Random random_;
  std::map<std::string, std::unique_ptr<Upstream>> upstreams_;
};

}  // namespace autoglm::discovery
