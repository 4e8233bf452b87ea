#include "slo/openslo_writer.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>
#include <vector>

namespace autoglm::slo {
namespace {

using Annotations = std::vector<std::pair<std::string, std::string>>;

constexpr size_t kMaxValueBytes = 63;
constexpr size_t kBytesOfPiece = 31;  // two digits each

bool IsAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// OpenSLO's pattern for values of annotations.
bool IsPlain(std::string_view text) {
  if (text.empty() || text.size() > kMaxValueBytes || !IsAlphanumeric(text.front())) return false;
  return std::ranges::all_of(text, [](char c) { return IsAlphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

void Annotate(Annotations& annotations, const std::string& name, std::string_view text) {
  if (text.empty()) return;
  if (IsPlain(text)) {
    annotations.emplace_back(kAnnotationPrefix + name, text);
    return;
  }
  for (size_t i = 0; i * kBytesOfPiece < text.size(); ++i) {
    std::string digits;
    for (const char c : text.substr(i * kBytesOfPiece, kBytesOfPiece)) {
      digits += fmt::format("{:02x}", static_cast<unsigned char>(c));
    }
    annotations.emplace_back(fmt::format("{}{}.hex{}", kAnnotationPrefix, name, i), digits);
  }
}

// What spec.description and the names of documents do not say.
Annotations AnnotationsOf(const Objective& objective) {
  Annotations annotations;
  const Json json = ToJson(objective);
  for (const auto& [key, value] : json.items()) {
    if (key == "service" || key == "window" || key == "description" || key.ends_with("_query")) continue;
    Annotate(annotations, key, value.is_string() ? value.get<std::string>() : DumpJson(value));
  }
  return annotations;
}

class DocumentWriter {
 public:
  std::string Text() const { return std::string(out_.c_str()) + "\n"; }

  void Begin(std::string_view kind, const std::string& name, const std::string& display_name, const Annotations& annotations) {
    out_ << YAML::BeginDoc << YAML::BeginMap;
    Word("apiVersion", "openslo/v1");
    Word("kind", std::string(kind));
    Key("metadata") << YAML::BeginMap;
    Field("name", name);
    Field("displayName", display_name);
    if (!annotations.empty()) {
      Key("annotations") << YAML::BeginMap;
      for (const auto& [key, value] : annotations) Key(key) << YAML::DoubleQuoted << value;
      out_ << YAML::EndMap;
    }
    out_ << YAML::EndMap;
    Key("spec") << YAML::BeginMap;
  }
  void End() { out_ << YAML::EndMap << YAML::EndMap; }

  void WriteSpec(const Objective& objective, Source source) {
    if (!objective.description.empty()) Key("description") << YAML::DoubleQuoted << objective.description;
    Field("service", objective.service);
    Key("indicator") << YAML::BeginMap;
    Key("metadata") << YAML::BeginMap;
    Field("name", objective.name);
    out_ << YAML::EndMap;
    Key("spec") << YAML::BeginMap;
    Key("ratioMetric") << YAML::BeginMap;
    Key("counter") << true;
    const RawQueries queries = RatioQueriesOf(objective, source);
    if (!queries.good.empty()) Metric("good", queries.good);
    if (!queries.bad.empty()) Metric("bad", queries.bad);
    Metric("total", queries.total);
    out_ << YAML::EndMap << YAML::EndMap << YAML::EndMap;
    Key("timeWindow") << YAML::BeginSeq << YAML::BeginMap;
    Word("duration", fmt::format("{}d", objective.window_days()));
    Key("isRolling") << true << YAML::EndMap << YAML::EndSeq;
    Word("budgetingMethod", "Occurrences");
    Key("objectives") << YAML::BeginSeq << YAML::BeginMap;
    Field("displayName", objective.name);
    Word("target", NumberText(objective.target));
    out_ << YAML::EndMap << YAML::EndSeq;
  }

 private:
  YAML::Emitter& Key(const std::string& key) { return out_ << YAML::Key << key << YAML::Value; }
  void Word(const std::string& key, const std::string& value) { Key(key) << value; }
  // In quotes, so that a service named "on" or "1" stays a text.
  void Field(const std::string& key, const std::string& value) { Key(key) << YAML::DoubleQuoted << value; }
  void Metric(const std::string& key, const std::string& query) {
    Key(key) << YAML::BeginMap;
    Key("metricSource") << YAML::BeginMap;
    Word("type", "Prometheus");
    Key("spec") << YAML::BeginMap;
    Key("query") << YAML::DoubleQuoted << query;
    out_ << YAML::EndMap << YAML::EndMap << YAML::EndMap;
  }

  YAML::Emitter out_;
};

// Of an SLO's document: no other has it.
std::string DocumentName(const Objective& objective, std::set<std::string>& taken) {
  std::string name = NamePart(objective.id());
  for (int i = 2; !taken.insert(name).second; ++i) {
    const std::string ending = fmt::format("-{}", i);
    name = NamePart(objective.id()).substr(0, kMaxValueBytes - ending.size()) + ending;
  }
  return name;
}

}  // namespace

std::string WriteOpenSlo(const SloFile& file, Source source) {
  DocumentWriter writer;
  Annotations gate;
  if (file.gate != GatePolicy()) Annotate(gate, "gate", DumpJson(ToJson(file.gate)));
  std::set<std::string> services;
  std::set<std::string> names;
  for (const Objective& objective : file.objectives) {
    if (!services.insert(objective.service).second) continue;
    writer.Begin("Service", objective.service, objective.service, gate);
    writer.End();
    gate.clear();  // it stands once
  }
  for (const Objective& objective : file.objectives) {
    writer.Begin("SLO", DocumentName(objective, names), objective.name, AnnotationsOf(objective));
    writer.WriteSpec(objective, source);
    writer.End();
  }
  return writer.Text();
}

}  // namespace autoglm::slo
