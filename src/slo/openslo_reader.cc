#include "slo/openslo_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "config/values.h"
#include "config/yaml_file.h"
#include "config/yaml_value.h"
#include "slo/openslo_writer.h"
#include "slo/own_metrics.h"

namespace autoglm::slo {
namespace {

constexpr size_t kMaxDocuments = 512;
constexpr double kTargetTolerance = 1e-9;

// Where documents begin. A line that begins with "---" is a document's start wherever it stands, also in a block of text.
std::vector<size_t> DocumentStarts(std::string_view yaml) {
  std::vector<size_t> starts = {0};
  for (size_t at = 0; at < yaml.size();) {
    const bool is_mark = yaml.substr(at, 3) == "---" &&
                         (at + 3 == yaml.size() || std::string_view(" \t\r\n").find(yaml[at + 3]) != std::string_view::npos);
    if (is_mark && at > 0) starts.push_back(at);
    const size_t end = yaml.find('\n', at);
    if (end == std::string_view::npos) break;
    at = end + 1;
  }
  return starts;
}

// Each document behind as many empty lines as stand before it, so that errors name the file's lines.
Result<std::vector<YAML::Node>> LoadDocuments(const std::string& yaml, std::string_view file_name) {
  const std::vector<size_t> starts = DocumentStarts(yaml);
  if (starts.size() > kMaxDocuments || std::ssize(yaml) > kMaxYamlBytes) {
    return FailAt(file_name, YAML::Mark(),
                  fmt::format("at most {} documents and {} bytes are read", kMaxDocuments, kMaxYamlBytes));
  }
  std::vector<YAML::Node> documents;
  int64_t lines = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t end = i + 1 < starts.size() ? starts[i + 1] : yaml.size();
    const std::string document = yaml.substr(starts[i], end - starts[i]);
    if (std::ssize(document) + lines > kMaxYamlBytes) return FailAt(file_name, YAML::Mark(), "has too many lines");
    AUTOGLM_TRY(YAML::Node node, LoadYaml(std::string(static_cast<size_t>(lines), '\n') + document, file_name));
    if (!node.IsNull()) documents.push_back(std::move(node));
    lines += std::ranges::count(document, '\n');
  }
  return documents;
}

Result<YamlValue> Require(const YamlValue& map, const std::string& key) {
  if (!map.IsMap()) return map.Refuse("must be lines such as 'key: value'");
  std::optional<YamlValue> value = map.Find(key);
  if (!value || value->IsNull()) return map.Refuse(fmt::format("'{}' is required", key));
  return *std::move(value);
}

Result<std::string> RequireText(const YamlValue& map, const std::string& key) {
  AUTOGLM_TRY(const YamlValue value, Require(map, key));
  return value.Text();
}

// Blocks of text end in, and may hold, line feeds.
std::string OneLine(const std::string& text) {
  std::string line;
  for (const char c : text) line += c == '\n' || c == '\t' || c == '\r' ? ' ' : c;
  return line.substr(0, line.find_last_not_of(' ') + 1);
}

// One piece of "name.hex0".
Result<std::string> FromHex(const YamlValue& value, const std::string& digits) {
  if (digits.size() % 2 != 0 || digits.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return value.Refuse("must be pairs of hexadecimal digits");
  }
  std::string text;
  for (size_t i = 0; i < digits.size(); i += 2) text += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return text;
}

// Our own annotations, without the prefix.
Result<std::map<std::string, std::string>> OwnAnnotations(const YamlValue& metadata) {
  std::map<std::string, std::string> own;
  const std::optional<YamlValue> annotations = metadata.Find("annotations");
  if (!annotations || annotations->IsNull()) return own;
  AUTOGLM_TRY(const std::vector<YamlValue> fields, annotations->Fields());
  std::map<std::string, std::map<int64_t, std::string>> pieces;
  for (const YamlValue& field : fields) {
    if (!field.name().starts_with(kAnnotationPrefix)) continue;
    AUTOGLM_TRY(std::string text, field.Text());
    const std::string name = field.name().substr(std::string_view(kAnnotationPrefix).size());
    const size_t hex = name.rfind(".hex");
    const Result<int64_t> index =
        hex == std::string::npos ? Fail(ErrorCode::kNotFound, "") : ParseInteger(name.substr(hex + 4), 0, 1000);
    if (!index) {
      own[name] = std::move(text);
      continue;
    }
    AUTOGLM_TRY(pieces[name.substr(0, hex)][*index], FromHex(field, text));
  }
  for (const auto& [name, parts] : pieces) {
    for (const auto& [index, part] : parts) own[name] += part;
  }
  return own;
}

class OpenSloReader {
 public:
  explicit OpenSloReader(std::string_view file_name) : file_name_(file_name) {}

  Result<SloFile> Read(const std::vector<YAML::Node>& documents) {
    std::vector<YamlValue> slos;
    for (const YAML::Node& node : documents) {
      AUTOGLM_TRY(const YamlValue document, CheckHead(YamlValue::Root(node, file_name_, YamlValue::Environment::kIgnored)));
      AUTOGLM_TRY(const std::string kind, RequireText(document, "kind"));
      AUTOGLM_TRY(const YamlValue metadata, Require(document, "metadata"));
      AUTOGLM_TRY(const std::string name, RequireText(metadata, "name"));
      if (kind == "SLO") slos.push_back(document);
      if (kind == "SLI") slis_.insert_or_assign(name, document);
      if (kind == "Service") AUTOGLM_TRY_VOID(ReadService(metadata));
    }
    for (const YamlValue& slo : slos) AUTOGLM_TRY_VOID(ReadSlo(slo));
    if (file_.objectives.empty()) {
      return FailAt(file_name_, YAML::Mark(), "holds no objective: neither slo.json nor a document of kind SLO of openslo/v1");
    }
    if (file_.objectives.size() > kMaxObjectives) {
      return FailAt(file_name_, YAML::Mark(), fmt::format("at most {} objectives are allowed", kMaxObjectives));
    }
    if (const Status named = NameObjectives(file_.objectives); !named) {
      return FailAt(file_name_, YAML::Mark(), named.error().message);
    }
    return std::move(file_);
  }

 private:
  Result<YamlValue> CheckHead(YamlValue document) {
    constexpr std::array<std::string_view, 7> kKinds = {
        "SLO", "SLI", "Service", "DataSource", "AlertPolicy", "AlertCondition", "AlertNotificationTarget"};
    AUTOGLM_TRY(const YamlValue version, Require(document, "apiVersion"));
    if (!version.Is("openslo/v1")) return version.Refuse("must be openslo/v1");
    AUTOGLM_TRY(const YamlValue kind, Require(document, "kind"));
    AUTOGLM_TRY(const std::string text, kind.Text());
    if (std::ranges::find(kKinds, std::string_view(text)) != kKinds.end()) return document;
    return kind.Refuse(fmt::format("must be one of {}", fmt::join(kKinds, ", ")));
  }

  // The first service carries the gate.
  Status ReadService(const YamlValue& metadata) {
    AUTOGLM_TRY(const auto own, OwnAnnotations(metadata));
    const auto gate = own.find("gate");
    if (gate == own.end()) return {};
    const Result<Json> json = ParseJson(gate->second);
    if (!json) return metadata.Refuse("annotation gate: " + json.error().message);
    Result<GatePolicy> policy = GateFromJson(*json);
    if (!policy) return metadata.Refuse(policy.error().message);
    file_.gate = *std::move(policy);
    return {};
  }

  Status ReadSlo(const YamlValue& document) {
    AUTOGLM_TRY(const YamlValue metadata, Require(document, "metadata"));
    AUTOGLM_TRY(const std::string name, RequireText(metadata, "name"));
    AUTOGLM_TRY(const YamlValue spec, Require(document, "spec"));
    Objective common;
    AUTOGLM_TRY(const YamlValue service, Require(spec, "service"));
    AUTOGLM_TRY(const std::string service_name, service.Text());
    common.service = NamePart(service_name);
    if (common.service.empty()) return service.Refuse("must hold a letter or a digit");
    if (const std::optional<YamlValue> description = spec.Find("description"); description && !description->IsNull()) {
      AUTOGLM_TRY(const std::string text, description->Text());
      AUTOGLM_TRY(common.description,
                  description->Parse([&text](const std::string&) { return ParseDescription(OneLine(text)); }));
    }
    AUTOGLM_TRY_VOID(ReadMethod(spec));
    AUTOGLM_TRY(common.window, ReadTimeWindow(spec));
    AUTOGLM_TRY(common.queries, ReadIndicator(spec));
    AUTOGLM_TRY(const auto own, OwnAnnotations(metadata));
    AUTOGLM_TRY(const YamlValue list, Require(spec, "objectives"));
    AUTOGLM_TRY(const std::vector<YamlValue> items, list.Items("objectives"));
    if (items.empty()) return list.Refuse("must hold at least one objective");
    for (size_t i = 0; i < items.size(); ++i) {
      AUTOGLM_TRY(const double target, ReadTarget(items[i]));
      if (own.contains("objective")) {
        AUTOGLM_TRY(Objective objective, FromAnnotations(metadata, own, common, target));
        file_.objectives.push_back(std::move(objective));
        continue;
      }
      Objective objective = common;
      objective.target = target;
      objective.name = NamePart(items.size() == 1 ? name : fmt::format("{}-{}", NamePart(name).substr(0, 58), i + 1));
      if (objective.name.empty()) return metadata.Refuse("the name must hold a letter or a digit");
      RecognizeOwnMetrics(objective);
      file_.objectives.push_back(std::move(objective));
    }
    return {};
  }

  Status ReadMethod(const YamlValue& spec) {
    AUTOGLM_TRY(const YamlValue method, Require(spec, "budgetingMethod"));
    if (method.Is("Occurrences")) return {};
    return method.Refuse("only Occurrences can be counted here: requests, not slices of time");
  }

  Result<std::chrono::hours> ReadTimeWindow(const YamlValue& spec) {
    const std::optional<YamlValue> windows = spec.Find("timeWindow");
    if (!windows || windows->IsNull()) return Objective().window;
    AUTOGLM_TRY(const std::vector<YamlValue> items, windows->Items("windows"));
    if (items.size() != 1) return windows->Refuse("must hold exactly one window");
    if (const auto rolling = items[0].Find("isRolling"); !rolling || !rolling->Is("true")) {
      return items[0].Refuse("only rolling windows can be counted here: isRolling: true");
    }
    AUTOGLM_TRY(const YamlValue duration, Require(items[0], "duration"));
    return duration.Parse([](const std::string& text) { return ParseOpenSloWindow(text); });
  }

  static Result<std::chrono::hours> ParseOpenSloWindow(const std::string& text) {
    constexpr std::array<std::pair<char, int>, 2> kUnits = {{{'M', 30}, {'Q', 90}}};
    for (const auto& [unit, days] : kUnits) {
      if (!text.ends_with(unit)) continue;
      AUTOGLM_TRY(const int64_t count, ParseInteger(std::string_view(text).substr(0, text.size() - 1), 1, 3));
      return ParseWindow(fmt::format("{}d", count * days));
    }
    return ParseWindow(text);
  }

  Result<RawQueries> ReadIndicator(const YamlValue& spec) {
    const std::optional<YamlValue> in_place = spec.Find("indicator");
    const std::optional<YamlValue> reference = spec.Find("indicatorRef");
    if (in_place.has_value() == reference.has_value()) return spec.Refuse("one of 'indicator' and 'indicatorRef' is required");
    if (in_place) {
      AUTOGLM_TRY(const YamlValue of_indicator, Require(*in_place, "spec"));
      return ReadRatio(of_indicator);
    }
    AUTOGLM_TRY(const std::string name, reference->Text());
    const auto found = slis_.find(name);
    if (found == slis_.end()) return reference->Refuse(fmt::format("there is no SLI '{}' in the file", name));
    AUTOGLM_TRY(const YamlValue of_indicator, Require(found->second, "spec"));
    return ReadRatio(of_indicator);
  }

  Result<RawQueries> ReadRatio(const YamlValue& spec) {
    if (const auto threshold = spec.Find("thresholdMetric")) {
      return threshold->Refuse("only a ratioMetric can be counted here");
    }
    AUTOGLM_TRY(const YamlValue ratio, Require(spec, "ratioMetric"));
    RawQueries queries;
    const std::optional<YamlValue> good = ratio.Find("good");
    const std::optional<YamlValue> bad = ratio.Find("bad");
    if (good.has_value() == bad.has_value()) return ratio.Refuse("one of 'good' and 'bad' is required");
    if (good) {
      AUTOGLM_TRY(queries.good, ReadQuery(*good));
    } else {
      AUTOGLM_TRY(queries.bad, ReadQuery(*bad));
    }
    AUTOGLM_TRY(const YamlValue total, Require(ratio, "total"));
    AUTOGLM_TRY(queries.total, ReadQuery(total));
    const std::optional<YamlValue> counter = ratio.Find("counter");
    if (counter && counter->Is("false")) {
      // In brackets it is an expression, not the name of a counter.
      for (std::string* query : {&queries.good, &queries.bad, &queries.total}) {
        if (!query->empty()) *query = "(" + *query + ")";
      }
    }
    return queries;
  }

  Result<std::string> ReadQuery(const YamlValue& metric) {
    AUTOGLM_TRY(const YamlValue source, Require(metric, "metricSource"));
    if (const auto type = source.Find("type"); type && !type->IsNull()) {
      AUTOGLM_TRY(const std::string text, type->Text());
      if (text != "Prometheus" && text != "prometheus") return type->Refuse("only Prometheus can be asked here");
    }
    AUTOGLM_TRY(const YamlValue spec, Require(source, "spec"));
    AUTOGLM_TRY(const YamlValue query, Require(spec, "query"));
    AUTOGLM_TRY(const std::string text, query.Text());
    const std::string line = OneLine(text);
    return query.Parse([&line](const std::string&) { return ParsePlainText(line); });
  }

  Result<double> ReadTarget(const YamlValue& objective) {
    const std::optional<YamlValue> share = objective.IsMap() ? objective.Find("target") : std::nullopt;
    const std::optional<YamlValue> percent = objective.IsMap() ? objective.Find("targetPercent") : std::nullopt;
    if (share.has_value() == percent.has_value()) return objective.Refuse("one of 'target' and 'targetPercent' is required");
    const double whole = share ? 1 : 100;
    const YamlValue& value = share ? *share : *percent;
    AUTOGLM_TRY(const double number,
                value.Parse([whole](const std::string& text) { return ParseReal(text, 0.01 * whole, (1 - 1e-7) * whole); }));
    return RoundDecimal(number / whole);
  }

  // An objective as WriteOpenSlo left it, through the same checks as slo.json.
  Result<Objective> FromAnnotations(const YamlValue& metadata, const std::map<std::string, std::string>& own,
                                    const Objective& common, double target) {
    Json json{{"service", common.service}, {"window", fmt::format("{}d", common.window_days())}};
    if (!common.description.empty()) json["description"] = common.description;
    for (const auto& [name, text] : own) {
      const bool is_number = name == "target" || name == "min_events";
      const Result<double> number = is_number ? ParseReal(text, 0, 1e12) : Fail(ErrorCode::kNotFound, "");
      if (name == "count_429") {
        json[name] = text == "true";
      } else if (number) {
        json[name] = *number;
      } else {
        json[name] = text;
      }
    }
    if (own.at("objective") == "ratio") {
      if (!common.queries.good.empty()) json["good_query"] = common.queries.good;
      if (!common.queries.bad.empty()) json["bad_query"] = common.queries.bad;
      json["total_query"] = common.queries.total;
    }
    Result<Objective> objective = ObjectiveFromJson(json, "annotations");
    if (!objective) return metadata.Refuse(objective.error().message);
    if (std::abs(objective->target - target) > kTargetTolerance) {
      return metadata.Refuse(
          fmt::format("the annotations say a target of {}, the spec {}", NumberText(objective->target), NumberText(target)));
    }
    return objective;
  }

  std::string_view file_name_;
  std::map<std::string, YamlValue> slis_;
  SloFile file_;
};

}  // namespace

Result<SloFile> ParseOpenSlo(const std::string& yaml, std::string_view file_name) {
  AUTOGLM_TRY(const std::vector<YAML::Node> documents, LoadDocuments(yaml, file_name));
  return OpenSloReader(file_name).Read(documents);
}

}  // namespace autoglm::slo
