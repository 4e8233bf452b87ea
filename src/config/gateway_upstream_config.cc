#include "config/gateway_upstream_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "config/host_port.h"
#include "config/yaml_file.h"
#include "config/yaml_setters.h"

namespace autoglm::gateway {
namespace {

constexpr int64_t kMaxContext = int64_t{1} << 24;  // tokens
constexpr size_t kMaxUpstreams = 4096;             // of a route

constexpr NameTable<EngineKind, 5> kEngines = {{{"unknown", EngineKind::kUnknown},
                                                {"autoglm", EngineKind::kAutoglm},
                                                {"vllm", EngineKind::kVllm},
                                                {"sglang", EngineKind::kSglang},
                                                {"llama.cpp", EngineKind::kLlamaCpp}}};

struct ContextRange {
  int64_t least = 0;
  int64_t most = 0;  // 0: any
};

// "0-32768", "32768-".
Result<ContextRange> ParseContextRange(const std::string& text) {
  const size_t dash = text.find('-');
  if (dash != std::string::npos) {
    const bool has_end = dash + 1 < text.size();
    const Result<int64_t> least = ParseInteger(text.substr(0, dash), 0, kMaxContext);
    const Result<int64_t> most = has_end ? ParseInteger(text.substr(dash + 1), 1, kMaxContext) : 0;
    if (least && most && (!has_end || *least <= *most)) return ContextRange{.least = *least, .most = *most};
  }
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("must be tokens such as 0-32768, or 32769- for any number from there on, not '{}'", text));
}

constexpr std::array kContextFields = {
    YamlField<ContextRange>{"least", SetInteger<&ContextRange::least, 0, kMaxContext>},
    YamlField<ContextRange>{"most", SetInteger<&ContextRange::most, 1, kMaxContext>},
};

Status SetContext(UpstreamConfig& upstream, const YamlValue& value) {
  ContextRange range;
  if (value.IsMap()) {
    AUTOGLM_TRY_VOID(ReadFields(value, kContextFields, range));
    if (range.most != 0 && range.least > range.most) return value.Refuse("'least' must not be above 'most'");
  } else {
    AUTOGLM_TRY(range, value.Parse(ParseContextRange));
  }
  upstream.spec.least_context_tokens = range.least;
  upstream.spec.most_context_tokens = range.most;
  return {};
}

constexpr std::array kTlsFields = {
    YamlField<http::TlsClientOptions>{"ca", SetText<&http::TlsClientOptions::ca>},
    YamlField<http::TlsClientOptions>{"certificate", SetText<&http::TlsClientOptions::certificate>},
    YamlField<http::TlsClientOptions>{"key", SetText<&http::TlsClientOptions::key>},
    YamlField<http::TlsClientOptions>{"server_name", SetText<&http::TlsClientOptions::server_name>},
    YamlField<http::TlsClientOptions>{"verify", SetSwitch<&http::TlsClientOptions::is_name_checked>},
};

Status SetTls(UpstreamConfig& upstream, const YamlValue& value) {
  http::TlsClientOptions tls;
  AUTOGLM_TRY_VOID(ReadFields(value, kTlsFields, tls));
  if (tls.certificate.empty() != tls.key.empty()) return value.Refuse("needs both of 'certificate' and 'key', or none");
  upstream.tls = std::move(tls);
  return {};
}

constexpr std::string_view kHostMark = "{host}";

std::string WithHost(std::string endpoint, std::string_view host) {
  if (const size_t mark = endpoint.find(kHostMark); mark != std::string::npos) endpoint.replace(mark, kHostMark.size(), host);
  return endpoint;
}

Result<std::string> ParseKvEvents(const std::string& text) {
  const bool is_tcp = text.starts_with("tcp://") && ParseHostPort(WithHost(text.substr(6), "host"));
  if (is_tcp || (text.starts_with("ipc://") && text.size() > 6)) return text;
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be an endpoint such as tcp://127.0.0.1:5557, not '{}'", text));
}

Result<EngineKind> ParseEngine(const std::string& text) { return ParseName(text, kEngines); }

constexpr std::array kLikeFields = {
    YamlField<UpstreamConfig>{"weight", SetIn<&UpstreamConfig::spec, SetReal<&routing::UpstreamSpec::weight, 0.001, 1000.0>>},
    YamlField<UpstreamConfig>{"region", SetIn<&UpstreamConfig::spec, SetText<&routing::UpstreamSpec::region>>},
    YamlField<UpstreamConfig>{"context", SetContext},
    YamlField<UpstreamConfig>{"models", SetIn<&UpstreamConfig::spec, SetTexts<&routing::UpstreamSpec::models>>},
    YamlField<UpstreamConfig>{"engine", SetParsed<&UpstreamConfig::engine, ParseEngine>},
    YamlField<UpstreamConfig>{"api_key", SetText<&UpstreamConfig::api_key>},
    YamlField<UpstreamConfig>{"passes_authorization", SetSwitch<&UpstreamConfig::passes_authorization>},
    YamlField<UpstreamConfig>{"tls", SetTls},
    YamlField<UpstreamConfig>{"max_inflight", SetInteger<&UpstreamConfig::max_inflight, 0, 1'000'000>},
    YamlField<UpstreamConfig>{"kv_events", SetParsed<&UpstreamConfig::kv_events, ParseKvEvents>},
    YamlField<UpstreamConfig>{"kv_events_replay", SetParsed<&UpstreamConfig::kv_events_replay, ParseKvEvents>},
};

constexpr std::array kPlaceFields = {
    YamlField<UpstreamConfig>{"url", SetParsed<&UpstreamConfig::url, ParseServerUrl>},
};

constexpr std::array kNameFields = {
    YamlField<UpstreamConfig>{"name", SetIn<&UpstreamConfig::spec, SetParsed<&routing::UpstreamSpec::name, ParseGatewayName>>},
};

constexpr std::array kNamedFields = Joined(kPlaceFields, kLikeFields);
constexpr std::array kListedFields = Joined(kNameFields, kNamedFields);

Status CheckAuthorization(const UpstreamConfig& upstream, const YamlValue& value) {
  if (upstream.api_key.empty() || !upstream.passes_authorization) return {};
  return value.Refuse("cannot have both an 'api_key' and 'passes_authorization': one Authorization is sent");
}

Result<UpstreamConfig> ReadUpstream(const YamlValue& value, std::span<const YamlField<UpstreamConfig>> fields,
                                    const UpstreamConfig& like) {
  UpstreamConfig upstream = like;
  if (value.IsPlain()) {
    AUTOGLM_TRY(upstream.url, value.Parse(ParseServerUrl));
  } else {
    AUTOGLM_TRY_VOID(ReadFields(value, fields, upstream));
    if (upstream.url.empty()) return value.Refuse("needs 'url'");
  }
  if (!IsHttpsUrl(upstream.url)) {
    if (const auto tls = value.Find("tls")) return tls->Refuse("is for a URL that begins with https://");
    upstream.tls.reset();  // what `like` says is for others
  }
  AUTOGLM_TRY_VOID(CheckAuthorization(upstream, value));
  if (upstream.spec.name.empty()) upstream.spec.name = upstream.url;
  FillHost(upstream);
  return upstream;
}

// An entry of a list.
Result<UpstreamConfig> ReadListed(const YamlValue& item, const NamedUpstreams& named, const UpstreamConfig& like) {
  if (item.IsPlain() && item.AsWritten().find("://") == std::string::npos) {
    AUTOGLM_TRY(const std::string name, item.Text());
    const auto found = named.find(name);
    if (found != named.end()) return found->second;
    if (name == item.AsWritten()) {
      return item.FailHere(fmt::format("there is no upstream '{}' under upstreams; a URL begins with http:// or https://", name));
    }
  }
  AUTOGLM_TRY(UpstreamConfig upstream, ReadUpstream(item, kListedFields, like));
  if (!named.contains(upstream.spec.name)) return upstream;
  return item.FailHere(fmt::format("there is an upstream '{}' under upstreams already; name it alone", upstream.spec.name));
}

}  // namespace

void FillHost(UpstreamConfig& upstream) {
  const size_t scheme = upstream.url.find("://");
  if (scheme == std::string::npos) return;
  const std::string_view place = std::string_view(upstream.url).substr(scheme + 3);
  const size_t colon = place.find(':', place.starts_with('[') ? place.find(']') : 0);
  const std::string_view host = place.substr(0, colon);
  upstream.kv_events = WithHost(std::move(upstream.kv_events), host);
  upstream.kv_events_replay = WithHost(std::move(upstream.kv_events_replay), host);
}

std::string_view EngineKindName(EngineKind kind) { return NameIn(kEngines, kind); }

Result<std::string> ParseGatewayName(std::string_view text) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  };
  if (!text.empty() && text.size() <= 64 && std::ranges::all_of(text, is_allowed)) return std::string(text);
  return Fail(ErrorCode::kInvalidArgument, fmt::format("must be 1 to 64 letters, digits, '.', '_' and '-', not '{}'", text));
}

Result<NamedUpstreams> ReadNamedUpstreams(const YamlValue& map) {
  AUTOGLM_TRY(const std::vector<YamlValue> entries, map.Fields());
  NamedUpstreams named;
  for (const YamlValue& entry : entries) {
    if (const auto name = ParseGatewayName(entry.name()); !name) return entry.Refuse("the name " + name.error().message);
    AUTOGLM_TRY(UpstreamConfig upstream, ReadUpstream(entry, kNamedFields, {}));
    upstream.spec.name = entry.name();
    named.emplace(entry.name(), std::move(upstream));
  }
  return named;
}

Result<std::vector<UpstreamConfig>> ReadUpstreams(const YamlValue& list, const NamedUpstreams& named,
                                                  const UpstreamConfig& like) {
  AUTOGLM_TRY(const std::vector<YamlValue> items, list.Items("upstreams"));
  if (items.size() > kMaxUpstreams) return list.Refuse(fmt::format("must be at most {}", kMaxUpstreams));
  std::vector<UpstreamConfig> upstreams;
  std::set<std::string> names;
  for (const YamlValue& item : items) {
    AUTOGLM_TRY(UpstreamConfig upstream, ReadListed(item, named, like));
    if (!names.insert(upstream.spec.name).second) {
      return item.FailHere(fmt::format("the upstream '{}' stands here a second time", upstream.spec.name));
    }
    upstreams.push_back(std::move(upstream));
  }
  return upstreams;
}

Status ReadLike(UpstreamConfig& like, const YamlValue& value) {
  AUTOGLM_TRY_VOID(ReadFields(value, kLikeFields, like));
  return CheckAuthorization(like, value);
}

Result<std::vector<UpstreamConfig>> ParseUpstreamList(const std::string& yaml, std::string_view file_name,
                                                      const UpstreamConfig& like) {
  AUTOGLM_TRY(const YAML::Node document, LoadYaml(yaml, file_name));
  const YamlValue root = YamlValue::Root(document, file_name, YamlValue::Environment::kPutIn);
  if (root.IsNull()) return std::vector<UpstreamConfig>();
  return ReadUpstreams(root, {}, like);
}

}  // namespace autoglm::gateway
