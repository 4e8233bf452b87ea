#include "config/gateway_match_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "config/yaml_setters.h"

namespace autoglm::gateway {
namespace {

constexpr size_t kMaxPatternBytes = 256;  // bounds the square of a pattern with many stars
constexpr size_t kMaxPatterns = 256;

Result<std::string> ParsePattern(const std::string& text) {
  AUTOGLM_TRY(std::string pattern, ParsePlainText(text));
  if (pattern.size() <= kMaxPatternBytes) return pattern;
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be at most {} bytes", kMaxPatternBytes));
}

Status SetPaths(MatchConfig& match, const YamlValue& value) {
  AUTOGLM_TRY_VOID(ReadPatterns(match.paths, value));
  const auto begins_wrong = [](const std::string& path) { return path[0] != '/' && path[0] != '*'; };
  return std::ranges::any_of(match.paths, begins_wrong) ? value.Refuse("must begin with '/' or '*'") : Status();
}

// The name of a header (RFC 9110, a token) in lower case; empty: it is none.
std::string HeaderName(std::string_view text) {
  constexpr std::string_view kSigns = "!#$%&'*+-.^_`|~";
  std::string name(text);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    const bool is_allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || kSigns.find(c) != std::string_view::npos;
    if (!is_allowed) return "";
  }
  return name;
}

constexpr std::array kMatchFields = {
    YamlField<MatchConfig>{"path", SetPaths},
    YamlField<MatchConfig>{"model", SetIn<&MatchConfig::models, ReadPatterns>},
    YamlField<MatchConfig>{"tenant", SetIn<&MatchConfig::tenants, ReadPatterns>},
    YamlField<MatchConfig>{"header", SetIn<&MatchConfig::headers, ReadHeaderPatterns>},
    YamlField<MatchConfig>{"percent", SetReal<&MatchConfig::percent, 0.0, 100.0>},
};

}  // namespace

Status ReadPatterns(std::vector<std::string>& patterns, const YamlValue& value) {
  AUTOGLM_TRY(const std::vector<YamlValue> items, value.PlainItems());
  if (items.size() > kMaxPatterns) return value.Refuse(fmt::format("must be at most {}", kMaxPatterns));
  for (const YamlValue& item : items) {
    AUTOGLM_TRY(std::string pattern, item.Parse(ParsePattern));
    patterns.push_back(std::move(pattern));
  }
  return {};
}

Status ReadHeaderPatterns(std::vector<std::pair<std::string, std::string>>& headers, const YamlValue& value) {
  AUTOGLM_TRY(const std::vector<YamlValue> fields, value.Fields());
  if (fields.size() > kMaxPatterns) return value.Refuse(fmt::format("must be at most {}", kMaxPatterns));
  std::set<std::string> names;
  for (const YamlValue& field : fields) {
    std::string name = HeaderName(field.name());
    if (name.empty()) return field.Refuse("is no name of a header");
    if (!names.insert(name).second) return field.Refuse("stands here a second time: upper and lower case are the same");
    AUTOGLM_TRY(std::string pattern, field.Parse(ParsePattern));
    headers.emplace_back(std::move(name), std::move(pattern));
  }
  return {};
}

Status SetMatch(RouteConfig& route, const YamlValue& value) { return ReadFields(value, kMatchFields, route.match); }

}  // namespace autoglm::gateway
