#include "slo/prom_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "slo/own_metrics.h"
#include "slo/slo_file.h"

namespace autoglm::slo {
namespace {

using testing::HasSubstr;

Objective Of(const std::string& fields) {
  const Result<SloFile> file = ParseSloFile(R"({"slo": {"service": "s", )" + fields + "}}", "f");
  EXPECT_TRUE(file) << file.error().message;
  return file->objectives.front();
}

TEST(LeMatcher, WholeNumbers_AreFoundInBothSpellings) {
  EXPECT_EQ(LeMatcher(0.3), "le=\"0.3\"");
  EXPECT_EQ(LeMatcher(1), "le=~\"1|1[.]0\"");
  EXPECT_EQ(LeMatcher(300), "le=~\"300|300[.]0\"");
  EXPECT_EQ(LeMatcher(1.5), "le=\"1.5\"");
  EXPECT_EQ(LeMatcher(0.0005), "le=\"0.0005\"");
}

TEST(NameMatcher, Stars_AreAnyCharactersAndNothingElseIsSpecial) {
  EXPECT_EQ(NameMatcher("m", "llama"), "m=\"llama\"");
  EXPECT_EQ(NameMatcher("m", "a\"b\\"), "m=\"a\\\"b\\\\\"");
  EXPECT_EQ(NameMatcher("path", "/v1/*"), "path=~\"/v1/.*\"");
  EXPECT_EQ(NameMatcher("m", "3.5-*"), "m=~\"3\\\\.5-.*\"");
}

TEST(CountQueries, Latency_IsAllLessThoseInTime) {
  const Objective objective = Of(R"("objective": "95th_percentile_latency", "target": 300, "unit": "ms", "class": "batch")");
  const CountQueries counts = *CountQueriesOf(objective, Source::kServer);
  EXPECT_EQ(counts.selector, "autoglm_e2e_request_latency_seconds_count{slo_class=\"batch\"}");
  EXPECT_EQ(PutWindow(counts.bad, "5m"),
            "(sum(increase(autoglm_e2e_request_latency_seconds_count{slo_class=\"batch\"}[5m])) - "
            "sum(increase(autoglm_e2e_request_latency_seconds_bucket{slo_class=\"batch\",le=\"0.3\"}[5m])))");
}

TEST(CountQueries, Availability_LeavesOutWhatClientsDidWrong) {
  const Objective objective = Of(R"("objective": "availability", "target": 99.9, "unit": "percent", "path": "/v1/pay")");
  const CountQueries counts = *CountQueriesOf(objective, Source::kServer);
  EXPECT_EQ(counts.selector, "autoglm_http_requests_total{path=\"/v1/pay\",code=~\"[1235]..|408\"}");
  EXPECT_THAT(counts.bad, HasSubstr("code=~\"5..|408\""));
  const Objective any = Of(R"("objective": "availability", "target": 99.9, "unit": "percent", "count_429": true)");
  EXPECT_EQ(CountQueriesOf(any, Source::kServer)->selector,
            "autoglm_http_requests_total{path=~\"/v1/.*\",code=~\"[1235]..|408|429\"}");
  EXPECT_EQ(CountQueriesOf(any, Source::kGateway)->selector, "autoglm_gw_http_requests_total{code=~\"[1235]..|408|429\"}");
}

TEST(CountQueries, WhatMetricsDoNotTell_IsNamed) {
  const auto refusal = [](const std::string& fields, Source source) {
    const auto counts = CountQueriesOf(Of(fields), source);
    EXPECT_FALSE(counts);
    return counts ? "" : counts.error().message;
  };
  const std::string latency = R"("objective": "95th_percentile_latency", "target": 300, "unit": "ms", )";
  const std::string availability = R"("objective": "availability", "target": 99, "unit": "percent", )";
  EXPECT_THAT(refusal(latency + R"("tenant": "a")", Source::kServer), HasSubstr("tenant: "));
  EXPECT_THAT(refusal(latency + R"("path": "/a")", Source::kServer), HasSubstr("path: "));
  EXPECT_THAT(refusal(latency + R"("route": "a")", Source::kServer), HasSubstr("route: "));
  EXPECT_THAT(refusal(availability + R"("model": "a")", Source::kServer), HasSubstr("model: "));
  EXPECT_THAT(refusal(availability + R"("class": "batch")", Source::kServer), HasSubstr("class: "));
  EXPECT_THAT(refusal(latency + R"("model": "a")", Source::kGateway), HasSubstr("model: "));
  EXPECT_THAT(refusal(availability + R"("path": "/a")", Source::kGateway), HasSubstr("path: "));
}

TEST(CountQueries, RawQueries_AreCountersExpressionsOrTemplates) {
  const auto total_of = [](const std::string& query) {
    const Objective objective =
        Of(R"("objective": "ratio", "target": 0.99, "unit": "ratio", "bad_query": "b", "total_query": ")" + query + "\"");
    return PutWindow(CountQueriesOf(objective, Source::kServer)->total, "1h");
  };
  EXPECT_EQ(total_of("requests_total"), "(sum(increase(requests_total[1h])) > 0)");
  EXPECT_EQ(total_of("x{a=\\\"b\\\"}"), "(sum(increase(x{a=\"b\"}[1h])) > 0)");
  EXPECT_EQ(total_of("rate(x[{{.window}}])"), "(sum(rate(x[1h])) > 0)");
  EXPECT_EQ(total_of("rate(x[5m])"), "(sum(sum_over_time((rate(x[5m]))[1h:1m])) > 0)");
}

TEST(Selector, IsReadWithAnySpacesAndOrder) {
  const Selector selector{"m", {{"a", "1"}, {"b", "=~x\"y"}}};
  EXPECT_EQ(ParseSelector("m{a=\"1\",b=~\"x\\\"y\"}"), selector);
  EXPECT_EQ(ParseSelector(" m { b =~ \"x\\\"y\" , a = \"1\", } "), selector);
  EXPECT_EQ(ParseSelector("m"), (Selector{"m", {}}));
  for (const char* text : {"", "m{", "m{a}", "m{a=1}", "m{a=\"1}", "m{a=\"1\",a=\"2\"}", "sum(m)", "m{} + 1"}) {
    EXPECT_FALSE(ParseSelector(text)) << text;
  }
}

}  // namespace
}  // namespace autoglm::slo
