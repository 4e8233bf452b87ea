#include "gateway/status_json.h"

#include <algorithm>
#include <charconv>

#include "gateway/query_fields.h"
#include "routing/prefix_index.h"

namespace autoglm::gateway {
namespace {

Json MillisecondsOrNull(const std::optional<double>& seconds) { return seconds ? Json(*seconds * 1000) : Json(); }

Json UpstreamJson(const routing::UpstreamStatus& status, const Route& route) {
  const auto upstream = route.Find(status.spec.name);
  Json json = {{"name", status.spec.name},
               {"url", upstream == nullptr ? Json() : Json(upstream->config.url)},
               {"state", routing::AvailabilityName(status.availability)},
               {"breaker", routing::BreakerStateName(status.breaker)},
               {"weight", status.spec.weight},
               {"share", status.share},
               {"inflight", status.num_inflight},
               {"requests", status.num_requests},
               {"failures", status.num_failures},
               {"response_ms", MillisecondsOrNull(status.response_seconds)},
               {"round_trip_ms", MillisecondsOrNull(status.round_trip_seconds)}};
  if (status.report) {
    json["reported"] = {
        {"running", status.report->num_running}, {"waiting", status.report->num_waiting}, {"kv_usage", status.report->kv_usage}};
  }
  return json;
}

Json DecisionJson(const Route& route, const std::vector<routing::Explanation>& explanations, const routing::Policy& policy) {
  Json candidates = Json::array();
  for (const routing::Explanation& explanation : explanations) {
    Json candidate = {{"upstream", explanation.upstream}};
    if (!explanation.left_out.empty()) {
      candidate["left_out"] = explanation.left_out;
    } else {
      Json scores = Json::object();
      for (size_t i = 0; i < explanation.scores.size(); ++i) {
        scores[std::string(policy.scorers[i].name)] = {{"score", explanation.scores[i]}, {"weight", policy.scorers[i].weight}};
      }
      candidate["scores"] = std::move(scores);
      candidate["total"] = explanation.total;
    }
    candidates.push_back(std::move(candidate));
  }
  return {{"route", route.name()}, {"policy", route.config().policy.name}, {"candidates", std::move(candidates)}};
}

Json RouteJson(Route& route) {
  Json upstreams = Json::array();
  for (const routing::UpstreamStatus& status : route.pool().Status()) upstreams.push_back(UpstreamJson(status, route));
  return {{"name", route.name()},
          {"waiting", route.line().size()},
          {"retries_left", route.retry_budget().Remaining()},
          {"known_prefix_blocks", route.exact_prefixes() == nullptr ? Json() : Json(route.exact_prefixes()->num_blocks())},
          {"upstreams", std::move(upstreams)},
          {"next_request", ExplanationJson(route, "")}};
}

}  // namespace

Json StatusJson(const GatewayState& state, std::string_view version, bool is_draining) {
  Json routes = Json::array();
  for (const auto& route : state.routes->routes()) routes.push_back(RouteJson(*route));
  return {
      {"version", version}, {"draining", is_draining}, {"faults_allowed", state.allows_faults}, {"routes", std::move(routes)}};
}

Json ExplanationJson(Route& route, std::string_view query) {
  const std::string model = QueryField(query, "model");
  const std::string session = QueryField(query, "session");
  const std::string region = QueryField(query, "region");
  const std::string tokens = QueryField(query, "context_tokens");
  int64_t context_tokens = 0;
  std::from_chars(tokens.data(), tokens.data() + tokens.size(), context_tokens);
  const std::string prompt = QueryField(query, "prompt");
  const std::vector<uint64_t> prefix = routing::PrefixBlocksOf(prompt, 0);
  std::vector<TokenId> prompt_tokens;
  std::vector<routing::PrefixMatch> exact;
  if (route.exact_prefixes() != nullptr && !prompt.empty()) {
    prompt_tokens = route.prompt_model()->encoder().EncodeCompletion(prompt).value_or(prompt_tokens);
    exact = route.exact_prefixes()->Find(prompt_tokens);
  }
  const auto explanations = route.pool().Explain({.model = model,
                                                  .region = region,
                                                  .session = session,
                                                  .context_tokens = context_tokens,
                                                  .prefix = prefix,
                                                  .exact = exact,
                                                  .prompt_tokens = std::ssize(prompt_tokens)});
  return DecisionJson(route, explanations, route.policy());
}

discovery::WorkerState WorkerStateOf(const GatewayState& state, std::string_view route_name, std::string_view url) {
  const std::shared_ptr<Route>* route = state.routes->ByName(route_name);
  if (route == nullptr) return {};
  for (const routing::UpstreamStatus& status : (*route)->pool().Status()) {
    const auto upstream = (*route)->Find(status.spec.name);
    if (upstream == nullptr || upstream->config.url != url) continue;
    return {.is_healthy = status.availability == routing::Availability::kAvailable, .num_inflight = status.num_inflight};
  }
  return {};
}

}  // namespace autoglm::gateway
