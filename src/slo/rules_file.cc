#include "slo/rules_file.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <array>
#include <utility>

namespace autoglm::slo {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;
using std::chrono::minutes;

// Windows of the ratios, and whether a rule counts bad requests over it.
constexpr std::array<minutes, 7> kWindows = {minutes(5),   minutes(30),   minutes(60),  minutes(120),
                                             minutes(360), minutes(1440), minutes(4320)};
constexpr std::array<minutes, 5> kCountedWindows = {minutes(5), minutes(60), minutes(360), minutes(1440), minutes(4320)};

// Braces in a text of people, so that Prometheus does not take them for its templates.
std::string PlainAnnotation(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool opens = text.substr(i, 2) == "{{";
    out += opens ? "{{\"{{\"}}" : std::string(1, text[i]);
    if (opens) ++i;
  }
  return out;
}

// Writes the three groups of one objective.
class ObjectiveRules {
 public:
  ObjectiveRules(YAML::Emitter& out, const Objective& objective, const RulesOptions& options, CountQueries counts)
      : out_(out),
        objective_(objective),
        counts_(std::move(counts)),
        source_(options.source),
        rules_(RulesFor(objective.budget(), objective.window, options.factors)),
        is_fitted_(options.factors == FactorChoice::kFitted),
        period_(fmt::format("{}d", objective.window_days())),
        selector_(fmt::format("{{sloth_id=\"{}\", sloth_service=\"{}\", sloth_slo=\"{}\"}}", objective.id(), objective.service,
                              objective.name)) {
    labels_ = {{"sloth_id", objective.id()}, {"sloth_service", objective.service}, {"sloth_slo", objective.name}};
    if (!objective.owner.empty()) labels_.emplace_back("owner", objective.owner);
    if (!objective.team.empty()) labels_.emplace_back("team", objective.team);
  }

  void Write() {
    Group("sloth-slo-sli-recordings", [this] { WriteIndicators(); });
    Group("sloth-slo-meta-recordings", [this] { WriteMeta(); });
    Group("sloth-slo-alerts", [this] { WriteAlerts(); });
  }

 private:
  template <typename Body>
  void Group(std::string_view prefix, Body body) {
    out_ << YAML::BeginMap << YAML::Key << "name" << YAML::Value << fmt::format("{}-{}", prefix, objective_.id());
    out_ << YAML::Key << "rules" << YAML::Value << YAML::BeginSeq;
    body();
    out_ << YAML::EndSeq << YAML::EndMap;
  }

  void Map(std::string_view key, const Labels& values) {
    out_ << YAML::Key << std::string(key) << YAML::Value << YAML::BeginMap;
    for (const auto& [name, value] : values) out_ << YAML::Key << name << YAML::Value << YAML::DoubleQuoted << value;
    out_ << YAML::EndMap;
  }

  void Record(const std::string& name, const std::string& expression, const Labels& more = {}) {
    out_ << YAML::BeginMap << YAML::Key << "record" << YAML::Value << name;
    out_ << YAML::Key << "expr" << YAML::Value << YAML::Literal << expression;
    Labels labels = labels_;
    labels.insert(labels.end(), more.begin(), more.end());
    Map("labels", labels);
    out_ << YAML::EndMap;
  }

  std::string Recorded(std::string_view name) const { return fmt::format("{}{}", name, selector_); }

  void WriteIndicators() {
    for (const minutes window : kWindows) {
      const std::string text = WindowText(window);
      Record("slo:sli_error:ratio_rate" + text,
             fmt::format("{}\n/\n{}", PutWindow(counts_.bad, text), PutWindow(counts_.total, text)), {{"sloth_window", text}});
    }
    for (const minutes window : kCountedWindows) {
      const std::string text = WindowText(window);
      // Where there is no total there are no requests: without it, a vector(0) would go on for ever.
      Record("slo:sli_bad:increase" + text,
             fmt::format("{} and on () {}", PutWindow(counts_.bad, text), PutWindow(counts_.total, text)),
             {{"sloth_window", text}});
    }
    Record("slo:sli_total:increase5m", PutWindow(counts_.total, "5m"), {{"sloth_window", "5m"}});
    for (const std::string_view what : {"bad", "total"}) {
      // Windows side by side. They begin at whole five minutes: before there is one, what there is.
      const std::string recent = Recorded(fmt::format("slo:sli_{}:increase5m", what));
      Record(fmt::format("slo:sli_{}:increase{}", what, period_),
             fmt::format("sum without (sloth_window) (sum_over_time({0}[{1}:5m]) or {0})", recent, period_),
             {{"sloth_window", period_}});
    }
    Record(
        "slo:sli_error:ratio_rate" + period_,
        fmt::format("{}\n/\n({} > 0)", Recorded("slo:sli_bad:increase" + period_), Recorded("slo:sli_total:increase" + period_)),
        {{"sloth_window", period_}});
  }

  void WriteMeta() {
    const auto burn = [this](std::string_view ratio) {
      return fmt::format("{}\n/ on (sloth_id, sloth_slo, sloth_service) group_left\n{}",
                         Recorded(fmt::format("slo:sli_error:ratio_rate{}", ratio)), Recorded("slo:error_budget:ratio"));
    };
    Record("slo:objective:ratio", fmt::format("vector({})", NumberText(objective_.target)));
    Record("slo:error_budget:ratio", fmt::format("vector({})", NumberText(objective_.budget())));
    Record("slo:time_period:days", fmt::format("vector({})", objective_.window_days()));
    Record("slo:current_burn_rate:ratio", burn("5m"));
    Record("slo:period_burn_rate:ratio", burn(period_));
    Record("slo:period_error_budget_remaining:ratio", "1 - " + Recorded("slo:period_burn_rate:ratio"));
    Record("sloth_slo_info", "vector(1)",
           {{"sloth_mode", "cli-gen-prom"},
            {"sloth_objective", NumberText(RoundDecimal(objective_.target * 100))},
            {"sloth_spec", "prometheus/v1"},
            {"sloth_version", "autoglm"}});
  }

  std::string RatioAbove(minutes window, double factor) const {
    return fmt::format("max without (sloth_window) ({} > ({} * {}))", Recorded("slo:sli_error:ratio_rate" + WindowText(window)),
                       NumberText(factor), NumberText(objective_.budget()));
  }

  // Increases are extrapolated and seldom whole: half an event is the tolerance.
  std::string EnoughEvents() const { return NumberText(static_cast<double>(objective_.min_events) - 0.5); }

  std::string RuleExpression(const BurnRule& rule) const {
    return fmt::format("(\n    {}\n    and\n    {}\n    and\n    max without (sloth_window) ({} > {})\n)",
                       RatioAbove(rule.short_window, rule.factor), RatioAbove(rule.long_window, rule.factor),
                       Recorded("slo:sli_bad:increase" + WindowText(rule.long_window)), EnoughEvents());
  }

  std::string FactorsNote(Severity severity) const {
    std::string text;
    for (const BurnRule& rule : rules_) {
      if (rule.severity != severity) continue;
      const std::optional<double> detect = SecondsToDetect(rule, objective_.budget(), 1);
      text += fmt::format("{}{}x over {}: {}", text.empty() ? "" : "; ", NumberText(rule.factor), WindowText(rule.long_window),
                          detect ? fmt::format("a total outage fires it after {:.1f} min", *detect / 60) : "can never fire");
    }
    return text;
  }

  Labels Annotations(std::string title, std::string summary) const {
    Labels annotations = {{"title", std::move(title)}, {"summary", std::move(summary)}};
    if (!objective_.description.empty()) annotations.emplace_back("description", PlainAnnotation(objective_.description));
    if (!objective_.runbook_url.empty()) annotations.emplace_back("runbook_url", PlainAnnotation(objective_.runbook_url));
    return annotations;
  }

  Labels AlertLabels(std::string_view severity, bool is_burn) const {
    Labels labels = labels_;
    labels.emplace_back("severity", severity);
    if (is_burn) labels.emplace_back("sloth_severity", severity);
    return labels;
  }

  void Alert(const std::string& name, const std::string& expression, std::string_view hold, const Labels& labels,
             const Labels& annotations) {
    out_ << YAML::BeginMap << YAML::Key << "alert" << YAML::Value << name;
    out_ << YAML::Key << "expr" << YAML::Value << YAML::Literal << expression;
    if (!hold.empty()) out_ << YAML::Key << "for" << YAML::Value << std::string(hold);
    Map("labels", labels);
    Map("annotations", annotations);
    out_ << YAML::EndMap;
  }

  void WriteBurnAlert(Severity severity) {
    std::string expression;
    for (const BurnRule& rule : rules_) {
      if (rule.severity != severity) continue;
      expression += (expression.empty() ? "" : "\nor\n") + RuleExpression(rule);
    }
    const std::string_view name = SeverityName(severity);
    Labels annotations = Annotations(
        fmt::format("({}) {} {} SLO error budget burn rate is too fast.", name, objective_.service, objective_.name),
        fmt::format("{{{{ $value | humanizePercentage }}}} of the requests of {} miss {}.", objective_.service, objective_.name));
    annotations.emplace_back("burn_rates", FactorsNote(severity) + (is_fitted_ ? "." : " (standard factors)."));
    Alert(BurnAlertName(objective_), expression, "", AlertLabels(name, true), annotations);
  }

  void WriteQuantileAlert() {
    const Result<std::string> quantile = QuantileQuery(objective_, source_);
    if (!quantile) return;
    const std::string threshold = NumberText(objective_.threshold_s);
    // Where the threshold is the last boundary, no quantile is above it: the ratio decides, which is the same where there are
    // others.
    const std::string expression = fmt::format("{} >= {}\nand on ()\n{} > {}\nand on ()\n{} > {}", *quantile, threshold,
                                               Recorded("slo:sli_error:ratio_rate5m"), NumberText(objective_.budget()),
                                               Recorded("slo:sli_bad:increase5m"), EnoughEvents());
    Alert(QuantileAlertName(objective_), expression, "5m", AlertLabels("warning", false),
          Annotations(fmt::format("(warning) {} {}: latency is above its target.", objective_.service, objective_.name),
                      fmt::format("The percentile {} is {{{{ $value | humanizeDuration }}}}, the target {} s.",
                                  NumberText(RoundDecimal(objective_.target * 100)), threshold)));
  }

  void WriteAlerts() {
    WriteBurnAlert(Severity::kPage);
    WriteBurnAlert(Severity::kTicket);
    if (objective_.has_threshold()) WriteQuantileAlert();
  }

  YAML::Emitter& out_;
  const Objective& objective_;
  const CountQueries counts_;
  const Source source_;
  const BurnRules rules_;
  const bool is_fitted_;
  const std::string period_;    // "30d"
  const std::string selector_;  // of its recorded series
  Labels labels_;
};

std::string CamelCase(std::string_view text) {
  std::string out;
  bool starts_word = true;
  for (const char c : text) {
    if (c == '-') {
      starts_word = true;
      continue;
    }
    out += starts_word && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    starts_word = false;
  }
  return out;
}

constexpr std::string_view kFittedNote =
    "Factors of burn rates are 2 %, 5 %, 10 % and 10 % of the budget over 1 h, 6 h, 1 d and 3 d. Where a total outage would "
    "take\n"
    "more than ten minutes to page, as for percentiles up to 98, they are smaller; 'autoglm slo lint' shows what that means.";
constexpr std::string_view kStandardNote = "Factors of burn rates are 14.4, 6, 3 and 1, whatever the objective.";

}  // namespace

std::string BurnAlertName(const Objective& objective) {
  // An alert's name may begin with any letter; a service's may begin with a digit.
  const std::string name = CamelCase(objective.id()) + "Burn";
  return name.front() >= '0' && name.front() <= '9' ? "Slo" + name : name;
}

std::string QuantileAlertName(const Objective& objective) {
  return objective.indicator == Indicator::kFirstToken ? "HighFirstTokenLatency" : "HighRequestLatency";
}

Result<RulesFile> WriteRules(const std::vector<Objective>& objectives, const RulesOptions& options) {
  RulesFile file;
  YAML::Emitter out;
  out << YAML::Comment("Written by 'autoglm slo rules'; edit the objectives instead.") << YAML::Newline;
  out << YAML::Comment(std::string(options.factors == FactorChoice::kFitted ? kFittedNote : kStandardNote)) << YAML::Newline;
  out << YAML::BeginMap << YAML::Key << "groups" << YAML::Value << YAML::BeginSeq;
  size_t num_written = 0;
  for (const Objective& objective : objectives) {
    Result<CountQueries> counts = CountQueriesOf(objective, options.source);
    if (!counts) {
      file.left_out.push_back(fmt::format("{}: {}", objective.id(), counts.error().message));
      continue;
    }
    ObjectiveRules(out, objective, options, *std::move(counts)).Write();
    ++num_written;
  }
  out << YAML::EndSeq << YAML::EndMap;
  if (num_written == 0) {
    return Fail(ErrorCode::kUnsupported, "none of the objectives can be counted by these metrics: " +
                                             (file.left_out.empty() ? "" : file.left_out.front()));
  }
  file.yaml = std::string(out.c_str()) + "\n";
  for (const std::string& note : file.left_out) file.yaml += "# Left out: " + note + "\n";
  return file;
}

Result<std::string> WriteAlertmanagerConfig(const std::string& webhook_url) {
  const bool is_url = webhook_url.starts_with("http://") || webhook_url.starts_with("https://");
  if (!webhook_url.empty() && !is_url) {
    return Fail(ErrorCode::kInvalidArgument, "the webhook must begin with http:// or https://");
  }
  YAML::Emitter out;
  const auto matchers = [&out](std::string_view key, std::initializer_list<std::string_view> values) {
    out << YAML::Key << std::string(key) << YAML::Value << YAML::BeginSeq;
    for (const std::string_view value : values) out << YAML::SingleQuoted << std::string(value);
    out << YAML::EndSeq;
  };
  const auto field = [&out](std::string_view key, std::string_view value) {
    out << YAML::Key << std::string(key) << YAML::Value << std::string(value);
  };
  const auto list = [&out](std::string_view key, std::initializer_list<std::string_view> values) {
    out << YAML::Key << std::string(key) << YAML::Value << YAML::Flow << YAML::BeginSeq;
    for (const std::string_view value : values) out << std::string(value);
    out << YAML::EndSeq;
  };
  struct Route {
    std::string_view receiver;
    std::string_view matcher;
    std::string_view group_wait;
    std::string_view repeat;
  };
  constexpr std::array<Route, 3> kRoutes = {{{"page", "severity=\"page\"", "10s", "1h"},
                                             {"ticket", "severity=\"ticket\"", "5m", "1d"},
                                             {"warning", "severity=\"warning\"", "1m", "1d"}}};

  out << YAML::Comment("Written by 'autoglm slo rules'.") << YAML::Newline << YAML::BeginMap;
  out << YAML::Key << "route" << YAML::Value << YAML::BeginMap;
  field("receiver", "ticket");
  list("group_by", {"sloth_service", "sloth_id", "alertname", "severity"});
  field("group_wait", "30s");
  field("group_interval", "5m");
  field("repeat_interval", "4h");
  out << YAML::Key << "routes" << YAML::Value << YAML::BeginSeq;
  for (const Route& route : kRoutes) {
    out << YAML::BeginMap;
    field("receiver", route.receiver);
    matchers("matchers", {route.matcher});
    field("group_wait", route.group_wait);
    field("repeat_interval", route.repeat);
    out << YAML::EndMap;
  }
  out << YAML::EndSeq << YAML::EndMap;

  out << YAML::Key << "inhibit_rules" << YAML::Value << YAML::BeginSeq;
  for (const std::string_view target : {"severity=\"ticket\"", "severity=\"warning\""}) {
    out << YAML::BeginMap;
    matchers("source_matchers", {"severity=\"page\"", "sloth_id!=\"\""});  // alerts without the label are equal in it
    matchers("target_matchers", {target});
    list("equal", {"sloth_id"});
    out << YAML::EndMap;
  }
  out << YAML::EndSeq;

  out << YAML::Key << "receivers" << YAML::Value << YAML::BeginSeq;
  for (const Route& route : kRoutes) {
    out << YAML::BeginMap;
    field("name", route.receiver);
    if (!webhook_url.empty()) {
      out << YAML::Key << "webhook_configs" << YAML::Value << YAML::BeginSeq << YAML::BeginMap;
      out << YAML::Key << "url" << YAML::Value << YAML::DoubleQuoted << webhook_url;
      out << YAML::Key << "send_resolved" << YAML::Value << true << YAML::EndMap << YAML::EndSeq;
    }
    out << YAML::EndMap;
  }
  out << YAML::EndSeq << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

}  // namespace autoglm::slo
