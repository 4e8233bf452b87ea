#include "config/gateway_policy_config.h"

#include <string>

#include "config/yaml_setters.h"

namespace autoglm::gateway {
namespace {

constexpr int64_t kHour = 3'600'000;  // milliseconds

constexpr NameTable<routing::Picker, 4> kPickers = {{{"best", routing::Picker::kBest},
                                                     {"two_choices", routing::Picker::kTwoChoices},
                                                     {"in_turn", routing::Picker::kInTurn},
                                                     {"random", routing::Picker::kRandom}}};

Result<std::string> ParsePolicyName(const std::string& text) {
  AUTOGLM_TRY_VOID(routing::PolicyByName(text));
  return text;
}

Result<std::string> ParsePickerName(const std::string& text) {
  AUTOGLM_TRY_VOID(ParseName(text, kPickers));
  return text;
}

Status SetScorers(PolicyConfig& policy, const YamlValue& value) {
  AUTOGLM_TRY(const std::vector<YamlValue> fields, value.Fields());
  if (fields.empty()) return value.Refuse("must be scorers and their weights, such as {prefix: 2, load: 1}");
  for (const YamlValue& field : fields) {
    AUTOGLM_TRY(const double weight, field.Parse([](const std::string& text) { return ParseReal(text, 0, 1000); }));
    if (const auto scorer = routing::ScorerByName(field.name(), weight); !scorer) return value.Refuse(scorer.error().message);
    policy.scorers.emplace_back(field.name(), weight);
  }
  return {};
}

constexpr std::array kPolicyFields = {
    YamlField<PolicyConfig>{"name", SetParsed<&PolicyConfig::name, ParsePolicyName>},
    YamlField<PolicyConfig>{"scorers", SetScorers},
    YamlField<PolicyConfig>{"picker", SetParsed<&PolicyConfig::picker, ParsePickerName>},
    YamlField<PolicyConfig>{"response_time_below", SetTime<&PolicyConfig::response_time_below, 0, kHour>},
};

}  // namespace

Status SetPolicy(RouteConfig& route, const YamlValue& value) {
  PolicyConfig policy;
  if (!value.IsMap()) {
    AUTOGLM_TRY_VOID((SetParsed<&PolicyConfig::name, ParsePolicyName>(policy, value)));
  } else {
    AUTOGLM_TRY_VOID(ReadFields(value, kPolicyFields, policy));
    const bool has_scorers = !policy.scorers.empty();
    if (has_scorers && value.Find("name")) return value.Refuse("takes a 'name' or 'scorers', not both");
    if (!has_scorers && !policy.picker.empty())
      return value.Find("picker")->Refuse("is for 'scorers': policies by name have theirs");
    if (has_scorers) policy.name.clear();
  }
  route.policy = std::move(policy);
  return {};
}

Result<routing::Policy> BuildPolicy(const PolicyConfig& config) {
  routing::Policy policy;
  if (!config.name.empty()) {
    AUTOGLM_TRY(policy, routing::PolicyByName(config.name));
  }
  for (const auto& [name, weight] : config.scorers) {
    AUTOGLM_TRY(const routing::WeightedScorer scorer, routing::ScorerByName(name, weight));
    policy.scorers.push_back(scorer);
  }
  if (!config.picker.empty()) {
    AUTOGLM_TRY(policy.picker, ParseName(config.picker, kPickers));
  }
  if (config.response_time_below.count() > 0) policy.response_time_below = config.response_time_below;
  return policy;
}

}  // namespace autoglm::gateway
