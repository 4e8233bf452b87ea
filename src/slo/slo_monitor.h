#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "json/json.h"
#include "slo/alert_webhook.h"
#include "slo/burn_rate.h"
#include "slo/sliding_counts.h"
#include "slo/slo_file.h"
#include "slo/slo_status.h"

namespace autoglm::slo {

// A request that has ended. Texts are read during the call only; empty: not known.
struct SloEvent {
  std::string_view path;       // "/v1/chat/completions"
  std::string_view route;      // of a gateway
  std::string_view model;      // of requests that generate; without it and a route a request counts to no latency
  std::string_view slo_class;  // interactive, standard, batch, custom
  std::string_view tenant;
  int status = 200;  // 499: the client went away
  Duration latency{};
  std::optional<Duration> time_to_first_token;
};

// Counts objectives in this process, without Prometheus, by the same rules: windows, factors, min_events. At low traffic it asks
// more than they can: that the share of bad requests could hardly be chance (an exact binomial test, 1 %). Objectives of
// kRawRatio are not for it, and it says so.
//
// What fails (5xx, 408, and 429 where count_429 says so) is bad for every objective that is about it. Other 4xx and clients that
// went away (499) are left out. A time to first token is judged where there was one, a latency where a request generated.
//
// Any thread. Memory: at most 180 KB for each objective, for 90 days.
class SloMonitor {
 public:
  using OnTransition = std::function<void(const AlertTransition&)>;

  // `wall_now` is the clock's time at this moment: from here on `clock` alone counts, so that a wall clock that is set does no
  // harm.
  SloMonitor(SloFile file, const Clock& clock, WallTime wall_now = std::chrono::system_clock::now());

  // Whoever hears that an alert begins or ends, from within Evaluate and without locks held. Before the first Evaluate.
  void SetOnTransition(OnTransition on_transition) { on_transition_ = std::move(on_transition); }

  // Whether it was bad for at least one objective: then its trace is worth keeping. Takes a short lock; no allocation.
  bool Observe(const SloEvent& event);
  // Judges all windows, alerts and the gate as of now. Every few seconds, by one thread: 3,000 additions for each objective.
  SloStatus Evaluate();
  // What Evaluate found last, as GET /v1/slo answers it; evaluates where it never did.
  std::string StatusJson();

  // Counts and alerts, so that a restart does not give a budget back. Errors: as AtomicFile.
  Status Save(const std::filesystem::path& path) const;
  // Adds what was saved. Of an objective that now counts something else, nothing is taken. Errors: kNotFound where there is no
  // such file, kIo, kCorruptFile with the file's name; all leave the monitor as it was.
  Status Load(const std::filesystem::path& path);

  const std::vector<Objective>& objectives() const { return file_.objectives; }

 private:
  struct Tracked {
    explicit Tracked(const Objective& of);

    const Objective* objective;
    BurnRules rules;
    SlidingCounts counts;
    std::array<AlertStatus, 2> alerts;  // by Severity
  };
  WallTime WallNow() const;
  ObjectiveStatus StatusOf(Tracked& tracked, WallTime now, std::vector<AlertTransition>& transitions) const;

  const SloFile file_;
  const Clock& clock_;
  const TimePoint started_;
  const WallTime wall_started_;
  OnTransition on_transition_;
  mutable std::mutex mutex_;  // of all below
  std::vector<Tracked> tracked_;
  std::optional<SloStatus> last_;
};

// Whether an event is good or bad for an objective, or none of its business.
Outcome Judge(const Objective& objective, const SloEvent& event);

}  // namespace autoglm::slo
