#include "discovery/dns_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include "discovery/source_notes.h"

namespace autoglm::discovery {
namespace {

using Answer = Result<std::vector<FoundEndpoint>>;

class DnsSourceTest : public ::testing::Test {
 protected:
  ~DnsSourceTest() override {
    thread_.RunAndWait([this] { source_.reset(); });
  }
  // DNS says these one after the other, the last for ever.
  void Start(std::vector<Answer> answers) {
    const auto look = [this, answers = std::move(answers)] {
      const size_t index = num_looks_++;
      return answers[std::min(index, answers.size() - 1)];
    };
    const gateway::DiscoveryConfig config{.dns_interval = std::chrono::milliseconds(2), .like = {.api_key = "k"}};
    thread_.RunAndWait([&] { source_.emplace(look, config, thread_.loop(), notes_.Hooks()); });
  }

  std::atomic<size_t> num_looks_ = 0;
  SourceNotes notes_;
  http::LoopThread thread_;
  std::optional<DnsSource> source_;
};

TEST_F(DnsSourceTest, ListsThatChangeAreTold) {
  const FoundEndpoint a{.host = "10.0.0.1", .port = 80};
  const FoundEndpoint b{.host = "10.0.0.2", .port = 80};
  Start({Answer({b, a}), Answer({a, b}), Answer({b})});
  EXPECT_EQ(notes_.At(0), "http://10.0.0.1:80 http://10.0.0.2:80");
  EXPECT_EQ(notes_.At(1), "http://10.0.0.2:80") << "an order is no change";
}

TEST_F(DnsSourceTest, TroubleKeepsTheListAndIsToldOnce) {
  const FoundEndpoint a{.host = "10.0.0.1", .port = 80};
  const Answer gone = Fail(ErrorCode::kNotFound, "no such name");
  const Answer down = Fail(ErrorCode::kUnavailable, "no name server");
  Start({Answer({a}), gone, gone, down, Answer({a}), gone, Answer({a, a}), gone});
  EXPECT_EQ(notes_.At(0), "http://10.0.0.1:80");
  EXPECT_EQ(notes_.At(1), "problem: no such name");
  EXPECT_EQ(notes_.At(2), "problem: no name server");
  EXPECT_EQ(notes_.At(3), "problem: no such name") << "it was solved in between";
  EXPECT_EQ(notes_.At(4), "problem: no such name") << "and the list was the same";
}

}  // namespace
}  // namespace autoglm::discovery
