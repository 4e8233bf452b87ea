#include "gateway/gateway_metrics.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <string>

#include "telemetry/metric_catalogue.h"

namespace autoglm::gateway {
namespace {

using Names = std::set<std::string>;

Names NamesIn(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  Names names;
  for (std::sregex_iterator it(text.begin(), text.end(), regex); it != std::sregex_iterator(); ++it) names.insert((*it)[1]);
  return names;
}

TEST(GatewayMetrics, ExportsWhatTheCatalogueSays) {
  GatewayMetrics metrics;
  RouteMetrics& route = metrics.ForRoute("r");
  route.requests.Count(200);
  route.Retries("connect");
  route.Hedges("won");
  route.ContinuedStreams("continued");
  route.Degraded("fallback");
  route.KnownBlocks();
  route.ForUpstream("u").requests.Count(0);
  InternedNames names;
  RequestRecord record;
  record.route = names.IndexOf("r");
  record.num_attempts = 1;
  record.stages[static_cast<size_t>(Stage::kWait)] = 1;
  metrics.ObserveStages(record, names);
  metrics.FlushStages();
  metrics.Refused("path");
  metrics.FaultsInjected("f");
  metrics.RateLimited("limit");
  metrics.Reloads("ok");

  Names catalogued;
  for (const MetricInfo& info : MetricCatalogue()) {
    if (info.source == MetricSource::kGateway) catalogued.emplace(info.name);
  }
  EXPECT_EQ(catalogued, NamesIn(metrics.RenderText(), R"(# TYPE (autoglm_gw_[a-z_]+) )"));
}

TEST(CodeCounters, StrangeStatuses_CountAsNone) {
  GatewayMetrics metrics;
  for (const int code : {-5, 0, 99, 600, 200}) metrics.ForRoute("r").requests.Count(code);
  const std::string text = metrics.RenderText();
  EXPECT_NE(text.find(R"(autoglm_gw_http_requests_total{code="0",route="r"} 4)"), std::string::npos);
  EXPECT_NE(text.find(R"(autoglm_gw_http_requests_total{code="200",route="r"} 1)"), std::string::npos);
}

}  // namespace
}  // namespace autoglm::gateway
