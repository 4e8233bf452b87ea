#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/json.h"

namespace autoglm {

// In which time a budget may be used, UTC; then it begins anew.
enum class BudgetPeriod { kDay, kMonth, kTotal };
std::string_view BudgetPeriodName(BudgetPeriod period);  // "day", "month", "total"
Result<BudgetPeriod> ParseBudgetPeriod(std::string_view name);

// Whose requests use a budget up together: one key's, or those of all keys of a tenant.
enum class BudgetOwner { kKey, kTenant };
std::string_view BudgetOwnerName(BudgetOwner owner);  // "key", "tenant"
Result<BudgetOwner> ParseBudgetOwner(std::string_view name);

// What the holder of a key may do. 0 or empty: no limit of that kind.
struct Policy {
  std::string tenant = "default";           // whose requests share cached prefixes and count as one user's
  std::vector<std::string> models;          // names, '*' stands for any characters; empty: all
  std::optional<int64_t> highest_priority;  // the lowest number (the most urgent) a request may ask for; nullopt: any
  int64_t max_context_tokens = 0;           // prompt and answer together
  int64_t max_output_tokens = 0;
  int64_t requests_per_minute = 0;
  int64_t tokens_per_minute = 0;
  int64_t max_concurrent = 0;  // requests at the same time
  double budget = 0;           // in money where a gateway knows prices, else in tokens
  BudgetPeriod budget_period = BudgetPeriod::kMonth;
  BudgetOwner budget_of = BudgetOwner::kKey;
  bool acts_for_tenants = false;  // may say for which tenant of its own it asks (principal.h): for gateways
  // What a token's scopes allow; models must fit these as well. nullopt: it has no such bounds. Never in files.
  std::optional<std::vector<std::string>> scope_models;

  bool MayUse(std::string_view model) const;
  bool operator==(const Policy&) const = default;
};

// The limits that are plain counts, by their names in files.
struct PolicyLimit {
  std::string_view name;
  int64_t Policy::* count;
};
std::span<const PolicyLimit> PolicyLimits();

inline constexpr int64_t kMaxPolicyLimit = 1'000'000'000'000;

// Whether the fields hold what they may: names of printable characters, bounded lists, limits up to kMaxPolicyLimit.
// Errors: kInvalidArgument, starting with the field's name.
Status CheckPolicy(const Policy& policy);

// For a name that people give to a key, a tenant or a policy: 1 to 256 bytes without control characters. Errors: as CheckPolicy.
Status CheckAuthName(std::string_view what, std::string_view name);

// Fields that say "no limit" are left out. Reading refuses fields it does not know, because one of them may be a limit.
Json PolicyToJson(const Policy& policy);
Result<Policy> PolicyFromJson(const Json& json);

}  // namespace autoglm
