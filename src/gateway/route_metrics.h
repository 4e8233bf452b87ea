#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "telemetry/metric_set.h"

namespace autoglm::gateway {

// Counters of one family that differ in a label with few values which is a status code: found without a lock.
class CodeCounters {
 public:
  CodeCounters(prometheus::Family<prometheus::Counter>& family, prometheus::Labels labels)
      : family_(family), labels_(std::move(labels)) {}

  // Statuses are 100 to 599; everything else counts as 0, "none": there was no answer.
  void Count(int code);

 private:
  prometheus::Family<prometheus::Counter>& family_;
  const prometheus::Labels labels_;
  std::array<std::atomic<prometheus::Counter*>, 600> by_code_ = {};
};

struct GatewayFamilies;

// What is measured of one upstream of a route.
struct UpstreamMetrics {
  UpstreamMetrics(GatewayFamilies& families, const prometheus::Labels& labels);

  CodeCounters requests;
  prometheus::Gauge& inflight;
  prometheus::Gauge& is_available;   // 0 or 1
  prometheus::Gauge& breaker_state;  // 0 closed, 1 open, 2 half open
};

// What is measured of one route. Any thread.
class RouteMetrics {
 public:
  RouteMetrics(GatewayFamilies& families, std::string route);

  CodeCounters requests;
  TracedHistogram& duration;        // seconds
  TracedHistogram& first_token;     // seconds
  prometheus::Histogram& decision;  // seconds
  prometheus::Histogram& matched;   // share of a prompt, 0 to 1
  prometheus::Counter& input_tokens;
  prometheus::Counter& output_tokens;
  prometheus::Gauge& queue_depth;
  prometheus::Gauge& retry_budget_remaining;

  // Made when they are first named; few.
  prometheus::Counter& Retries(const std::string& reason);
  prometheus::Counter& Hedges(const std::string& outcome);
  prometheus::Counter& ContinuedStreams(const std::string& outcome);
  prometheus::Counter& Degraded(const std::string& step);
  prometheus::Gauge& KnownBlocks();  // of routes that have an exact prefix index
  UpstreamMetrics& ForUpstream(const std::string& name);

 private:
  GatewayFamilies& families_;
  const std::string route_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<UpstreamMetrics>> upstreams_;
};

}  // namespace autoglm::gateway
