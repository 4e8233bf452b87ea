#include "console/slo_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include "http/server.h"
#include "support/temporary_folder.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;

constexpr const char* kFile =
    R"({"slo": {"service": "user-api", "objective": "95th_percentile_latency", "target": 300, "unit": "milliseconds"}})";

class SloServiceTest : public testing::Test {
 protected:
  std::unique_ptr<SloService> Start(SloServiceOptions options = {}) {
    options.file = *slo::ParseSloFile(kFile, "slo.json");
    options.interval = std::chrono::milliseconds(5);
    auto service = SloService::Start(std::move(options), metrics_, Clock::Real());
    EXPECT_TRUE(service) << service.error().message;
    return *std::move(service);
  }
  bool Observe(SloService& service, int milliseconds) {
    RequestRecord record;
    record.route = names_.IndexOf("/v1/chat/completions");
    record.model = names_.IndexOf("m");
    record.status = 200;
    record.total_ns = milliseconds * int64_t{1'000'000};
    return service.Observe(record, names_);
  }
  bool WaitForMetric(const std::string& text) {
    for (int i = 0; i < 2000; ++i) {
      if (metrics_.Render(MetricFormat::kPrometheusText).find(text) != std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }

  MetricSet metrics_;
  InternedNames names_;
};

TEST_F(SloServiceTest, TellsBrokenFromKept) {
  const auto service = Start();
  EXPECT_FALSE(Observe(*service, 300));
  EXPECT_TRUE(Observe(*service, 301));
  EXPECT_TRUE(WaitForMetric("autoglm_slo_objective_ratio{slo=\"user-api-latency-p95-300ms\"} 0.95"));
}

TEST_F(SloServiceTest, Alert_IsTold_AndClosesTheGate) {
  std::mutex mutex;
  std::string told;
  auto receiver = http::Server::Start({.port = 0}, [&](auto request, auto exchange) {
    {
      const std::lock_guard lock(mutex);
      told = request->body;
    }
    exchange->Send({.status = 200, .headers = {}, .body = {}});
  });
  ASSERT_TRUE(receiver);
  SloServiceOptions options;
  options.webhook = *CollectorAddress::Parse("http://127.0.0.1:" + std::to_string((*receiver)->port()) + "/alerts");
  const auto service = Start(std::move(options));
  for (int i = 0; i < 200; ++i) Observe(*service, 5000);
  EXPECT_TRUE(WaitForMetric("autoglm_slo_gate_open{slo=\"user-api-latency-p95-300ms\"} 0"));
  EXPECT_TRUE(WaitForMetric("severity=\"page\",slo=\"user-api-latency-p95-300ms\"} 1"));
  EXPECT_THAT(service->StatusJson(), HasSubstr("closed"));
  for (int i = 0; i < 2000; ++i) {
    const std::lock_guard lock(mutex);
    if (!told.empty()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const std::lock_guard lock(mutex);
  EXPECT_THAT(told, HasSubstr("\"status\":\"firing\""));
}

TEST_F(SloServiceTest, WhatWasCounted_OutlivesTheService) {
  const autoglm::TemporaryFolder folder;
  SloServiceOptions options;
  options.state = folder.path() / "slo.state";
  {
    const auto service = Start(options);
    for (int i = 0; i < 100; ++i) Observe(*service, i < 5 ? 500 : 100);
  }
  const auto again = Start(options);
  EXPECT_THAT(again->StatusJson(), HasSubstr("100"));
}

}  // namespace
}  // namespace autoglm
