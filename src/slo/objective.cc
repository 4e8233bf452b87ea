#include "slo/objective.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "config/values.h"

namespace autoglm::slo {
namespace {

constexpr NameTable<Indicator, 4> kIndicatorNames = {{{"latency", Indicator::kLatency},
                                                      {"first-screen", Indicator::kFirstToken},
                                                      {"availability", Indicator::kAvailability},
                                                      {"ratio", Indicator::kRawRatio}}};

// The first name of a unit is the one that is written.
constexpr NameTable<Unit, 8> kUnitNames = {{{"milliseconds", Unit::kMilliseconds},
                                            {"seconds", Unit::kSeconds},
                                            {"minutes", Unit::kMinutes},
                                            {"percent", Unit::kPercent},
                                            {"ratio", Unit::kRatio},
                                            {"ms", Unit::kMilliseconds},
                                            {"s", Unit::kSeconds},
                                            {"m", Unit::kMinutes}}};

constexpr size_t kMaxNameBytes = 63;

bool IsNameCharacter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; }

std::string ThresholdText(double threshold_s) {
  if (threshold_s < 10) return NumberText(RoundDecimal(threshold_s * 1000)) + "ms";
  return NumberText(threshold_s) + "s";
}

}  // namespace

std::string_view IndicatorName(Indicator indicator) { return NameIn(kIndicatorNames, indicator); }

std::string_view UnitName(Unit unit) { return NameIn(kUnitNames, unit); }

Result<Unit> ParseUnit(std::string_view text) { return ParseName(text, kUnitNames); }

double Objective::budget() const { return RoundDecimal(1 - target); }

double Objective::target_in_unit() const {
  switch (unit) {
    case Unit::kMilliseconds:
      return RoundDecimal(threshold_s * 1000);
    case Unit::kSeconds:
      return threshold_s;
    case Unit::kMinutes:
      return RoundDecimal(threshold_s / 60);
    case Unit::kPercent:
      return RoundDecimal(target * 100);
    case Unit::kRatio:
      break;
  }
  return target;
}

Outcome OutcomeOfStatus(int status, bool count_429) {
  if (status >= 500 || status == 408) return Outcome::kBad;
  if (status == 429 && count_429) return Outcome::kBad;
  return status >= 400 ? Outcome::kLeftOut : Outcome::kGood;
}

std::string NumberText(double value) {
  const bool is_whole = std::abs(value) < 1e15 && value == std::trunc(value);
  return is_whole ? fmt::format("{:.0f}", value) : fmt::format("{}", value);
}

double RoundDecimal(double value) { return std::round(value * 1e12) / 1e12; }

std::string NamePart(std::string_view text) {
  std::string part;
  for (const char c : text) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (IsNameCharacter(lower) && lower != '-') {
      part += lower;
    } else if (!part.empty() && part.back() != '-') {
      part += '-';
    }
  }
  part = part.substr(0, kMaxNameBytes);
  while (part.ends_with('-')) part.pop_back();
  return part;
}

std::string DefaultName(const Objective& objective) {
  const Selection& selection = objective.selection;
  std::string name(IndicatorName(objective.indicator));
  const std::string percent = NamePart(NumberText(RoundDecimal(objective.target * 100)));
  if (objective.has_threshold()) {
    name += fmt::format("-p{}-{}", percent, NamePart(ThresholdText(objective.threshold_s)));
  } else {
    name += "-" + percent;
  }
  for (const std::string* part : {&selection.slo_class, &selection.model, &selection.route, &selection.path, &selection.tenant}) {
    if (const std::string text = NamePart(*part); !text.empty()) name += "-" + text;
  }
  return NamePart(name);
}

Result<std::string> ParseObjectiveName(std::string_view text) {
  const bool is_name = !text.empty() && text.size() <= kMaxNameBytes && std::ranges::all_of(text, IsNameCharacter) &&
                       !text.starts_with('-') && !text.ends_with('-');
  if (is_name) return std::string(text);
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("must be 1 to {} lower-case letters, digits and '-', and begin and end without '-'", kMaxNameBytes));
}

std::vector<double> BucketBoundaries(const std::vector<Objective>& objectives, Indicator indicator) {
  return WithBoundaries({}, objectives, indicator);
}

std::vector<double> WithBoundaries(std::vector<double> boundaries, const std::vector<Objective>& objectives,
                                   Indicator indicator) {
  for (const Objective& objective : objectives) {
    if (objective.has_threshold() && objective.indicator == indicator) boundaries.push_back(objective.threshold_s);
  }
  std::ranges::sort(boundaries);
  const auto repeated = std::ranges::unique(boundaries);
  boundaries.erase(repeated.begin(), repeated.end());
  return boundaries;
}

}  // namespace autoglm::slo
