#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace autoglm::slo {

// What is counted as good.
enum class Indicator {
  kLatency,       // the whole answer within the threshold
  kFirstToken,    // its first visible token within the threshold
  kAvailability,  // an answer at all
  kRawRatio,      // what queries of somebody else's OpenSLO say; only Prometheus can count it
};
std::string_view IndicatorName(Indicator indicator);  // "latency", ...

// As objectives are written: the number behind "target".
enum class Unit { kMilliseconds, kSeconds, kMinutes, kPercent, kRatio };
std::string_view UnitName(Unit unit);
// Long and short names. Errors: kInvalidArgument.
Result<Unit> ParseUnit(std::string_view text);

// PromQL of counters, from an OpenSLO file: total, and one of good and bad.
struct RawQueries {
  std::string good;
  std::string bad;
  std::string total;

  bool operator==(const RawQueries&) const = default;
};

// Which requests an objective is about; empty: all. '*' stands for any characters, except in slo_class.
struct Selection {
  std::string model;
  std::string slo_class;  // interactive, standard, batch or custom
  std::string route;      // of a gateway
  std::string path;       // of the request; availability without one is about /v1/*
  std::string tenant;     // no metric carries it: the built-in evaluator alone can count by it

  bool operator==(const Selection&) const = default;
};

// One service level objective: this share of requests is good, within this window.
struct Objective {
  std::string service;
  std::string name;            // unlike all others of the service
  std::string objective_name;  // as it was written: "95th_percentile_latency"
  Indicator indicator = Indicator::kLatency;
  double target = 0;       // share of requests that must be good, in (0, 1)
  double threshold_s = 0;  // of latencies
  Unit unit = Unit::kMilliseconds;
  std::chrono::hours window{30 * 24};
  Selection selection;
  RawQueries queries;      // of kRawRatio
  bool count_429 = false;  // a refusal for load is a failure too
  int64_t min_events = 5;  // bad ones, before which nothing fires and no budget counts as used up
  std::string description;
  std::string runbook_url;
  std::string owner;
  std::string team;

  // Share of requests that may be bad.
  double budget() const;
  bool has_threshold() const { return indicator == Indicator::kLatency || indicator == Indicator::kFirstToken; }
  // "user-api-latency-p95-300ms": the label sloth_id.
  std::string id() const { return service + "-" + name; }
  int window_days() const { return static_cast<int>(window.count() / 24); }
  // In its own unit, as it is written.
  double target_in_unit() const;

  bool operator==(const Objective&) const = default;
};

// What an answer means for an objective.
enum class Outcome { kGood, kBad, kLeftOut };
// Of its status alone. 5xx and 408 are bad; 4xx, of which 499 is a client that went away, are left out, neither good nor bad; 429
// is bad where the objective says so.
Outcome OutcomeOfStatus(int status, bool count_429);

// A number as Prometheus and people write it: "0.3", "300", "99.9".
std::string NumberText(double value);
// Without the noise of binary fractions: 99.9 / 100 becomes 0.999.
double RoundDecimal(double value);
// "latency-p95-300ms": what an objective without a name is called.
std::string DefaultName(const Objective& objective);
// What of a text may stand in a name: "Chat 99.9" becomes "chat-99-9"; at most 63 bytes, perhaps none.
std::string NamePart(std::string_view text);
// A lower-case DNS label of 1 to 63 bytes, as OpenSLO wants names. Errors: kInvalidArgument.
Result<std::string> ParseObjectiveName(std::string_view text);

// Thresholds in seconds, sorted, each once: boundaries that the histogram of this indicator must have, so that the objectives can
// be counted exactly. `kLatency` or `kFirstToken`.
std::vector<double> BucketBoundaries(const std::vector<Objective>& objectives, Indicator indicator);
// `boundaries` with those of the objectives among them, ascending, each once.
std::vector<double> WithBoundaries(std::vector<double> boundaries, const std::vector<Objective>& objectives, Indicator indicator);

}  // namespace autoglm::slo
