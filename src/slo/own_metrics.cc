#include "slo/own_metrics.h"

#include <fmt/format.h>

#include <utility>

#include "config/values.h"
#include "slo/prom_query.h"

namespace autoglm::slo {
namespace {

constexpr std::string_view kNameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:";

// Reads from the front of a text.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  void SkipSpaces() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\t' || text_.front() == '\n')) text_.remove_prefix(1);
  }
  bool Take(std::string_view token) {
    SkipSpaces();
    if (!text_.starts_with(token)) return false;
    text_.remove_prefix(token.size());
    return true;
  }
  std::string Name() {
    SkipSpaces();
    const size_t end = std::min(text_.find_first_not_of(kNameCharacters), text_.size());
    std::string name(text_.substr(0, end));
    text_.remove_prefix(end);
    return name;
  }
  // In double quotes, with backslashes.
  std::optional<std::string> Quoted() {
    if (!Take("\"")) return std::nullopt;
    std::string value;
    while (!text_.empty() && text_.front() != '"') {
      if (text_.front() == '\\' && text_.size() > 1) {
        text_.remove_prefix(1);
        value += text_.front() == 'n' ? '\n' : text_.front();
      } else {
        value += text_.front();
      }
      text_.remove_prefix(1);
    }
    if (!Take("\"")) return std::nullopt;
    return value;
  }
  bool IsAtEnd() {
    SkipSpaces();
    return text_.empty();
  }

 private:
  std::string_view text_;
};

std::optional<std::pair<std::string, std::string>> TakeMatcher(Cursor& cursor) {
  std::string name = cursor.Name();
  if (name.empty()) return std::nullopt;
  for (const std::string_view op : {"=~", "!~", "!=", "="}) {
    if (!cursor.Take(op)) continue;
    const std::optional<std::string> value = cursor.Quoted();
    if (!value) return std::nullopt;
    return std::pair(std::move(name), op == "=" ? *value : std::string(op) + *value);
  }
  return std::nullopt;
}

// What NameMatcher made of a pattern.
std::string PatternOf(const std::string& value) {
  if (!value.starts_with("=~")) return value;
  std::string pattern;
  for (size_t i = 2; i < value.size(); ++i) {
    if (value.compare(i, 2, ".*") == 0) {
      pattern += '*';
      ++i;
    } else if (value[i] == '\\' && i + 1 < value.size()) {
      pattern += value[++i];
    } else {
      pattern += value[i];
    }
  }
  return pattern;
}

// "=~1|1[.]0" is 1.
std::optional<double> BoundaryOf(const std::map<std::string, std::string>& labels) {
  const auto le = labels.find("le");
  if (le == labels.end()) return std::nullopt;
  std::string_view text = le->second;
  if (text.starts_with("=~")) text = text.substr(2, text.find('|') - 2);
  const Result<double> boundary = ParseReal(text, 1e-4, 7 * 86400);
  return boundary ? std::optional(*boundary) : std::nullopt;
}

// The selection is in both queries; what is not in a pattern of ours is found out by writing the queries again.
void ReadSelection(const std::map<std::string, std::string>& labels, Selection& selection) {
  for (const auto& [label, pattern] : {std::pair<std::string_view, std::string*>{"model_name", &selection.model},
                                       {"slo_class", &selection.slo_class},
                                       {"route", &selection.route},
                                       {"path", &selection.path},
                                       {"tenant", &selection.tenant}}) {
    if (const auto found = labels.find(std::string(label)); found != labels.end()) *pattern = PatternOf(found->second);
  }
}

bool IsWrittenSo(const Objective& objective, Source source, const Selector& good, const Selector& total) {
  const RawQueries written = RatioQueriesOf(objective, source);
  return ParseSelector(written.good) == good && ParseSelector(written.total) == total;
}

}  // namespace

std::optional<Selector> ParseSelector(std::string_view text) {
  Cursor cursor(text);
  Selector selector{.name = cursor.Name()};
  if (selector.name.empty()) return std::nullopt;
  if (cursor.IsAtEnd()) return selector;
  if (!cursor.Take("{")) return std::nullopt;
  while (!cursor.Take("}")) {
    const auto matcher = TakeMatcher(cursor);
    if (!matcher || !selector.labels.insert(*matcher).second) return std::nullopt;
    cursor.Take(",");
  }
  return cursor.IsAtEnd() ? std::optional(std::move(selector)) : std::nullopt;
}

void RecognizeOwnMetrics(Objective& objective) {
  objective.indicator = Indicator::kRawRatio;
  objective.objective_name = "ratio";
  objective.unit = Unit::kRatio;
  const std::optional<Selector> good = ParseSelector(objective.queries.good);
  const std::optional<Selector> total = ParseSelector(objective.queries.total);
  if (!good || !total) return;
  for (const Source source : {Source::kServer, Source::kGateway}) {
    for (const Indicator indicator : {Indicator::kLatency, Indicator::kFirstToken, Indicator::kAvailability}) {
      Objective own = objective;
      own.indicator = indicator;
      own.queries = {};
      ReadSelection(total->labels, own.selection);
      if (indicator == Indicator::kAvailability) {
        own.objective_name = "availability";
        if (own.selection.path == "/v1/*") own.selection.path.clear();
        const auto code = total->labels.find("code");
        own.count_429 = code != total->labels.end() && code->second.find("429") != std::string::npos;
      } else {
        const std::optional<double> boundary = BoundaryOf(good->labels);
        if (!boundary) continue;
        own.threshold_s = *boundary;
        own.unit = Unit::kSeconds;
        own.objective_name = fmt::format("{}th_percentile_{}", NumberText(RoundDecimal(own.target * 100)),
                                         indicator == Indicator::kLatency ? "latency" : "first_screen");
      }
      if (!IsWrittenSo(own, source, *good, *total)) continue;
      objective = std::move(own);
      return;
    }
  }
}

}  // namespace autoglm::slo
