#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "config/gateway_config.h"
#include "discovery/exact_prefix_index.h"
#include "gateway/route_metrics.h"
#include "gateway/waiting_line.h"
#include "http/client.h"
#include "prompts/prompt_model.h"
#include "resilience/hedging.h"
#include "resilience/retry_budget.h"
#include "routing/upstream_pool.h"

namespace autoglm::gateway {

// An upstream as requests are sent to it. Immutable.
struct Upstream {
  UpstreamConfig config;
  http::Origin origin;

  const std::string& name() const { return config.spec.name; }
  // Errors: kInvalidArgument for the URL, and what certificates are wrong with.
  static Result<std::shared_ptr<const Upstream>> Create(UpstreamConfig config);
};

// A route at work: its upstreams, what is known of them, and what is shared by its requests. Any thread. Lives as long as a
// request that uses it.
class Route {
 public:
  // `config` without upstreams that are discovered; they come by SetUpstreams. Errors: those of upstreams, policy, tokenizer.
  static Result<std::shared_ptr<Route>> Create(RouteConfig config, const Clock& clock, RouteMetrics& metrics, uint64_t seed);

  const RouteConfig& config() const { return config_; }
  const std::string& name() const { return config_.name; }
  routing::UpstreamPool& pool() { return *pool_; }
  resilience::RetryBudget& retry_budget() { return retry_budget_; }
  resilience::Hedging* hedging() { return hedging_ ? &*hedging_ : nullptr; }  // nullptr: off
  WaitingLine& line() { return line_; }
  RouteMetrics& metrics() { return metrics_; }
  const routing::Policy& policy() const { return policy_; }
  bool uses_prefix() const { return policy_.UsesPrefix(); }
  // What upstreams tell of their prefix caches, and what is needed to ask for a prompt; nullptr: prefixes are guessed from text.
  discovery::ExactPrefixIndex* exact_prefixes() { return exact_prefixes_.get(); }
  const std::shared_ptr<const PromptModel>& prompt_model() const { return prompt_model_; }

  // nullptr where it is gone.
  std::shared_ptr<const Upstream> Find(const std::string& name) const;
  std::vector<std::shared_ptr<const Upstream>> Upstreams() const;

  // Models that upstreams say they serve, each once, sorted.
  std::vector<std::string> ListedModels() const;
  void SetListedModels(const std::string& upstream, std::vector<std::string> models);

  // All there are from now on; what is known of those that stay is kept. Errors: those of upstreams; nothing is changed then.
  Status SetUpstreams(const std::vector<UpstreamConfig>& upstreams);

 private:
  using ByName = std::map<std::string, std::shared_ptr<const Upstream>, std::less<>>;

  Route(RouteConfig config, routing::Policy policy, const Clock& clock, RouteMetrics& metrics, uint64_t seed);

  const RouteConfig config_;
  RouteMetrics& metrics_;
  const routing::Policy policy_;
  resilience::RetryBudget retry_budget_;
  std::optional<resilience::Hedging> hedging_;
  WaitingLine line_;
  std::unique_ptr<routing::UpstreamPool> pool_;
  std::atomic<std::shared_ptr<const ByName>> upstreams_;
  mutable std::mutex models_mutex_;
  std::map<std::string, std::vector<std::string>, std::less<>> listed_models_;  // by upstream
  std::shared_ptr<const PromptModel> prompt_model_;
  std::unique_ptr<discovery::ExactPrefixIndex> exact_prefixes_;
};

}  // namespace autoglm::gateway
