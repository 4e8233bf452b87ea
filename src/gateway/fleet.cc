#include "gateway/fleet.h"

#include <algorithm>
#include <set>
#include <utility>

#include "discovery/kv_event_subscriber.h"
#include "discovery/prober.h"
#include "discovery/upstream_source.h"
#include "telemetry/log.h"

namespace autoglm::gateway {

// One route's probes and sources. On the fleet's thread.
class Fleet::WatchedRoute {
 public:
  WatchedRoute(http::EventLoop& loop, http::Client& client, std::shared_ptr<Route> route,
               const discovery::RegisteredUpstreams& registered, uint64_t seed)
      : route_(std::move(route)), registered_(registered), prober_(loop, client, route_->config().probes, Hooks(), seed) {}

  const std::shared_ptr<Route>& route() const { return route_; }

  Status StartSources(http::EventLoop& loop, http::Client& client) {
    const std::vector<DiscoveryConfig>& configs = route_->config().discovery;
    found_.resize(configs.size());
    Status status;
    for (size_t i = 0; i < configs.size(); ++i) {
      auto source = discovery::StartSource(configs[i], loop, client,
                                           {.on_change =
                                                [this, i](std::vector<UpstreamConfig> upstreams) {
                                                  found_[i] = std::move(upstreams);
                                                  Update();
                                                },
                                            .on_problem = [this](const Error& problem) { LogProblem(problem); }});
      if (source) {
        sources_.push_back(*std::move(source));
      } else {
        status = tl::unexpected<Error>(source.error());
      }
    }
    return status;
  }

  void SetConfigured(std::vector<UpstreamConfig> upstreams) {
    configured_ = std::move(upstreams);
    Update();
  }

  // All that are known, each name once: configured ones count more than found ones.
  void Update() {
    std::vector<UpstreamConfig> all = configured_;
    const UpstreamConfig like = route_->config().discovery.empty() ? UpstreamConfig{} : route_->config().discovery.front().like;
    for (const auto& registration : registered_.List()) all.push_back(discovery::ConfigOf(registration, like));
    for (const auto& found : found_) all.insert(all.end(), found.begin(), found.end());
    std::set<std::string> names;
    std::erase_if(all, [&names](const UpstreamConfig& one) { return !names.insert(one.spec.name).second; });
    if (const Status status = route_->SetUpstreams(all); !status) return LogProblem(status.error());

    std::vector<discovery::ProbeTarget> targets;
    for (const auto& upstream : route_->Upstreams()) {
      targets.push_back({.name = upstream->name(),
                         .origin = upstream->origin,
                         .api_key = upstream->config.api_key,
                         .path = HealthPathOf(*upstream)});
    }
    prober_.SetUpstreams(targets);
    FollowCaches();
  }

 private:
  // One of ours that drains or loads is alive, but not there for requests: it says so at /ready.
  std::string HealthPathOf(const Upstream& upstream) const {
    const bool is_default = route_->config().probes.path == ProbeConfig{}.path;
    return is_default && upstream.config.engine == EngineKind::kAutoglm ? "/ready" : "";
  }

  // Upstreams that tell what they have in memory are listened to, where requests are routed by it.
  void FollowCaches() {
    if (route_->exact_prefixes() == nullptr) return;
    if (cache_events_ == nullptr) {
      auto started = discovery::KvEventSubscriber::Start(
          *route_->exact_prefixes(), [this](const std::string&, const Error& problem) { LogProblem(problem); });
      if (!started) return LogProblem(started.error());
      cache_events_ = *std::move(started);
    }
    std::vector<discovery::KvEventSource> sources;
    for (const auto& upstream : route_->Upstreams()) {
      const UpstreamConfig& config = upstream->config;
      if (config.kv_events.empty()) continue;
      sources.push_back({.upstream = upstream->name(), .endpoint = config.kv_events, .replay_endpoint = config.kv_events_replay});
    }
    cache_events_->SetSources(std::move(sources));
  }

  discovery::ProbeHooks Hooks() {
    return {
        .on_probe =
            [this](const std::string& name, bool is_well) {
              route_->pool().OnProbe(name, is_well);
              if (is_well && route_->line().size() > 0) route_->line().WakeAll();
            },
        .on_report = [this](const std::string& name,
                            const routing::UpstreamReport& report) { route_->pool().OnReport(name, report); },
        .on_round_trip = [this](const std::string& name, Duration round_trip) { route_->pool().OnRoundTrip(name, round_trip); },
        .on_models = [this](const std::string& name,
                            std::vector<std::string> models) { route_->SetListedModels(name, std::move(models)); }};
  }

  void LogProblem(const Error& problem) const {
    Log(LogLevel::kWarning, "discovery_problem",
        {{"route", std::string_view(route_->name())}, {"problem", std::string_view(problem.message)}});
  }

  const std::shared_ptr<Route> route_;
  const discovery::RegisteredUpstreams& registered_;
  std::vector<UpstreamConfig> configured_;
  std::vector<std::vector<UpstreamConfig>> found_;  // by source
  discovery::Prober prober_;
  std::vector<std::unique_ptr<discovery::UpstreamSource>> sources_;
  std::unique_ptr<discovery::KvEventSubscriber> cache_events_;  // nullptr: nobody is listened to
};

Fleet::Fleet(uint64_t seed) : seed_(seed) {
  thread_.RunAndWait([this] { client_.emplace(thread_.loop()); });
}

Fleet::~Fleet() {
  thread_.RunAndWait([this] {
    routes_.clear();
    client_.reset();
  });
}

Status Fleet::SetRoutes(const GatewayState& state) {
  Status status;
  thread_.RunAndWait([&] {
    std::map<std::string, std::unique_ptr<WatchedRoute>, std::less<>> next;
    for (const RouteConfig& config : state.config.routes) {
      const std::shared_ptr<Route>& route = *state.routes->ByName(config.name);
      const auto known = routes_.find(config.name);
      const bool is_known = known != routes_.end() && known->second->route() == route;
      std::unique_ptr<WatchedRoute>& watched = next[config.name];
      if (is_known) {
        watched = std::move(known->second);
        watched->SetConfigured(config.upstreams);
        continue;
      }
      auto registered = OpenRegistered(config.name, state.config.workers);
      if (!registered) {
        status = tl::unexpected<Error>(registered.error());
        registered = OpenRegistered(config.name, {});
      }
      watched = std::make_unique<WatchedRoute>(thread_.loop(), *client_, route, **registered, seed_ + next.size());
      watched->SetConfigured(config.upstreams);
      if (const Status started = watched->StartSources(thread_.loop(), *client_); !started) status = started;
    }
    routes_ = std::move(next);
  });
  return status;
}

// Those that are open stay: what a reload says of the folder is for the next start.
Result<discovery::RegisteredUpstreams*> Fleet::OpenRegistered(const std::string& route, const std::filesystem::path& folder) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<discovery::RegisteredUpstreams>& registered = registered_[route];
  if (registered == nullptr) {
    AUTOGLM_TRY(registered, discovery::RegisteredUpstreams::Open(folder.empty() ? folder : folder / (route + ".json")));
  }
  return registered.get();
}

discovery::RegisteredUpstreams* Fleet::Registered(std::string_view route) {
  const std::lock_guard lock(mutex_);
  const auto found = registered_.find(route);
  return found == registered_.end() ? nullptr : found->second.get();
}

void Fleet::Refresh(std::string_view route) {
  thread_.RunAndWait([this, route] {
    const auto found = routes_.find(route);
    if (found != routes_.end()) found->second->Update();
  });
}

}  // namespace autoglm::gateway
