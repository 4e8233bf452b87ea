#include "telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/test_paths.h"
#include "telemetry/metric_catalogue.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;

// What an exposition says of its families.
struct Described {
  std::string type;
  std::set<std::string> labels;
  std::string help;
};

std::map<std::string, Described> ReadExport(const std::string& text) {
  std::map<std::string, Described> found;
  std::istringstream lines(text);
  std::string family;
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, std::regex("# HELP ([^ ]+) (.*)"))) {
      family = match[1];
      found[family].help = match[2];
    } else if (std::regex_match(line, match, std::regex("# TYPE ([^ ]+) (.*)"))) {
      found[match[1]].type = match[2];
    } else {
      const std::regex label("([a-z_]+)=\"");
      for (std::sregex_iterator it(line.begin(), line.end(), label), end; it != end; ++it) {
        if ((*it)[1] != "le") found[family].labels.insert((*it)[1]);
      }
    }
  }
  return found;
}

std::set<std::string> Words(std::string_view names) {
  std::set<std::string> words;
  const std::string text(names);
  const std::regex word("[a-z_]+");
  for (std::sregex_iterator it(text.begin(), text.end(), word), end; it != end; ++it) words.insert(it->str());
  return words;
}

TEST(MetricCatalogue, DocumentHoldsItsTables) {
  std::ifstream file(SourceDir() / "docs/METRICS.md");
  std::stringstream document;
  document << file.rdbuf();
  EXPECT_THAT(document.str(), HasSubstr(CatalogueMarkdown())) << "write anew what `autoglm metrics` prints";
}

TEST(ServerMetrics, ExportsWhatTheCatalogueSays) {
  ServerMetrics metrics;
  InternedNames names;
  const ModelMetrics& model = metrics.ForModel("m");
  model.time_to_first_token.For("standard").Observe(1);
  model.e2e_latency.For("standard").Observe(1);
  metrics.HttpRequests("/health", 200).Increment();
  RequestRecord record;
  record.model = names.IndexOf("m");
  record.tenant = names.IndexOf("t");
  record.stages[0] = 1;
  metrics.ObserveStages(record, names);
  metrics.FlushStages();
  const auto exported = ReadExport(metrics.RenderText());
  for (const MetricInfo& info : MetricCatalogue()) {
    const bool is_made_elsewhere = info.name.starts_with("autoglm_slo_") || info.name.starts_with("autoglm_trace_");
    if (info.source == MetricSource::kGateway || is_made_elsewhere) continue;
    ASSERT_TRUE(exported.contains(std::string(info.name))) << info.name << " is not exported";
    const Described& described = exported.at(std::string(info.name));
    EXPECT_EQ(described.help, info.help);
    EXPECT_EQ(described.labels, Words(info.labels)) << info.name;
  }
  for (const auto& [name, described] : exported) EXPECT_EQ(described.help, MetricNamed(name).help);
}

TEST(ServerMetrics, ManyTenants_ShareTheLastPlace) {
  ServerMetrics metrics;
  InternedNames names;
  for (int i = 0; i < 200; ++i) {
    RequestRecord record;
    record.model = names.IndexOf("m");
    record.tenant = names.IndexOf("tenant-" + std::to_string(i));
    metrics.ObserveStages(record, names);
  }
  const std::string text = metrics.RenderText();
  EXPECT_THAT(text, HasSubstr("autoglm_tenant_requests_total{model_name=\"m\",tenant=\"tenant-99\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("autoglm_tenant_requests_total{model_name=\"m\",tenant=\"other\"} 100\n"));
}

TEST(ServerMetrics, Stages_AreInTheirBucketsOnceFlushed) {
  ServerMetrics metrics;
  InternedNames names;
  RequestRecord record;
  record.model = names.IndexOf("m");
  const auto queue = static_cast<size_t>(Stage::kQueue);
  for (const int64_t nanoseconds : {int64_t{1}, int64_t{1'000}, int64_t{30'000'000}, int64_t{1'000'000'000'000}}) {
    record.stages[queue] = nanoseconds;
    metrics.ObserveStages(record, names);
  }
  EXPECT_THAT(metrics.RenderText(), HasSubstr("autoglm_request_stage_seconds_count{model_name=\"m\",stage=\"queue\"} 0\n"));
  for (int i = 0; i < 2; ++i) metrics.FlushStages();  // the second has nothing to add
  const std::string text = metrics.RenderText();
  const std::string series = "autoglm_request_stage_seconds_bucket{model_name=\"m\",stage=\"queue\",le=";
  EXPECT_THAT(text, HasSubstr(series + "\"1e-06\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(series + "\"0.025\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(series + "\"0.05\"} 3\n"));
  EXPECT_THAT(text, HasSubstr(series + "\"300\"} 3\n"));
  EXPECT_THAT(text, HasSubstr(series + "\"+Inf\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("autoglm_request_stage_seconds_sum{model_name=\"m\",stage=\"queue\"} 1000.03"));
}

TEST(ServerMetrics, Values_AppearInTheText) {
  ServerMetrics metrics;
  ModelMetrics& smol = metrics.ForModel("smol");
  EXPECT_EQ(&metrics.ForModel("smol"), &smol);
  smol.time_to_first_token.For("standard").Observe(0.003);
  smol.prompt_tokens.Increment(12);
  metrics.ForModel("other").prompt_tokens.Increment(5);
  smol.num_requests_running.Set(3);
  smol.RequestsFinished("length").Increment();
  metrics.HttpRequests("/v1/models", 200).Increment();
  const std::string text = metrics.RenderText();
  EXPECT_THAT(
      text, HasSubstr("autoglm_time_to_first_token_seconds_bucket{model_name=\"smol\",slo_class=\"standard\",le=\"0.001\"} 0\n"));
  EXPECT_THAT(
      text, HasSubstr("autoglm_time_to_first_token_seconds_bucket{model_name=\"smol\",slo_class=\"standard\",le=\"0.005\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("autoglm_prompt_tokens_total{model_name=\"smol\"} 12\n"));
  EXPECT_THAT(text, HasSubstr("autoglm_prompt_tokens_total{model_name=\"other\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("autoglm_num_requests_running{model_name=\"smol\"} 3\n"));
  EXPECT_TRUE(std::regex_search(text, std::regex("request_success_total\\{.*length.*\\} 1\n"))) << text;
  EXPECT_TRUE(std::regex_search(text, std::regex("request_success_total\\{.*cancelled.*\\} 0\n"))) << text;
  EXPECT_TRUE(std::regex_search(text, std::regex("http_requests_total\\{.*/v1/models.*\\} 1\n"))) << text;
}

TEST(ServerMetrics, ProcessNumbers_AreAlive) {
  ServerMetrics metrics;
  const std::string text = metrics.RenderText();
  EXPECT_FALSE(std::regex_search(text, std::regex("process_resident_memory_bytes 0\n")));
  EXPECT_TRUE(std::regex_search(text, std::regex("process_resident_memory_bytes [1-9]")));
  EXPECT_TRUE(std::regex_search(text, std::regex("process_start_time_seconds [1-9]")));
  EXPECT_TRUE(std::regex_search(text, std::regex("process_cpu_seconds_total [0-9]")));
  EXPECT_TRUE(std::regex_search(text, std::regex("autoglm_build_info\\{version=\"[0-9.]+\"\\} 1\n")));
}

TEST(ServerMetrics, HostileLabelValue_IsEscaped) {
  ServerMetrics metrics;
  metrics.ForModel("a\"b\\c\nd");
  EXPECT_THAT(metrics.RenderText(), HasSubstr(R"(model_name="a\"b\\c\nd")"));
}

TEST(SetCounterTotal, RaisesAndNeverLowers) {
  prometheus::Counter counter;
  SetCounterTotal(counter, 5);
  EXPECT_EQ(counter.Value(), 5);
  SetCounterTotal(counter, 5);
  SetCounterTotal(counter, 3);
  EXPECT_EQ(counter.Value(), 5);
}

TEST(SetCounterTotal, ConcurrentScrapes_CountOnce) {
  prometheus::Counter counter;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int total = 1; total <= 1000; ++total) SetCounterTotal(counter, total);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.Value(), 1000);
}

}  // namespace
}  // namespace autoglm
