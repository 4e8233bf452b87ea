#include "slo/slo_monitor.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/atomic_file.h"
#include "base/name_pattern.h"
#include "base/text_file.h"
#include "json/fields.h"

namespace autoglm::slo {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// A share of bad requests this unlikely, were the objective just kept, is no chance.
constexpr double kSignificance = 0.01;
constexpr std::array<minutes, 7> kWindows = {minutes(5),   minutes(30),   minutes(60),  minutes(120),
                                             minutes(360), minutes(1440), minutes(4320)};
constexpr int kFileVersion = 1;
constexpr JsonLimits kFileLimits{.max_bytes = 256 << 20, .max_values = 1 << 24};

UnixSeconds ToUnix(WallTime time) { return std::chrono::floor<seconds>(time.time_since_epoch()).count(); }
WallTime FromUnix(UnixSeconds time) { return WallTime(seconds(time)); }

bool Fits(const std::string& pattern, std::string_view text) { return pattern.empty() || FitsPattern(text, pattern); }

bool IsAbout(const Objective& objective, const SloEvent& event) {
  const Selection& selection = objective.selection;
  if (!Fits(selection.model, event.model) || !Fits(selection.route, event.route) || !Fits(selection.path, event.path))
    return false;
  if (!selection.slo_class.empty() && selection.slo_class != event.slo_class) return false;
  if (!Fits(selection.tenant, event.tenant)) return false;
  if (objective.indicator != Indicator::kAvailability) return !event.model.empty() || !event.route.empty();
  return !selection.path.empty() || event.path.empty() || event.path.starts_with("/v1/");
}

// What counts decide about: had it changed, old counts would say something else.
std::string Meaning(const Objective& objective) {
  const Selection& selection = objective.selection;
  return fmt::format("{} {} {} model={} class={} route={} path={} tenant={}", IndicatorName(objective.indicator),
                     NumberText(objective.threshold_s), objective.count_429, selection.model, selection.slo_class,
                     selection.route, selection.path, selection.tenant);
}

bool IsBurning(const Objective& objective, const BurnRule& rule, const SlidingCounts& counts, UnixSeconds now) {
  const double threshold = rule.ErrorRatio(objective.budget());
  const EventCounts of_short = counts.Sum(now, rule.short_window);
  const EventCounts of_long = counts.Sum(now, rule.long_window);
  return of_short.error_ratio() > threshold && of_long.error_ratio() > threshold && of_long.bad >= objective.min_events &&
         BinomialTail(of_long.bad, of_long.total, objective.budget()) < kSignificance;
}

WindowStatus StatusOfWindow(std::string name, const EventCounts& counts, double budget) {
  return {.window = std::move(name), .counts = counts, .burn_rate = counts.error_ratio() / budget};
}

Json AlertToJson(const AlertStatus& alert) { return {{"firing", alert.is_firing}, {"since", ToUnix(alert.since)}}; }

// What was saved of one objective.
struct Saved {
  SlidingCounts counts;
  std::array<AlertStatus, 2> alerts;
};

Result<Saved> ReadSaved(const Json& json, SlidingCounts counts, const std::array<AlertStatus, 2>& alerts, UnixSeconds now) {
  Saved saved{std::move(counts), alerts};
  AUTOGLM_TRY_VOID(saved.counts.Load(json, now));
  const auto list = json.find("alerts");
  if (list == json.end() || !list->is_array() || list->size() != saved.alerts.size()) {
    return Fail(ErrorCode::kCorruptFile, "'alerts' must be a list of two");
  }
  for (size_t i = 0; i < saved.alerts.size(); ++i) {
    AUTOGLM_TRY(const JsonFields fields, JsonFields::Of((*list)[i], "alerts"));
    AUTOGLM_TRY(const std::optional<bool> firing, fields.Bool("firing"));
    AUTOGLM_TRY(const std::optional<int64_t> since, fields.Integer("since"));
    if (!firing || !since || *since < 0 || *since > now) continue;
    saved.alerts[i].is_firing = *firing;
    saved.alerts[i].since = FromUnix(*since);
  }
  return saved;
}

}  // namespace

Outcome Judge(const Objective& objective, const SloEvent& event) {
  if (objective.indicator == Indicator::kRawRatio || !IsAbout(objective, event)) return Outcome::kLeftOut;
  const Outcome outcome = OutcomeOfStatus(event.status, objective.count_429);
  if (outcome != Outcome::kGood || objective.indicator == Indicator::kAvailability) return outcome;
  if (objective.indicator == Indicator::kLatency) {
    return Seconds(event.latency) <= objective.threshold_s ? Outcome::kGood : Outcome::kBad;
  }
  if (!event.time_to_first_token) return Outcome::kLeftOut;
  return Seconds(*event.time_to_first_token) <= objective.threshold_s ? Outcome::kGood : Outcome::kBad;
}

SloMonitor::Tracked::Tracked(const Objective& of)
    : objective(&of),
      rules(RulesFor(of.budget(), of.window, FactorChoice::kFitted)),
      counts(of.window),
      alerts{AlertStatus{.severity = Severity::kPage}, AlertStatus{.severity = Severity::kTicket}} {}

SloMonitor::SloMonitor(SloFile file, const Clock& clock, WallTime wall_now)
    : file_(std::move(file)), clock_(clock), started_(clock.Now()), wall_started_(wall_now) {
  tracked_.reserve(file_.objectives.size());
  for (const Objective& objective : file_.objectives) tracked_.emplace_back(objective);
}

WallTime SloMonitor::WallNow() const {
  return wall_started_ + std::chrono::duration_cast<WallTime::duration>(clock_.Now() - started_);
}

bool SloMonitor::Observe(const SloEvent& event) {
  const UnixSeconds now = ToUnix(WallNow());
  bool is_bad_for_any = false;
  const std::lock_guard lock(mutex_);
  for (Tracked& tracked : tracked_) {
    const Outcome outcome = Judge(*tracked.objective, event);
    if (outcome == Outcome::kLeftOut) continue;
    const bool is_bad = outcome == Outcome::kBad;
    tracked.counts.Add(now, is_bad);
    is_bad_for_any = is_bad_for_any || is_bad;
  }
  return is_bad_for_any;
}

ObjectiveStatus SloMonitor::StatusOf(Tracked& tracked, WallTime now, std::vector<AlertTransition>& transitions) const {
  const Objective& objective = *tracked.objective;
  ObjectiveStatus status{.objective = objective};
  if (objective.indicator == Indicator::kRawRatio) {
    status.unknown = "its queries are for Prometheus: ask with --prometheus";
    return status;
  }
  const UnixSeconds time = ToUnix(now);
  for (const minutes window : kWindows) {
    status.windows.push_back(StatusOfWindow(WindowText(window), tracked.counts.Sum(time, window), objective.budget()));
  }
  status.counts = tracked.counts.Sum(time, objective.window);
  status.windows.push_back(StatusOfWindow(fmt::format("{}d", objective.window_days()), status.counts, objective.budget()));
  status.budget_remaining = 1 - status.windows.back().burn_rate;
  for (AlertStatus& alert : tracked.alerts) {
    const bool is_firing = std::ranges::any_of(tracked.rules, [&](const BurnRule& rule) {
      return rule.severity == alert.severity && IsBurning(objective, rule, tracked.counts, time);
    });
    if (is_firing != alert.is_firing) {
      const WallTime starts_at = is_firing ? now : alert.since;
      alert.is_firing = is_firing;
      alert.since = now;
      transitions.push_back(TransitionOf(objective, alert, starts_at));
    }
    status.alerts.push_back(alert);
  }
  return status;
}

SloStatus SloMonitor::Evaluate() {
  std::vector<AlertTransition> transitions;
  SloStatus status{.time = WallNow()};
  {
    const std::lock_guard lock(mutex_);
    for (Tracked& tracked : tracked_) status.objectives.push_back(StatusOf(tracked, status.time, transitions));
    // What Prometheus alone can count says nothing for or against.
    std::vector<ObjectiveStatus> counted = status.objectives;
    std::erase_if(counted, [](const ObjectiveStatus& objective) { return !objective.unknown.empty(); });
    status.gate = JudgeGate(counted, file_.gate);
    last_ = status;
  }
  if (on_transition_) std::ranges::for_each(transitions, on_transition_);
  return status;
}

std::string SloMonitor::StatusJson() {
  {
    const std::lock_guard lock(mutex_);
    if (last_) return DumpJson(ToJson(*last_));
  }
  return DumpJson(ToJson(Evaluate()));
}

Status SloMonitor::Save(const std::filesystem::path& path) const {
  std::vector<Tracked> copy;
  {
    const std::lock_guard lock(mutex_);
    copy = tracked_;
  }
  Json list = Json::array();
  for (const Tracked& tracked : copy) {
    Json entry = tracked.counts.ToJson();
    entry["id"] = tracked.objective->id();
    entry["meaning"] = Meaning(*tracked.objective);
    entry["alerts"] = {AlertToJson(tracked.alerts[0]), AlertToJson(tracked.alerts[1])};
    list.push_back(std::move(entry));
  }
  const std::string text = DumpJson({{"version", kFileVersion}, {"objectives", std::move(list)}});
  AUTOGLM_TRY(AtomicFile file, AtomicFile::Create(path));
  AUTOGLM_TRY_VOID(file.Write(std::as_bytes(std::span(text))));
  return file.Commit();
}

Status SloMonitor::Load(const std::filesystem::path& path) {
  const auto corrupt = [&path](std::string_view what) {
    return Fail(ErrorCode::kCorruptFile, fmt::format("{}: {}; without the file, budgets begin anew", path.string(), what));
  };
  AUTOGLM_TRY(const std::string text, ReadTextFile(path, kFileLimits.max_bytes));
  const Result<Json> json = ParseJson(text, kFileLimits);
  if (!json) return corrupt(json.error().message);
  if (!json->is_object() || json->value("version", Json()) != Json(kFileVersion)) return corrupt("is not of this version");
  const auto list = json->find("objectives");
  if (list == json->end() || !list->is_array()) return corrupt("'objectives' must be a list");

  const std::lock_guard lock(mutex_);
  const UnixSeconds now = ToUnix(WallNow());
  std::vector<std::pair<Tracked*, Saved>> all;
  for (const Json& entry : *list) {
    if (!entry.is_object()) return corrupt("an objective must be an object");
    for (Tracked& tracked : tracked_) {
      if (entry.value("id", Json()) != Json(tracked.objective->id())) continue;
      if (entry.value("meaning", Json()) != Json(Meaning(*tracked.objective))) continue;
      Result<Saved> saved = ReadSaved(entry, tracked.counts, tracked.alerts, now);
      if (!saved) return corrupt(saved.error().message);
      all.emplace_back(&tracked, *std::move(saved));
    }
  }
  for (auto& [tracked, saved] : all) {
    tracked->counts = std::move(saved.counts);
    tracked->alerts = saved.alerts;
  }
  return {};
}

}  // namespace autoglm::slo
