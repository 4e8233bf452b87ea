#include "gateway/route.h"

#include <algorithm>
#include <utility>

namespace autoglm::gateway {
namespace {

std::vector<routing::UpstreamSpec> SpecsOf(const std::vector<UpstreamConfig>& upstreams) {
  std::vector<routing::UpstreamSpec> specs;
  specs.reserve(upstreams.size());
  for (const UpstreamConfig& upstream : upstreams) {
    specs.push_back(upstream.spec);
    specs.back().max_inflight = upstream.max_inflight;
  }
  return specs;
}

routing::PoolOptions PoolOptionsOf(const RouteConfig& config, routing::Policy policy, uint64_t seed) {
  return {.policy = std::move(policy),
          .health = config.health,
          .outlier = config.outlier,
          .prefix = config.prefix,
          .panic_below = config.panic_below,
          .seed = seed};
}

}  // namespace

Result<std::shared_ptr<const Upstream>> Upstream::Create(UpstreamConfig config) {
  auto upstream = std::make_shared<Upstream>();
  AUTOGLM_TRY(upstream->origin, http::Origin::Parse(config.url));
  if (http::Origin::IsHttps(config.url)) {
    AUTOGLM_TRY(upstream->origin.tls, http::TlsContext::ForClient(config.tls.value_or(http::TlsClientOptions{})));
  }
  upstream->config = std::move(config);
  return upstream;
}

Result<std::shared_ptr<Route>> Route::Create(RouteConfig config, const Clock& clock, RouteMetrics& metrics, uint64_t seed) {
  AUTOGLM_TRY(routing::Policy policy, BuildPolicy(config.policy));
  std::shared_ptr<Route> route(new Route(std::move(config), std::move(policy), clock, metrics, seed));
  if (!route->config_.tokenizer.empty() && route->uses_prefix()) {
    AUTOGLM_TRY(route->prompt_model_, PromptModel::Load(route->config_.tokenizer));
    route->exact_prefixes_ = std::make_unique<discovery::ExactPrefixIndex>();
  }
  AUTOGLM_TRY_VOID(route->SetUpstreams(route->config_.upstreams));
  return route;
}

Route::Route(RouteConfig config, routing::Policy policy, const Clock& clock, RouteMetrics& metrics, uint64_t seed)
    : config_(std::move(config)),
      metrics_(metrics),
      policy_(std::move(policy)),
      retry_budget_(config_.retry_budget),
      line_(config_.queue.max_requests, clock),
      pool_(std::make_unique<routing::UpstreamPool>(PoolOptionsOf(config_, policy_, seed), std::vector<routing::UpstreamSpec>(),
                                                    clock)),
      upstreams_(std::make_shared<const ByName>()) {
  if (config_.hedging) hedging_.emplace(*config_.hedging, clock);
}

std::shared_ptr<const Upstream> Route::Find(const std::string& name) const {
  const auto upstreams = upstreams_.load();
  const auto found = upstreams->find(name);
  return found == upstreams->end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<const Upstream>> Route::Upstreams() const {
  std::vector<std::shared_ptr<const Upstream>> upstreams;
  for (const auto& [name, upstream] : *upstreams_.load()) upstreams.push_back(upstream);
  return upstreams;
}

std::vector<std::string> Route::ListedModels() const {
  std::vector<std::string> models;
  {
    const std::lock_guard lock(models_mutex_);
    for (const auto& [upstream, listed] : listed_models_) models.insert(models.end(), listed.begin(), listed.end());
  }
  std::ranges::sort(models);
  models.erase(std::ranges::unique(models).begin(), models.end());
  return models;
}

void Route::SetListedModels(const std::string& upstream, std::vector<std::string> models) {
  const std::lock_guard lock(models_mutex_);
  listed_models_[upstream] = std::move(models);
}

Status Route::SetUpstreams(const std::vector<UpstreamConfig>& upstreams) {
  const auto known = upstreams_.load();
  ByName by_name;
  for (const UpstreamConfig& config : upstreams) {
    const auto found = known->find(config.spec.name);
    if (found != known->end() && found->second->config == config) {
      by_name.insert(*found);
      continue;
    }
    AUTOGLM_TRY(by_name[config.spec.name], Upstream::Create(config));
  }
  {
    const std::lock_guard lock(models_mutex_);
    std::erase_if(listed_models_, [&by_name](const auto& listed) { return !by_name.contains(listed.first); });
  }
  // First where they can be found, then that they may be chosen.
  upstreams_.store(std::make_shared<const ByName>(std::move(by_name)));
  pool_->SetUpstreams(SpecsOf(upstreams));
  line_.WakeAll();
  return {};
}

}  // namespace autoglm::gateway
