#include "config/gateway_config.h"

#include <optional>

#include "base/text_file.h"
#include "config/auth_config.h"
#include "config/gateway_accounting_config.h"
#include "config/gateway_fault_config.h"
#include "config/gateway_listen_config.h"
#include "config/gateway_references.h"
#include "config/gateway_route_config.h"
#include "config/gateway_tracing_config.h"
#include "config/gateway_traffic_config.h"
#include "config/gateway_upstream_config.h"
#include "config/key_database.h"
#include "config/yaml_file.h"
#include "config/yaml_setters.h"

namespace autoglm::gateway {
namespace {

constexpr int64_t kDay = 86'400'000;  // milliseconds

// A file on its way to a configuration.
struct GatewayFile {
  GatewayConfig config;
  RouteConfig defaults;  // of its routes
};

Result<int64_t> ParseThreads(const std::string& text) { return ParseIntegerOrAuto(text, 1024); }

Status SetThreads(GatewayConfig& config, const YamlValue& value) {
  AUTOGLM_TRY(const int64_t threads, value.Parse(ParseThreads));
  config.threads = static_cast<int>(threads);
  return {};
}

constexpr std::array kServerFields = {
    YamlField<GatewayConfig>{"listen", SetListen},
    YamlField<GatewayConfig>{"admin", SetAdmin},
    YamlField<GatewayConfig>{"admin_token", SetText<&GatewayConfig::admin_token>},
    YamlField<GatewayConfig>{"threads", SetThreads},
    YamlField<GatewayConfig>{"limits", SetLimits},
    YamlField<GatewayConfig>{"region", SetText<&GatewayConfig::region>},
    YamlField<GatewayConfig>{"drain_timeout", SetTime<&GatewayConfig::drain_timeout, 0, kDay>},
    YamlField<GatewayConfig>{"unauthenticated", SetParsed<&GatewayConfig::serves_anybody_anywhere, ParseUnauthenticated>},
    YamlField<GatewayConfig>{"trusts_forwarded", SetSwitch<&GatewayConfig::trusts_forwarded>},
    YamlField<GatewayConfig>{"keys_database",
                             SetIn<&GatewayConfig::auth, SetParsed<&AuthOptions::key_database, ParseKeyDatabase>>},
    YamlField<GatewayConfig>{"redis", SetRedis},
    YamlField<GatewayConfig>{"budgets", SetBudgets},
    YamlField<GatewayConfig>{"prices", SetPrices},
    YamlField<GatewayConfig>{"audit_log", SetText<&GatewayConfig::audit_log>},
    YamlField<GatewayConfig>{"workers", SetText<&GatewayConfig::workers>},
    YamlField<GatewayConfig>{"faults", SetFaults},
    YamlField<GatewayConfig>{"tracing", SetTracing},
    YamlField<GatewayConfig>{"slo", SetSlo},
};

// What others refer to, or what refers to others.
constexpr std::array kLaterFields = {
    YamlField<GatewayFile>{"upstreams", SetLater<GatewayFile>}, YamlField<GatewayFile>{"routes", SetLater<GatewayFile>},
    YamlField<GatewayFile>{"policies", SetLater<GatewayFile>},  YamlField<GatewayFile>{"keys", SetLater<GatewayFile>},
    YamlField<GatewayFile>{"jwt", SetLater<GatewayFile>},
};

constexpr std::array kFileFields = Joined(Joined(FieldsOf<&GatewayFile::config, kServerFields>(), kLaterFields),
                                          FieldsOf<&GatewayFile::defaults, kTrafficFields>());

Result<GatewayConfig> ReadGateway(const YamlValue& root) {
  GatewayFile file;
  file.config.auth.key_database = DefaultKeyDatabase();
  AUTOGLM_TRY_VOID(ReadFields(root, kFileFields, file));
  AUTOGLM_TRY_VOID(CheckListeners(file.config, root));
  AUTOGLM_TRY_VOID(ApplyAuthYaml(root, file.config.auth));

  NamedUpstreams named;
  if (const auto upstreams = root.Find("upstreams")) {
    AUTOGLM_TRY(named, ReadNamedUpstreams(*upstreams));
  }
  const std::optional<YamlValue> routes = root.Find("routes");
  if (!routes) return root.FailHere("the file needs 'routes', such as routes: [{upstreams: [http://127.0.0.1:8081]}]");
  AUTOGLM_TRY(file.config.routes, ReadRoutes(*routes, file.defaults, named));
  AUTOGLM_TRY_VOID(CheckReferences(root, file.config.routes));
  return std::move(file.config);
}

}  // namespace

Result<GatewayConfig> ParseGatewayConfig(const std::string& yaml, std::string_view file_name) {
  AUTOGLM_TRY(const YAML::Node document, LoadYaml(yaml, file_name));
  if (document.IsNull()) return FailAt(file_name, YAML::Mark(), "the file says nothing; it needs 'routes'");
  return ReadGateway(YamlValue::Root(document, file_name, YamlValue::Environment::kPutIn));
}

Result<GatewayConfig> LoadGatewayConfig(const std::filesystem::path& file) {
  AUTOGLM_TRY(const std::string yaml, ReadTextFile(file, kMaxYamlBytes));
  return ParseGatewayConfig(yaml, file.string());
}

}  // namespace autoglm::gateway
