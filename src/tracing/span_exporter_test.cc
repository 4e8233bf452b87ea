#include "tracing/span_exporter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "http/server.h"
#include "json/json.h"

namespace autoglm {
namespace {

// A collector of this process.
class SpanExporterTest : public testing::Test {
 protected:
  using Answer = std::function<int()>;  // a status; 0: none, ever

  void StartCollector(Answer answer) {
    answer_ = std::move(answer);
    auto server = http::Server::Start({.port = 0}, [this](auto request, auto exchange) {
      const int status = answer_();
      {
        const std::lock_guard lock(mutex_);
        bodies_.push_back(request->body);
        paths_.push_back(request->path);
        if (status == 0) unanswered_.push_back(exchange);
      }
      if (status != 0) exchange->Send({.status = status, .headers = {}, .body = {}});
    });
    ASSERT_TRUE(server);
    server_ = *std::move(server);
  }
  SpanExporterOptions Options() const {
    SpanExporterOptions options{.format = SpanFormat::kZipkinJson, .interval = std::chrono::milliseconds(1)};
    options.address = *CollectorAddress::Parse("http://127.0.0.1:" + std::to_string(server_->port()) + "/base/");
    return options;
  }
  static std::vector<Span> Spans(size_t count) {
    std::vector<Span> spans(count);
    for (Span& span : spans) span = {.trace = {1, 2}, .id = {3}, .parent = {}, .name = "s"};
    return spans;
  }
  static bool WaitFor(const std::function<bool()>& is_so) {
    for (int i = 0; i < 5000 && !is_so(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return is_so();
  }
  size_t NumReceived() {
    const std::lock_guard lock(mutex_);
    size_t count = 0;
    for (const std::string& body : bodies_) count += ParseJson(body)->size();
    return count;
  }

  Answer answer_;
  std::mutex mutex_;
  std::vector<std::string> bodies_;
  std::vector<std::string> paths_;
  std::vector<std::shared_ptr<http::Exchange>> unanswered_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(SpanExporterTest, SpansArriveInBatches) {
  StartCollector([] { return 202; });
  SpanExporterOptions options = Options();
  options.max_batch = 10;
  SpanExporter exporter(options);
  for (int i = 0; i < 5; ++i) exporter.Add(Spans(7));
  EXPECT_TRUE(WaitFor([&] { return exporter.num_exported() == 35; })) << exporter.num_exported();
  EXPECT_EQ(NumReceived(), 35U);
  EXPECT_EQ(exporter.num_dropped(), 0);
  EXPECT_EQ(paths_.front(), "/base/api/v2/spans");
}

TEST_F(SpanExporterTest, WhatIsLeftAtTheEnd_Goes) {
  StartCollector([] { return 202; });
  {
    SpanExporterOptions options = Options();
    options.interval = std::chrono::hours(1);
    SpanExporter exporter(options);
    exporter.Add(Spans(3));
  }
  EXPECT_EQ(NumReceived(), 3U);
}

TEST_F(SpanExporterTest, CollectorInTrouble_IsAskedAgain) {
  std::atomic<int> num_asked = 0;
  StartCollector([&] { return ++num_asked < 3 ? 503 : 202; });
  SpanExporter exporter(Options());
  exporter.Add(Spans(2));
  EXPECT_TRUE(WaitFor([&] { return exporter.num_exported() == 2; }));
  EXPECT_EQ(num_asked, 3);
  EXPECT_EQ(exporter.num_dropped(), 0);
}

TEST_F(SpanExporterTest, Refused_IsDroppedAndCounted) {
  StartCollector([] { return 400; });
  SpanExporter exporter(Options());
  exporter.Add(Spans(2));
  EXPECT_TRUE(WaitFor([&] { return exporter.num_dropped() == 2; }));
  EXPECT_EQ(exporter.num_exported(), 0);
}

TEST_F(SpanExporterTest, CollectorThatHangs_CostsNothingButSpans) {
  StartCollector([] { return 0; });
  SpanExporterOptions options = Options();
  options.max_queued_spans = 20;
  SpanExporter exporter(options);
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) exporter.Add(Spans(5));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(1));
  EXPECT_GE(exporter.num_dropped(), 4900);
}

TEST_F(SpanExporterTest, NobodyListens) {
  StartCollector([] { return 202; });
  SpanExporterOptions options = Options();
  server_.reset();
  SpanExporter exporter(options);
  exporter.Add(Spans(4));
  EXPECT_TRUE(WaitFor([&] { return exporter.num_dropped() == 4; }));
}

TEST(CollectorAddressTest, Parse) {
  EXPECT_EQ(CollectorAddress::Parse("http://collector:4318")->path, "");
  EXPECT_EQ(CollectorAddress::Parse("http://collector:4318/a/b/")->path, "/a/b");
  EXPECT_EQ(CollectorAddress::Parse("http://collector:4318")->origin.port, 4318);
  EXPECT_FALSE(CollectorAddress::Parse("collector:4318"));
}

}  // namespace
}  // namespace autoglm
