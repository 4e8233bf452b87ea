#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/periodic_thread.h"
#include "base/result.h"
#include "http/event_loop.h"
#include "slo/slo_monitor.h"
#include "telemetry/metric_set.h"
#include "telemetry/request_log.h"
#include "tracing/collector_sender.h"

namespace autoglm {

struct SloServiceOptions {
  slo::SloFile file;
  std::filesystem::path state;                // what has been counted outlives the process there; empty: it does not
  std::optional<CollectorAddress> webhook;    // told of alerts as Alertmanager tells
  std::string external_url;                   // of this process, for whoever gets an alert
  std::chrono::milliseconds interval{5'000};  // at which objectives are judged
};

// A process's objectives: counts what a log's requests were, judges it every few seconds, tells metrics, the log and a webhook,
// and keeps it on the disk.
class SloService {
 public:
  // The metrics and the clock outlive it. Errors: of the state file, but for one that is not there.
  static Result<std::unique_ptr<SloService>> Start(SloServiceOptions options, MetricSet& metrics, const Clock& clock);
  ~SloService();  // keeps what has been counted
  SloService(const SloService&) = delete;
  SloService& operator=(const SloService&) = delete;

  // Whether a request that was just answered broke an objective. Any thread.
  bool Observe(const RequestRecord& record, const InternedNames& names);
  // GET /v1/slo. Any thread.
  std::string StatusJson() { return monitor_.StatusJson(); }

 private:
  SloService(SloServiceOptions options, MetricSet& metrics, const Clock& clock);

  void Judge();
  void TellMetrics(const slo::SloStatus& status);
  void OnTransition(const slo::AlertTransition& transition);
  void SendNext();
  void Save();

  const SloServiceOptions options_;
  MetricSet& metrics_;
  slo::SloMonitor monitor_;
  std::chrono::steady_clock::time_point saved_at_ = std::chrono::steady_clock::now();  // on the judging thread

  std::unique_ptr<http::LoopThread> thread_;  // null: no webhook
  // On its thread.
  std::unique_ptr<CollectorSender> sender_;
  std::deque<std::string> to_send_;

  std::unique_ptr<PeriodicThread> judging_;
};

}  // namespace autoglm
