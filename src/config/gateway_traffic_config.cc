#include "config/gateway_traffic_config.h"

#include <string>

#include "config/yaml_setters.h"

namespace autoglm::gateway {
namespace {

using resilience::HedgeOptions;
using resilience::RetryBudgetOptions;
using resilience::RetryOptions;
using routing::BreakerOptions;
using routing::HealthOptions;
using routing::OutlierOptions;
using routing::PrefixIndexOptions;

// Milliseconds.
constexpr int64_t kMinute = 60'000;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;

constexpr std::array kTimeoutFields = {
    YamlField<TimeoutConfig>{"connect", SetTime<&TimeoutConfig::connect, 0, kHour>},
    YamlField<TimeoutConfig>{"first_token", SetTime<&TimeoutConfig::first_token, 0, kDay>},
    YamlField<TimeoutConfig>{"between_tokens", SetTime<&TimeoutConfig::between_tokens, 0, kDay>},
    YamlField<TimeoutConfig>{"total", SetTime<&TimeoutConfig::total, 0, kDay>},
};

constexpr std::array kBudgetFields = {
    YamlField<RetryBudgetOptions>{"share", SetReal<&RetryBudgetOptions::share, 0.0, 1.0>},
    YamlField<RetryBudgetOptions>{"min", SetInteger<&RetryBudgetOptions::min_retries, 0, 1'000'000>},
};

Status SetStatuses(RouteConfig& route, const YamlValue& value) {
  AUTOGLM_TRY(const std::vector<YamlValue> items, value.Items("statuses"));
  route.retry_statuses.clear();
  for (const YamlValue& item : items) {
    AUTOGLM_TRY(const int64_t status, item.Parse([](const std::string& text) { return ParseInteger(text, 100, 599); }));
    route.retry_statuses.push_back(static_cast<int>(status));
  }
  return {};
}

constexpr std::array kRetryFields = {
    YamlField<RouteConfig>{"max_attempts", SetIn<&RouteConfig::retries, SetInteger<&RetryOptions::max_attempts, 1, 20>>},
    YamlField<RouteConfig>{"first_delay", SetIn<&RouteConfig::retries, SetTime<&RetryOptions::first_delay, 0, kMinute>>},
    YamlField<RouteConfig>{"max_delay", SetIn<&RouteConfig::retries, SetTime<&RetryOptions::max_delay, 0, kHour>>},
    YamlField<RouteConfig>{"jitter", SetIn<&RouteConfig::retries, SetReal<&RetryOptions::jitter, 0.0, 1.0>>},
    YamlField<RouteConfig>{"max_retry_after", SetIn<&RouteConfig::retries, SetTime<&RetryOptions::max_retry_after, 0, kHour>>},
    YamlField<RouteConfig>{"budget", SetMap<&RouteConfig::retry_budget, kBudgetFields>},
    YamlField<RouteConfig>{"on", SetStatuses},
};

constexpr std::array kHedgeFields = {
    YamlField<HedgeOptions>{"quantile", SetReal<&HedgeOptions::quantile, 0.5, 0.999>},
    YamlField<HedgeOptions>{"least_delay", SetTime<&HedgeOptions::least_delay, 0, kMinute>},
    YamlField<HedgeOptions>{"max_share", SetReal<&HedgeOptions::max_share, 0.0, 1.0>},
    YamlField<HedgeOptions>{"max_burst", SetInteger<&HedgeOptions::max_burst, 1, 10'000>},
    YamlField<HedgeOptions>{"min_count", SetInteger<&HedgeOptions::min_count, 1, 1'000'000>},
    YamlField<HedgeOptions>{"window", SetTime<&HedgeOptions::window, 1'000, kHour>},
};

// "off": not asked for.
template <auto kMember>
Status SetProbePath(ProbeConfig& probes, const YamlValue& value) {
  AUTOGLM_TRY(probes.*kMember, value.Parse([](const std::string& text) -> Result<std::string> {
    if (text == "off") return std::string();
    AUTOGLM_TRY(std::string path, ParsePlainText(text));
    if (path[0] != '/' || path.find(' ') != std::string::npos) {
      return Fail(ErrorCode::kInvalidArgument, "must be off or a path such as /health");
    }
    return path;
  }));
  return {};
}

constexpr std::array kProbeFields = {
    YamlField<ProbeConfig>{"path", SetProbePath<&ProbeConfig::path>},
    YamlField<ProbeConfig>{"interval", SetTime<&ProbeConfig::interval, 100, kHour>},
    YamlField<ProbeConfig>{"timeout", SetTime<&ProbeConfig::timeout, 1, kMinute>},
    YamlField<ProbeConfig>{"metrics_path", SetProbePath<&ProbeConfig::metrics_path>},
    YamlField<ProbeConfig>{"models_path", SetProbePath<&ProbeConfig::models_path>},
    YamlField<ProbeConfig>{"metrics_interval", SetTime<&ProbeConfig::metrics_interval, 100, kHour>},
};

constexpr std::array kHealthFields = {
    YamlField<RouteConfig>{"probes_to_fall", SetIn<&RouteConfig::health, SetInteger<&HealthOptions::probes_to_fall, 1, 1'000>>},
    YamlField<RouteConfig>{"probes_to_rise", SetIn<&RouteConfig::health, SetInteger<&HealthOptions::probes_to_rise, 1, 1'000>>},
    YamlField<RouteConfig>{"slow_start", SetIn<&RouteConfig::health, SetTime<&HealthOptions::slow_start, 0, kHour>>},
    YamlField<RouteConfig>{"panic_below", SetReal<&RouteConfig::panic_below, 0.0, 1.0>},
};

constexpr std::array kBreakerFields = {
    YamlField<BreakerOptions>{"failures_to_open", SetInteger<&BreakerOptions::failures_to_open, 0, 1'000'000>},
    YamlField<BreakerOptions>{"open_for", SetTime<&BreakerOptions::open_for, 1, kDay>},
    YamlField<BreakerOptions>{"open_for_max", SetTime<&BreakerOptions::open_for_max, 1, kDay>},
    YamlField<BreakerOptions>{"max_trials", SetInteger<&BreakerOptions::max_trials, 1, 1'000>},
    YamlField<BreakerOptions>{"successes_to_close", SetInteger<&BreakerOptions::successes_to_close, 1, 1'000>},
};

constexpr std::array kOutlierFields = {
    YamlField<OutlierOptions>{"interval", SetTime<&OutlierOptions::interval, 100, kHour>},
    YamlField<OutlierOptions>{"min_requests", SetInteger<&OutlierOptions::min_requests, 1, 1'000'000'000>},
    YamlField<OutlierOptions>{"max_failures", SetReal<&OutlierOptions::max_failures, 0.0, 1.0>},
    YamlField<OutlierOptions>{"ejected_for", SetTime<&OutlierOptions::ejected_for, 1, kDay>},
    YamlField<OutlierOptions>{"ejected_for_max", SetTime<&OutlierOptions::ejected_for_max, 1, kDay>},
    YamlField<OutlierOptions>{"max_ejected", SetReal<&OutlierOptions::max_ejected, 0.0, 1.0>},
};

constexpr std::array kQueueFields = {
    YamlField<QueueConfig>{"max_requests", SetInteger<&QueueConfig::max_requests, 0, 1'000'000>},
    YamlField<QueueConfig>{"max_wait", SetTime<&QueueConfig::max_wait, 0, kDay>},
    YamlField<QueueConfig>{"max_wait_for_upstream", SetTime<&QueueConfig::max_wait_for_upstream, 0, kDay>},
};

constexpr std::array kPrefixFields = {
    // 24 bytes each.
    YamlField<PrefixIndexOptions>{"max_blocks", SetInteger<&PrefixIndexOptions::max_blocks, 1, 1 << 24>},
    YamlField<PrefixIndexOptions>{"lifetime", SetTime<&PrefixIndexOptions::lifetime, 1'000, 7 * kDay>},
};

}  // namespace

Status SetTimeouts(RouteConfig& route, const YamlValue& value) { return ReadFields(value, kTimeoutFields, route.timeouts); }

Status SetRetries(RouteConfig& route, const YamlValue& value) {
  AUTOGLM_TRY_VOID(ReadFields(value, kRetryFields, route));
  return route.retries.first_delay <= route.retries.max_delay ? Status()
                                                              : value.Refuse("first_delay must not be above max_delay");
}

Status SetHedging(RouteConfig& route, const YamlValue& value) {
  const HedgeOptions options = route.hedging.value_or(HedgeOptions());
  if (value.IsMap()) {
    route.hedging = options;
    return ReadFields(value, kHedgeFields, *route.hedging);
  }
  AUTOGLM_TRY(const bool is_on, value.Parse(ParseSwitch));
  route.hedging = is_on ? std::optional(options) : std::nullopt;
  return {};
}

Status SetContinueStreams(RouteConfig& route, const YamlValue& value) {
  return SetSwitch<&RouteConfig::continues_streams>(route, value);
}

Status SetProbes(RouteConfig& route, const YamlValue& value) { return ReadFields(value, kProbeFields, route.probes); }

Status SetHealth(RouteConfig& route, const YamlValue& value) { return ReadFields(value, kHealthFields, route); }

Status SetBreaker(RouteConfig& route, const YamlValue& value) {
  BreakerOptions& breaker = route.health.breaker;
  AUTOGLM_TRY_VOID(ReadFields(value, kBreakerFields, breaker));
  return breaker.open_for <= breaker.open_for_max ? Status() : value.Refuse("open_for must not be above open_for_max");
}

Status SetOutlier(RouteConfig& route, const YamlValue& value) {
  AUTOGLM_TRY_VOID(ReadFields(value, kOutlierFields, route.outlier));
  if (route.outlier.ejected_for <= route.outlier.ejected_for_max) return {};
  return value.Refuse("ejected_for must not be above ejected_for_max");
}

Status SetQueue(RouteConfig& route, const YamlValue& value) { return ReadFields(value, kQueueFields, route.queue); }

Status SetPrefix(RouteConfig& route, const YamlValue& value) { return ReadFields(value, kPrefixFields, route.prefix); }

}  // namespace autoglm::gateway
