#include "config/gateway_listen_config.h"

#include <optional>
#include <string>

#include "config/host_port.h"
#include "config/yaml_setters.h"

namespace autoglm::gateway {
namespace {

constexpr int64_t kHour = 3'600'000;  // milliseconds

constexpr std::array kTlsFields = {
    YamlField<http::TlsServerOptions>{"certificate", SetText<&http::TlsServerOptions::certificate>},
    YamlField<http::TlsServerOptions>{"key", SetText<&http::TlsServerOptions::key>},
    YamlField<http::TlsServerOptions>{"client_ca", SetText<&http::TlsServerOptions::client_ca>},
};

Status SetAddress(ListenConfig& listen, const YamlValue& value) {
  AUTOGLM_TRY(HostPort address, value.Parse([](const std::string& text) { return ParseHostPort(text); }));
  listen.host = std::move(address.host);
  listen.port = address.port;
  return {};
}

Status SetTls(ListenConfig& listen, const YamlValue& value) {
  http::TlsServerOptions tls;
  AUTOGLM_TRY_VOID(ReadFields(value, kTlsFields, tls));
  if (tls.certificate.empty() || tls.key.empty()) return value.Refuse("needs 'certificate' and 'key'");
  listen.tls = std::move(tls);
  return {};
}

constexpr std::array kListenFields = {
    YamlField<ListenConfig>{"address", SetAddress},
    YamlField<ListenConfig>{"tls", SetTls},
};

Status ReadListen(ListenConfig& listen, const YamlValue& value) {
  return value.IsMap() ? ReadFields(value, kListenFields, listen) : SetAddress(listen, value);
}

constexpr std::array kLimitFields = {
    YamlField<LimitConfig>{"max_connections", SetInteger<&LimitConfig::max_connections, 1, 1'000'000>},
    YamlField<LimitConfig>{"max_body", SetSize<&LimitConfig::max_body_bytes>},
    YamlField<LimitConfig>{"max_arriving_bodies", SetSize<&LimitConfig::max_arriving_body_bytes>},
    YamlField<LimitConfig>{"max_header", SetSize<&LimitConfig::max_header_bytes>},
    YamlField<LimitConfig>{"header_timeout", SetTime<&LimitConfig::header_timeout, 1, kHour>},
    YamlField<LimitConfig>{"body_timeout", SetTime<&LimitConfig::body_timeout, 1, kHour>},
    YamlField<LimitConfig>{"idle_timeout", SetTime<&LimitConfig::idle_timeout, 1, kHour>},
    YamlField<LimitConfig>{"write_timeout", SetTime<&LimitConfig::write_timeout, 1, kHour>},
};

}  // namespace

Status SetListen(GatewayConfig& config, const YamlValue& value) { return ReadListen(config.listen, value); }

Status SetAdmin(GatewayConfig& config, const YamlValue& value) {
  if (value.Is("off")) {
    config.admin.reset();
    return {};
  }
  return ReadListen(*config.admin, value);
}

Status SetLimits(GatewayConfig& config, const YamlValue& value) {
  AUTOGLM_TRY_VOID(ReadFields(value, kLimitFields, config.limits));
  if (config.limits.max_body_bytes <= config.limits.max_arriving_body_bytes) return {};
  return value.Refuse("max_body must not be larger than max_arriving_bodies");
}

Status CheckListeners(const GatewayConfig& config, const YamlValue& root) {
  if (!config.admin) return {};
  const std::optional<YamlValue> admin = root.Find("admin");
  const YamlValue& place = admin ? *admin : root;
  const bool is_same_port = config.admin->port == config.listen.port && config.listen.port != 0;
  if (is_same_port && config.admin->host == config.listen.host) {
    return place.FailHere("admin: must not be where 'listen' is; 127.0.0.1:8001 where nothing is said");
  }
  if (IsLoopback(config.admin->host) || !config.admin_token.empty()) return {};
  return place.FailHere("admin: needs 'admin_token' where other machines can reach it");
}

}  // namespace autoglm::gateway
