#include "gateway/gateway_metrics.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include "support/test_paths.h"

namespace autoglm::gateway {
namespace {

using Names = std::set<std::string>;

Names NamesIn(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  Names names;
  for (std::sregex_iterator it(text.begin(), text.end(), regex); it != std::sregex_iterator(); ++it) names.insert((*it)[1]);
  return names;
}

TEST(GatewayMetrics, Document_ListsWhatIsExported) {
  GatewayMetrics metrics;
  RouteMetrics& route = metrics.ForRoute("r");
  route.requests.Count(200);
  route.Retries("connect");
  route.Hedges("won");
  route.ContinuedStreams("continued");
  route.Degraded("fallback");
  route.KnownBlocks();
  route.ForUpstream("u").requests.Count(0);
  metrics.Refused("path");
  metrics.FaultsInjected("f");
  metrics.RateLimited("limit");
  metrics.Reloads("ok");

  std::ifstream file(SourceDir() / "docs/gateway.md");
  const std::string document((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_EQ(NamesIn(document, R"(\| `(autoglm_gw_[a-z_]+)` \|)"),
            NamesIn(metrics.RenderText(), R"(# TYPE (autoglm_gw_[a-z_]+) )"));
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
