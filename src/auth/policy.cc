#include "auth/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/name_pattern.h"
#include "json/fields.h"

namespace autoglm {
namespace {

constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxPatternBytes = 256;
constexpr size_t kMaxModels = 256;

constexpr std::array<PolicyLimit, 5> kLimits = {{{"max_context_tokens", &Policy::max_context_tokens},
                                                 {"max_output_tokens", &Policy::max_output_tokens},
                                                 {"requests_per_minute", &Policy::requests_per_minute},
                                                 {"tokens_per_minute", &Policy::tokens_per_minute},
                                                 {"max_concurrent", &Policy::max_concurrent}}};

constexpr std::array<std::string_view, 3> kPeriodNames = {"day", "month", "total"};
constexpr std::array<std::string_view, 2> kOwnerNames = {"key", "tenant"};

// Which of `names` it is, in the order of the enumeration.
template <typename Enum, size_t num_names>
Result<Enum> FindName(const std::array<std::string_view, num_names>& names, std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found != names.end()) return static_cast<Enum>(found - names.begin());
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be one of {}, not '{}'", fmt::join(names, ", "), name));
}

bool HasControlCharacter(std::string_view text) {
  return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

Status CheckText(std::string_view what, std::string_view text, size_t max_bytes) {
  if (!text.empty() && text.size() <= max_bytes && !HasControlCharacter(text)) return {};
  return Fail(ErrorCode::kInvalidArgument, fmt::format("{}: must be 1 to {} bytes without control characters", what, max_bytes));
}

Status CheckField(std::string_view name) {
  constexpr std::array<std::string_view, 7> kOthers = {"tenant",        "models",    "highest_priority", "budget",
                                                       "budget_period", "budget_of", "acts_for_tenants"};
  const bool is_known =
      std::ranges::find(kOthers, name) != kOthers.end() || std::ranges::find(kLimits, name, &PolicyLimit::name) != kLimits.end();
  return is_known ? Status() : Fail(ErrorCode::kInvalidArgument, fmt::format("{}: is not known to this version", name));
}

template <typename Enum>
Status ReadName(const JsonFields& fields, std::string_view name, Result<Enum> (*parse)(std::string_view), Enum& target) {
  AUTOGLM_TRY(const std::optional<std::string> text, fields.String(name));
  if (!text) return {};
  const Result<Enum> value = parse(*text);
  if (!value) return fields.Refuse(name, value.error().message);
  target = *value;
  return {};
}

Status ReadBudget(const JsonFields& fields, Policy& policy) {
  AUTOGLM_TRY(const std::optional<double> budget, fields.Number("budget"));
  policy.budget = budget.value_or(0);
  AUTOGLM_TRY_VOID(ReadName(fields, "budget_period", &ParseBudgetPeriod, policy.budget_period));
  return ReadName(fields, "budget_of", &ParseBudgetOwner, policy.budget_of);
}

}  // namespace

bool Policy::MayUse(std::string_view model) const {
  const auto are_fitting = [model](const std::vector<std::string>& patterns) {
    return std::ranges::any_of(patterns, [model](const std::string& pattern) { return FitsPattern(model, pattern); });
  };
  return (models.empty() || are_fitting(models)) && (!scope_models || are_fitting(*scope_models));
}

std::span<const PolicyLimit> PolicyLimits() { return kLimits; }

std::string_view BudgetPeriodName(BudgetPeriod period) { return kPeriodNames[static_cast<size_t>(period)]; }
Result<BudgetPeriod> ParseBudgetPeriod(std::string_view name) { return FindName<BudgetPeriod>(kPeriodNames, name); }
std::string_view BudgetOwnerName(BudgetOwner owner) { return kOwnerNames[static_cast<size_t>(owner)]; }
Result<BudgetOwner> ParseBudgetOwner(std::string_view name) { return FindName<BudgetOwner>(kOwnerNames, name); }

Status CheckAuthName(std::string_view what, std::string_view name) { return CheckText(what, name, kMaxNameBytes); }

Status CheckPolicy(const Policy& policy) {
  AUTOGLM_TRY_VOID(CheckAuthName("tenant", policy.tenant));
  if (policy.models.size() > kMaxModels) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("models: must be at most {} names", kMaxModels));
  }
  for (const std::string& pattern : policy.models) AUTOGLM_TRY_VOID(CheckText("models", pattern, kMaxPatternBytes));
  for (const auto& [name, count] : kLimits) {
    if (policy.*count >= 0 && policy.*count <= kMaxPolicyLimit) continue;
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: must be a whole number from 0 to {}, not {}", name, kMaxPolicyLimit, policy.*count));
  }
  if (policy.budget >= 0 && policy.budget <= static_cast<double>(kMaxPolicyLimit)) return {};
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("budget: must be a number from 0 to {}, not {}", kMaxPolicyLimit, policy.budget));
}

Json PolicyToJson(const Policy& policy) {
  Json json{{"tenant", policy.tenant}};
  if (!policy.models.empty()) json["models"] = policy.models;
  if (policy.highest_priority) json["highest_priority"] = *policy.highest_priority;
  for (const auto& [name, count] : kLimits) {
    if (policy.*count > 0) json[std::string(name)] = policy.*count;
  }
  if (policy.budget > 0) {
    json["budget"] = policy.budget;
    json["budget_period"] = BudgetPeriodName(policy.budget_period);
    json["budget_of"] = BudgetOwnerName(policy.budget_of);
  }
  if (policy.acts_for_tenants) json["acts_for_tenants"] = true;
  return json;
}

Result<Policy> PolicyFromJson(const Json& json) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(json));
  for (const auto& [name, value] : json.items()) AUTOGLM_TRY_VOID(CheckField(name));

  Policy policy;
  AUTOGLM_TRY(const std::optional<std::string> tenant, fields.String("tenant"));
  policy.tenant = tenant.value_or(policy.tenant);
  AUTOGLM_TRY(const Json* models, fields.Array("models"));
  for (const Json& model : models == nullptr ? Json::array() : *models) {
    if (!model.is_string()) return fields.Refuse("models", "must be a list of names");
    policy.models.push_back(model.get<std::string>());
  }
  AUTOGLM_TRY(policy.highest_priority, fields.Integer("highest_priority"));
  for (const auto& [name, count] : kLimits) {
    AUTOGLM_TRY(const std::optional<int64_t> value, fields.Integer(name));
    policy.*count = value.value_or(0);
  }
  AUTOGLM_TRY_VOID(ReadBudget(fields, policy));
  AUTOGLM_TRY(const std::optional<bool> acts_for_tenants, fields.Bool("acts_for_tenants"));
  policy.acts_for_tenants = acts_for_tenants.value_or(false);
  AUTOGLM_TRY_VOID(CheckPolicy(policy));
  return policy;
}

}  // namespace autoglm
