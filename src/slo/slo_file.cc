#include "slo/slo_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "base/text_file.h"
#include "config/values.h"
#include "json/fields.h"
#include "slo/openslo_reader.h"

namespace autoglm::slo {
namespace {

constexpr int64_t kMaxFileBytes = 1 << 20;
constexpr size_t kMaxTextBytes = 1050;
constexpr double kMaxThresholdS = 7 * 86400;
constexpr double kMinThresholdS = 1e-4;
constexpr int64_t kMaxMinEvents = 1'000'000;

// Plain texts of an objective and the fields they come from.
struct TextField {
  std::string_view name;
  std::string& (*of)(Objective&);
};
constexpr std::array<TextField, 9> kTexts = {{{"model", [](Objective& o) -> std::string& { return o.selection.model; }},
                                              {"class", [](Objective& o) -> std::string& { return o.selection.slo_class; }},
                                              {"route", [](Objective& o) -> std::string& { return o.selection.route; }},
                                              {"path", [](Objective& o) -> std::string& { return o.selection.path; }},
                                              {"tenant", [](Objective& o) -> std::string& { return o.selection.tenant; }},
                                              {"description", [](Objective& o) -> std::string& { return o.description; }},
                                              {"runbook_url", [](Objective& o) -> std::string& { return o.runbook_url; }},
                                              {"owner", [](Objective& o) -> std::string& { return o.owner; }},
                                              {"team", [](Objective& o) -> std::string& { return o.team; }}}};

constexpr std::array<std::string_view, 4> kClasses = {"interactive", "standard", "batch", "custom"};

// Named before the fields whose names are in kTexts.
constexpr std::array<std::string_view, 11> kOtherFields = {"service",    "name",      "objective",  "target",
                                                           "unit",       "window",    "min_events", "count_429",
                                                           "good_query", "bad_query", "total_query"};
constexpr std::array<std::string_view, 5> kGateFields = {"close_on_page", "close_on_ticket", "close_on_exhausted_budget",
                                                         "least_budget", "ignore"};

template <typename Names>
Status RefuseUnknown(const JsonFields& fields, const Json& object, const Names& known) {
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(known, std::string_view(key)) != std::ranges::end(known)) continue;
    return fields.Refuse(key, fmt::format("is an unknown field; known are {}", fmt::join(known, ", ")));
  }
  return {};
}

std::vector<std::string_view> ObjectiveFields() {
  std::vector<std::string_view> names(kOtherFields.begin(), kOtherFields.end());
  for (const TextField& text : kTexts) names.push_back(text.name);
  return names;
}

// `parse`'s refusal with the field's name in front.
template <typename T>
Result<T> Named(const JsonFields& fields, std::string_view name, Result<T> value) {
  if (!value) return fields.Refuse(name, value.error().message);
  return value;
}

Result<std::string> Required(const JsonFields& fields, std::string_view name) {
  AUTOGLM_TRY(std::optional<std::string> text, fields.String(name));
  if (!text || text->empty()) return fields.Refuse(name, "is required");
  return *std::move(text);
}

Status ReadTexts(const JsonFields& fields, Objective& objective) {
  for (const TextField& field : kTexts) {
    AUTOGLM_TRY(std::optional<std::string> text, fields.String(field.name));
    if (!text) continue;
    AUTOGLM_TRY(std::string plain, Named(fields, field.name, ParseDescription(*text)));
    std::string& target = field.of(objective);
    if (field.name == "class" && !target.empty() && target != plain) {
      return fields.Refuse("class", fmt::format("must be '{}' for {}", target, objective.objective_name));
    }
    target = std::move(plain);
  }
  const std::string& slo_class = objective.selection.slo_class;
  if (!slo_class.empty() && std::ranges::find(kClasses, std::string_view(slo_class)) == kClasses.end()) {
    return fields.Refuse("class", fmt::format("must be one of {}, not '{}'", fmt::join(kClasses, ", "), slo_class));
  }
  const std::string& url = objective.runbook_url;
  if (!url.empty() && !url.starts_with("http://") && !url.starts_with("https://")) {
    return fields.Refuse("runbook_url", "must begin with http:// or https://");
  }
  return {};
}

Status ReadThreshold(const JsonFields& fields, double number, Objective& objective) {
  constexpr std::string_view kNeeds = "must be milliseconds, seconds or minutes for a latency";
  switch (objective.unit) {
    case Unit::kMilliseconds:
      objective.threshold_s = RoundDecimal(number / 1000);
      break;
    case Unit::kSeconds:
      objective.threshold_s = RoundDecimal(number);
      break;
    case Unit::kMinutes:
      objective.threshold_s = RoundDecimal(number * 60);
      break;
    default:
      return fields.Refuse("unit", kNeeds);
  }
  if (objective.threshold_s >= kMinThresholdS && objective.threshold_s <= kMaxThresholdS) return {};
  return fields.Refuse("target", "must be a time from 0.1 milliseconds to 7 days");
}

Status ReadShare(const JsonFields& fields, double number, Objective& objective) {
  switch (objective.unit) {
    case Unit::kPercent:
      objective.target = RoundDecimal(number / 100);
      break;
    case Unit::kRatio:
      objective.target = RoundDecimal(number);
      break;
    default:
      return fields.Refuse("unit", fmt::format("must be percent or ratio for {}", objective.objective_name));
  }
  if (objective.target >= 0.01 && objective.budget() >= 1e-7) return {};
  return fields.Refuse("target", "must be a share from 1 to 99.99999 percent: nothing is always good");
}

Status ReadTarget(const JsonFields& fields, Objective& objective) {
  AUTOGLM_TRY(const std::optional<double> number, fields.Number("target"));
  if (!number) return fields.Refuse("target", "is required");
  AUTOGLM_TRY(const std::string unit, Required(fields, "unit"));
  AUTOGLM_TRY(objective.unit, Named(fields, "unit", ParseUnit(unit)));
  return objective.has_threshold() ? ReadThreshold(fields, *number, objective) : ReadShare(fields, *number, objective);
}

Status ReadQueries(const JsonFields& fields, Objective& objective) {
  RawQueries& queries = objective.queries;
  for (const auto& [name, query] : {std::pair<std::string_view, std::string*>{"good_query", &queries.good},
                                    {"bad_query", &queries.bad},
                                    {"total_query", &queries.total}}) {
    AUTOGLM_TRY(std::optional<std::string> text, fields.String(name));
    if (!text) continue;
    if (objective.indicator != Indicator::kRawRatio) return fields.Refuse(name, "is for the objective ratio alone");
    AUTOGLM_TRY(*query, Named(fields, name, ParsePlainText(*text)));
  }
  if (objective.indicator != Indicator::kRawRatio) return {};
  if (queries.total.empty()) return fields.Refuse("total_query", "is required for the objective ratio");
  if (queries.good.empty() != queries.bad.empty()) return {};
  return fields.Refuse("good_query", "or bad_query is required for the objective ratio, not both");
}

Status ReadCounts(const JsonFields& fields, Objective& objective) {
  AUTOGLM_TRY(const std::optional<std::string> window, fields.String("window"));
  if (window) {
    AUTOGLM_TRY(objective.window, Named(fields, "window", ParseWindow(*window)));
  }
  AUTOGLM_TRY(const std::optional<int64_t> min_events, fields.Integer("min_events"));
  objective.min_events = min_events.value_or(objective.min_events);
  if (objective.min_events < 1 || objective.min_events > kMaxMinEvents) {
    return fields.Refuse("min_events", fmt::format("must be 1 to {}", kMaxMinEvents));
  }
  AUTOGLM_TRY(const std::optional<bool> count_429, fields.Bool("count_429"));
  objective.count_429 = count_429.value_or(false);
  return {};
}

Status CheckIgnored(const SloFile& file) {
  for (const std::string& name : file.gate.ignored) {
    const bool is_known = std::ranges::any_of(
        file.objectives, [&name](const Objective& objective) { return objective.name == name || objective.id() == name; });
    if (!is_known) return Fail(ErrorCode::kInvalidArgument, fmt::format("gate.ignore: there is no objective '{}'", name));
  }
  return {};
}

Status ReadList(const Json& list, const std::string& name, std::vector<Objective>& objectives) {
  if (list.is_object()) {
    AUTOGLM_TRY(Objective objective, ObjectiveFromJson(list, name));
    objectives.push_back(std::move(objective));
    return {};
  }
  if (!list.is_array()) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{} must be an object or a list of objects", name));
  }
  if (list.size() > kMaxObjectives) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{}: at most {} objectives are allowed", name, kMaxObjectives));
  }
  for (size_t i = 0; i < list.size(); ++i) {
    AUTOGLM_TRY(Objective objective, ObjectiveFromJson(list[i], fmt::format("{}[{}]", name, i)));
    objectives.push_back(std::move(objective));
  }
  return {};
}

Result<SloFile> FromJson(const Json& json) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(json, ""));
  constexpr std::array<std::string_view, 3> kKnown = {"slo", "slos", "gate"};
  AUTOGLM_TRY_VOID(RefuseUnknown(fields, json, kKnown));
  if (json.contains("slo") == json.contains("slos")) {
    return Fail(ErrorCode::kInvalidArgument, "one of \"slo\" and \"slos\" is required");
  }
  const std::string name = json.contains("slo") ? "slo" : "slos";
  SloFile file;
  AUTOGLM_TRY_VOID(ReadList(json[name], name, file.objectives));
  if (file.objectives.empty()) return Fail(ErrorCode::kInvalidArgument, name + " must hold at least one objective");
  AUTOGLM_TRY_VOID(NameObjectives(file.objectives));
  if (json.contains("gate")) {
    AUTOGLM_TRY(file.gate, GateFromJson(json["gate"]));
  }
  AUTOGLM_TRY_VOID(CheckIgnored(file));
  return file;
}

bool IsJson(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && (text[first] == '{' || text[first] == '[');
}

// "95" and "latency" of "95th_percentile_latency".
struct PercentileName {
  double percent = 0;
  std::string_view of;
};

std::optional<PercentileName> SplitPercentile(std::string_view text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const Result<double> percent = ParseReal(text.substr(0, digits), 0, 100);
  if (!percent) return std::nullopt;
  std::string_view rest = text.substr(digits);
  for (const std::string_view ending : {"th", "st", "nd", "rd"}) {
    if (!rest.starts_with(ending)) continue;
    rest.remove_prefix(ending.size());
    constexpr std::string_view kMiddle = "_percentile_";
    if (!rest.starts_with(kMiddle)) return std::nullopt;
    return PercentileName{*percent, rest.substr(kMiddle.size())};
  }
  return std::nullopt;
}

}  // namespace

Status ReadObjectiveName(std::string_view text, Objective& objective) {
  constexpr double kDefaultPercent = 95;  // of background_job_duration, which names none
  const auto refuse = [text] {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("must be <N>th_percentile_latency, <N>th_percentile_first_screen, <N>th_percentile_background_job, "
                            "background_job_duration, availability or ratio, not '{}'",
                            text));
  };
  if (text == "availability" || text == "ratio") {
    objective.indicator = text == "ratio" ? Indicator::kRawRatio : Indicator::kAvailability;
    return {};
  }
  const std::optional<PercentileName> percentile =
      text == "background_job_duration" ? PercentileName{kDefaultPercent, "background_job"} : SplitPercentile(text);
  if (!percentile) return refuse();
  if (percentile->of == "latency") {
    objective.indicator = Indicator::kLatency;
  } else if (percentile->of == "first_screen" || percentile->of == "time_to_first_token") {
    objective.indicator = Indicator::kFirstToken;
  } else if (percentile->of == "background_job") {
    objective.indicator = Indicator::kLatency;
    objective.selection.slo_class = "batch";
  } else {
    return refuse();
  }
  objective.target = RoundDecimal(percentile->percent / 100);
  if (objective.target >= 0.01 && objective.budget() >= 1e-7) return {};
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must name a percentile from 1 to 99.99999, not '{}'", text));
}

Result<std::string> ParseDescription(std::string_view text) {
  if (text.empty()) return std::string();
  if (text.size() > kMaxTextBytes) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("must be at most {} bytes", kMaxTextBytes));
  }
  return ParsePlainText(text);
}

Result<std::chrono::hours> ParseWindow(std::string_view text) {
  const Result<int64_t> seconds = ParseSeconds(text, int64_t{kMinWindowDays} * 86400, int64_t{kMaxWindowDays} * 86400);
  if (!seconds || *seconds % 86400 != 0) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("must be whole days from {}d to {}d, such as 30d, not '{}'", kMinWindowDays, kMaxWindowDays, text));
  }
  return std::chrono::hours(*seconds / 3600);
}

Status NameObjectives(std::vector<Objective>& objectives) {
  std::set<std::string> ids;
  for (Objective& objective : objectives) {
    if (objective.name.empty()) objective.name = DefaultName(objective);
    if (ids.insert(objective.id()).second) continue;
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("two objectives of the service '{}' have the name '{}': give one of them another with \"name\"",
                            objective.service, objective.name));
  }
  return {};
}

Result<Objective> ObjectiveFromJson(const Json& json, const std::string& path) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(json, path));
  AUTOGLM_TRY_VOID(RefuseUnknown(fields, json, ObjectiveFields()));
  Objective objective;
  AUTOGLM_TRY(const std::string service, Required(fields, "service"));
  AUTOGLM_TRY(objective.service, Named(fields, "service", ParseObjectiveName(service)));
  AUTOGLM_TRY(objective.objective_name, Required(fields, "objective"));
  if (const Status read = ReadObjectiveName(objective.objective_name, objective); !read) {
    return fields.Refuse("objective", read.error().message);
  }
  AUTOGLM_TRY_VOID(ReadTarget(fields, objective));
  AUTOGLM_TRY_VOID(ReadTexts(fields, objective));
  AUTOGLM_TRY_VOID(ReadCounts(fields, objective));
  AUTOGLM_TRY_VOID(ReadQueries(fields, objective));
  AUTOGLM_TRY(const std::optional<std::string> name, fields.String("name"));
  if (name) {
    AUTOGLM_TRY(objective.name, Named(fields, "name", ParseObjectiveName(*name)));
  }
  return objective;
}

Result<GatePolicy> GateFromJson(const Json& json) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(json, "gate"));
  AUTOGLM_TRY_VOID(RefuseUnknown(fields, json, kGateFields));
  GatePolicy gate;
  for (const auto& [name, target] : {std::pair<std::string_view, bool*>{"close_on_page", &gate.close_on_page},
                                     {"close_on_ticket", &gate.close_on_ticket},
                                     {"close_on_exhausted_budget", &gate.close_on_exhausted_budget}}) {
    AUTOGLM_TRY(const std::optional<bool> value, fields.Bool(name));
    *target = value.value_or(*target);
  }
  AUTOGLM_TRY(const std::optional<double> least, fields.Number("least_budget"));
  gate.least_budget = least.value_or(0);
  if (!(gate.least_budget >= 0 && gate.least_budget < 1)) {
    return fields.Refuse("least_budget", "must be a share of the budget from 0 to below 1");
  }
  AUTOGLM_TRY(const Json* ignored, fields.Array("ignore"));
  if (ignored == nullptr) return gate;
  for (const Json& name : *ignored) {
    if (!name.is_string()) return fields.Refuse("ignore", "must be a list of names of objectives");
    gate.ignored.push_back(name.get<std::string>());
  }
  return gate;
}

Json ToJson(const Objective& objective) {
  Json json{{"service", objective.service},          {"name", objective.name},
            {"objective", objective.objective_name}, {"target", objective.target_in_unit()},
            {"unit", UnitName(objective.unit)},      {"window", fmt::format("{}d", objective.window_days())}};
  // The target of a number that is whole is written so.
  if (const double target = objective.target_in_unit(); target == static_cast<double>(static_cast<int64_t>(target))) {
    json["target"] = static_cast<int64_t>(target);
  }
  Objective copy = objective;
  for (const TextField& field : kTexts) {
    if (const std::string& text = field.of(copy); !text.empty()) json[std::string(field.name)] = text;
  }
  json["min_events"] = objective.min_events;
  if (objective.count_429) json["count_429"] = true;
  if (!objective.queries.good.empty()) json["good_query"] = objective.queries.good;
  if (!objective.queries.bad.empty()) json["bad_query"] = objective.queries.bad;
  if (!objective.queries.total.empty()) json["total_query"] = objective.queries.total;
  return json;
}

Json ToJson(const GatePolicy& gate) {
  return {{"close_on_page", gate.close_on_page},
          {"close_on_ticket", gate.close_on_ticket},
          {"close_on_exhausted_budget", gate.close_on_exhausted_budget},
          {"least_budget", gate.least_budget},
          {"ignore", gate.ignored}};
}

Result<SloFile> ParseSloFile(std::string_view text, std::string_view file_name) {
  if (!IsJson(text)) return ParseOpenSlo(std::string(text), file_name);
  const auto with_name = [file_name](Error error) {
    error.message = fmt::format("{}: {}", file_name, error.message);
    error.code = ErrorCode::kInvalidArgument;
    return tl::unexpected<Error>(std::move(error));
  };
  Result<Json> json = ParseJson(text, {.max_bytes = kMaxFileBytes});
  if (!json) return with_name(std::move(json.error()));
  if (json->is_object() && json->contains("apiVersion")) return ParseOpenSlo(std::string(text), file_name);
  Result<SloFile> file = FromJson(*json);
  if (!file) return with_name(std::move(file.error()));
  return file;
}

Result<SloFile> LoadSloFile(const std::filesystem::path& path) {
  AUTOGLM_TRY(const std::string text, ReadTextFile(path, kMaxFileBytes));
  return ParseSloFile(text, path.string());
}

Json ToJson(const SloFile& file) {
  Json list = Json::array();
  for (const Objective& objective : file.objectives) list.push_back(ToJson(objective));
  Json json{{"slo", std::move(list)}};
  if (file.gate != GatePolicy()) json["gate"] = ToJson(file.gate);
  return json;
}

}  // namespace autoglm::slo
