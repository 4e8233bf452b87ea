#include "tracing/request_observer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace autoglm {
namespace {

RequestRecord Unremarkable() {
  RequestRecord record;
  record.status = 200;
  record.trace = {1, 0x00ffffffffffffff};  // the last that a ratio picks
  record.total_ns = 1'000'000;
  return record;
}

TEST(IsTraceKeptTest, WhatIsRemarkable_IsAlwaysKept) {
  const TracingOptions options{.exporters = {}, .sample_ratio = 0, .slow = std::chrono::milliseconds(500)};
  EXPECT_FALSE(IsTraceKept(Unremarkable(), options));
  const auto is_kept = [&](auto change) {
    RequestRecord record = Unremarkable();
    change(record);
    return IsTraceKept(record, options);
  };
  EXPECT_TRUE(is_kept([](RequestRecord& record) { record.status = 503; }));
  EXPECT_FALSE(is_kept([](RequestRecord& record) { record.status = 404; }));
  EXPECT_TRUE(is_kept([](RequestRecord& record) { record.violates_slo = true; }));
  EXPECT_TRUE(is_kept([](RequestRecord& record) { record.total_ns = 500'000'001; }));
  EXPECT_FALSE(is_kept([](RequestRecord& record) { record.total_ns = 500'000'000; }));
  EXPECT_TRUE(is_kept([](RequestRecord& record) { record.is_client_gone = true; }));
  EXPECT_TRUE(is_kept([](RequestRecord& record) { record.num_attempts = 2; }));
  EXPECT_TRUE(is_kept([](RequestRecord& record) { record.is_sampled = true; }));
}

TEST(IsTraceKeptTest, TheRatioPicksByTheTrace) {
  RequestRecord record = Unremarkable();
  EXPECT_TRUE(IsTraceKept(record, {.exporters = {}, .sample_ratio = 1}));
  record.trace.low = uint64_t{1} << 54;  // a quarter of the way
  EXPECT_TRUE(IsTraceKept(record, {.exporters = {}, .sample_ratio = 0.26}));
  EXPECT_FALSE(IsTraceKept(record, {.exporters = {}, .sample_ratio = 0.25}));
}

TEST(RequestObserverTest, SeesEveryRecordOnce) {
  RequestLog log(Clock::Real());
  std::vector<std::string> seen;
  {
    RequestObserver observer(log, {}, [&](const RequestRecord& record) { seen.emplace_back(record.id.view()); });
    for (int i = 0; i < 3; ++i) log.Begin({.id = std::to_string(i), .method = "GET"});
    observer.CatchUp();
    log.Begin({.id = "last", .method = "GET"});
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"0", "1", "2", "last"}));
}

}  // namespace
}  // namespace autoglm
