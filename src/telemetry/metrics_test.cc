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

namespace autoglm {
namespace {

using ::testing::HasSubstr;

// One row of docs/METRICS.md, or one family of the exported text.
struct Described {
  std::string type;
  std::set<std::string> labels;
  std::string meaning;
  bool operator==(const Described&) const = default;
};
using Descriptions = std::map<std::string, Described>;

void PrintTo(const Described& d, std::ostream* out) {
  *out << d.type << " {";
  for (const auto& label : d.labels) *out << label << " ";
  *out << "} " << d.meaning;
}

Descriptions ReadDocument() {
  std::ifstream file(SourceDir() / "docs/METRICS.md");
  const std::regex row(R"(\| `([a-z0-9_]+)` \| ([a-z]+) \| [a-z]+ \| ([a-z_, ]*)\| (.+) \|)");
  Descriptions found;
  for (std::string line; std::getline(file, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, row)) continue;
    Described& described = found[match[1]];
    described.type = match[2];
    described.meaning = match[4];
    const std::string labels = match[3];
    const std::regex word("[a-z_]+");
    for (std::sregex_iterator it(labels.begin(), labels.end(), word), end; it != end; ++it) described.labels.insert(it->str());
  }
  return found;
}

Descriptions ReadExport(const std::string& text) {
  Descriptions found;
  std::istringstream lines(text);
  std::string family;
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, std::regex("# HELP ([^ ]+) (.*)"))) {
      family = match[1];
      found[family].meaning = match[2];
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

TEST(ServerMetrics, Document_ListsExactlyWhatIsExported) {
  ServerMetrics metrics;
  metrics.ForModel("m");
  metrics.HttpRequests("/health", 200).Increment();
  const Descriptions documented = ReadDocument();
  const Descriptions exported = ReadExport(metrics.RenderText());
  EXPECT_EQ(documented.size(), 51u);
  for (const auto& [name, described] : documented) {
    ASSERT_TRUE(exported.contains(name)) << name << " is documented and not exported";
    EXPECT_EQ(described, exported.at(name)) << name;
  }
  for (const auto& [name, described] : exported) EXPECT_TRUE(documented.contains(name)) << name << " is not documented";
}

TEST(ServerMetrics, Values_AppearInTheText) {
  ServerMetrics metrics;
  ModelMetrics& smol = metrics.ForModel("smol");
  EXPECT_EQ(&metrics.ForModel("smol"), &smol);
  smol.time_to_first_token.Observe(0.003);
  smol.prompt_tokens.Increment(12);
  metrics.ForModel("other").prompt_tokens.Increment(5);
  smol.num_requests_running.Set(3);
  smol.RequestsFinished("length").Increment();
  metrics.HttpRequests("/v1/models", 200).Increment();
  const std::string text = metrics.RenderText();
  EXPECT_THAT(text, HasSubstr("autoglm_time_to_first_token_seconds_bucket{model_name=\"smol\",le=\"0.001\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("autoglm_time_to_first_token_seconds_bucket{model_name=\"smol\",le=\"0.005\"} 1\n"));
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
