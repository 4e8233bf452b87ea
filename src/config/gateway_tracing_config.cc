#include "config/gateway_tracing_config.h"

#include "config/tracing_config.h"
#include "config/yaml_setters.h"

namespace autoglm::gateway {
namespace {

constexpr int64_t kDay = 86'400'000;  // milliseconds

constexpr std::array kFields = {
    YamlField<TracingConfig>{"otlp", SetParsed<&TracingConfig::otlp, ParseCollectorUrl>},
    YamlField<TracingConfig>{"otlp_encoding", SetParsed<&TracingConfig::is_otlp_json, ParseIsOtlpJson>},
    YamlField<TracingConfig>{"zipkin", SetParsed<&TracingConfig::zipkin, ParseCollectorUrl>},
    YamlField<TracingConfig>{"sample", SetReal<&TracingConfig::sample_ratio, 0.0, 1.0>},
    YamlField<TracingConfig>{"slow", SetTime<&TracingConfig::slow, 0, kDay>},
    YamlField<TracingConfig>{"metrics_interval", SetTime<&TracingConfig::metrics_interval, 0, kDay>},
    YamlField<TracingConfig>{"service_name", SetText<&TracingConfig::service_name>},
};

constexpr std::array kSloFields = {
    YamlField<SloConfig>{"file", SetText<&SloConfig::file>},
    YamlField<SloConfig>{"state", SetText<&SloConfig::state>},
    YamlField<SloConfig>{"webhook", SetParsed<&SloConfig::webhook, ParseCollectorUrl>},
};

}  // namespace

Status SetTracing(GatewayConfig& config, const YamlValue& value) {
  config.tracing = {};
  return ReadFields(value, kFields, config.tracing);
}

Status SetSlo(GatewayConfig& config, const YamlValue& value) {
  config.slo = {};
  if (!value.IsMap()) return SetText<&SloConfig::file>(config.slo, value);
  AUTOGLM_TRY_VOID(ReadFields(value, kSloFields, config.slo));
  if (config.slo.file.empty()) return value.Refuse("needs 'file'");
  return {};
}

}  // namespace autoglm::gateway
