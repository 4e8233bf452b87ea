#include "config/gateway_fault_config.h"

#include <fmt/format.h>

#include <set>
#include <string>
#include <utility>

#include "config/gateway_match_config.h"
#include "config/gateway_upstream_config.h"
#include "config/yaml_setters.h"

namespace autoglm::gateway {
namespace {

constexpr size_t kMaxFaults = 256;
constexpr int64_t kHour = 3'600'000;  // milliseconds

constexpr std::array kMatchFields = {
    YamlField<FaultConfig>{"route", SetTexts<&FaultConfig::routes>},
    YamlField<FaultConfig>{"tenant", SetIn<&FaultConfig::tenants, ReadPatterns>},
    YamlField<FaultConfig>{"header", SetIn<&FaultConfig::headers, ReadHeaderPatterns>},
    YamlField<FaultConfig>{"percent", SetReal<&FaultConfig::percent, 0.0, 100.0>},
};

Status SetFaultMatch(FaultConfig& fault, const YamlValue& value) { return ReadFields(value, kMatchFields, fault); }

constexpr std::array kFaultFields = {
    YamlField<FaultConfig>{"name", SetParsed<&FaultConfig::name, ParseGatewayName>},
    YamlField<FaultConfig>{"match", SetFaultMatch},
    YamlField<FaultConfig>{"delay", SetTime<&FaultConfig::delay, 0, kHour>},
    YamlField<FaultConfig>{"first_token_delay", SetTime<&FaultConfig::first_token_delay, 0, kHour>},
    YamlField<FaultConfig>{"token_delay", SetTime<&FaultConfig::token_delay, 0, kHour>},
    YamlField<FaultConfig>{"jitter", SetReal<&FaultConfig::jitter, 0.0, 1.0>},
    // An answer below 200 is none.
    YamlField<FaultConfig>{"abort_status", SetInteger<&FaultConfig::abort_status, 200, 599>},
    YamlField<FaultConfig>{"cut_after_events", SetInteger<&FaultConfig::cut_after_events, 0, 1'000'000>},
};

bool DoesSomething(const FaultConfig& fault) {
  const bool is_slow = fault.delay.count() > 0 || fault.first_token_delay.count() > 0 || fault.token_delay.count() > 0;
  return is_slow || fault.abort_status != 0 || fault.cut_after_events >= 0;
}

}  // namespace

Status SetFaults(GatewayConfig& config, const YamlValue& value) {
  AUTOGLM_TRY(const std::vector<YamlValue> items, value.Items("faults"));
  if (items.size() > kMaxFaults) return value.Refuse(fmt::format("must be at most {}", kMaxFaults));
  std::set<std::string> names;
  for (const YamlValue& item : items) {
    FaultConfig fault{.name = fmt::format("fault-{}", config.faults.size() + 1)};
    AUTOGLM_TRY_VOID(ReadFields(item, kFaultFields, fault));
    if (!names.insert(fault.name).second)
      return item.FailHere(fmt::format("the fault '{}' stands here a second time", fault.name));
    if (!DoesSomething(fault)) return item.Refuse("does nothing: it needs a delay, 'abort_status' or 'cut_after_events'");
    config.faults.push_back(std::move(fault));
  }
  return {};
}

}  // namespace autoglm::gateway
