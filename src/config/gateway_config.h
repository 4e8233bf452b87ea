#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "auth/authenticator.h"
#include "base/clock.h"
#include "base/result.h"
#include "config/slo_config.h"
#include "config/tracing_config.h"
#include "http/tls.h"
#include "resilience/hedging.h"
#include "resilience/retry_budget.h"
#include "resilience/retry_policy.h"
#include "routing/outlier_detector.h"
#include "routing/policy.h"
#include "routing/prefix_index.h"
#include "routing/upstream.h"
#include "routing/upstream_health.h"

namespace autoglm::gateway {

// Everything `autoglm gateway FILE` can be told: what stands in the file, with defaults for the rest. Plain values that can be
// compared, so that a reload changes what differs. docs/gateway-config.md lists every key.

// Zero: none.
struct TimeoutConfig {
  std::chrono::milliseconds connect{2'000};
  std::chrono::milliseconds first_token{120'000};    // to the answer's first byte
  std::chrono::milliseconds between_tokens{60'000};  // between its bytes
  std::chrono::milliseconds total{0};

  bool operator==(const TimeoutConfig&) const = default;
};

struct ProbeConfig {
  std::string path = "/health";  // asked with GET; 2xx is well. Empty: no probes
  std::chrono::milliseconds interval{2'000};
  std::chrono::milliseconds timeout{1'000};
  std::string metrics_path = "/metrics";  // for num_running, num_waiting, kv_usage; empty: not read
  std::chrono::milliseconds metrics_interval{1'000};
  std::string models_path = "/v1/models";  // for the gateway's own list; empty: not asked

  bool operator==(const ProbeConfig&) const = default;
};

// What an upstream can do beside OpenAI's API.
enum class EngineKind {
  kUnknown,
  kAutoglm,  // continues answers by token ids
  kVllm,
  kSglang,
  kLlamaCpp,
};
std::string_view EngineKindName(EngineKind kind);

struct UpstreamConfig {
  routing::UpstreamSpec spec;  // its name: the configured one, or the URL
  std::string url;             // http://host:port or https://...
  EngineKind engine = EngineKind::kUnknown;
  std::string api_key;  // sent as its bearer token instead of the client's; empty: the client's own is not passed on
  bool passes_authorization = false;          // the client's Authorization and x-api-key go on to it
  std::optional<http::TlsClientOptions> tls;  // for https; nullopt: the system's authorities
  int64_t max_inflight = 0;                   // requests at a time; beyond them requests wait in the route's line. 0: any number
  // ZeroMQ endpoint it publishes to, for exact prefixes, and the one that tells again what was missed; empty: none. "{host}" in
  // them stands for the URL's host.
  std::string kv_events;
  std::string kv_events_replay;

  bool operator==(const UpstreamConfig&) const = default;
};

// Puts the URL's host in place of "{host}".
void FillHost(UpstreamConfig& upstream);

// Where upstreams are found beside those that are listed. One of these is not empty.
struct DiscoveryConfig {
  std::filesystem::path file;  // YAML list of upstreams as in the configuration, read again when it changes
  std::string dns;             // "name:port" (A, AAAA: every address is one) or "_service._tcp.name" (SRV)
  std::chrono::milliseconds dns_interval{10'000};
  struct Kubernetes {
    std::string service;         // whose EndpointSlices are watched
    std::string namespace_name;  // empty: the pod's own
    std::string port_name;       // empty: the first
    std::string api_server;      // empty: from the pod's environment
    std::filesystem::path token_file = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    std::filesystem::path ca_file = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
    bool operator==(const Kubernetes&) const = default;
  };
  std::optional<Kubernetes> kubernetes;
  UpstreamConfig like;  // for what the source does not say of an upstream

  bool operator==(const DiscoveryConfig&) const = default;
};

// "round_robin" and the like, or scorers with weights; checked when it is read, built by BuildPolicy.
struct PolicyConfig {
  std::string name = "least_connections";  // empty: of scorers
  std::vector<std::pair<std::string, double>> scorers;
  std::string picker;  // best, two_choices, in_turn, random; empty: best
  std::chrono::milliseconds response_time_below{0};

  bool operator==(const PolicyConfig&) const = default;
};

// Errors: kInvalidArgument. What was read from a file passes.
Result<routing::Policy> BuildPolicy(const PolicyConfig& config);

// Which requests a route takes: all that is set must fit. Patterns have '*' for any characters.
struct MatchConfig {
  std::vector<std::string> paths;
  std::vector<std::string> models;
  std::vector<std::string> tenants;
  std::vector<std::pair<std::string, std::string>> headers;  // name in lower case, pattern of the value
  double percent =
      100;  // of requests that fit otherwise, chosen by a hash of session, user or id; others look at the routes below

  bool operator==(const MatchConfig&) const = default;
};

struct MirrorConfig {
  std::string route;  // that gets a copy, whose answer nobody waits for
  double percent = 100;

  bool operator==(const MirrorConfig&) const = default;
};

struct QueueConfig {
  int64_t max_requests = 256;                  // that wait in front of a route whose upstreams are all busy or gone; beyond: 429
  std::chrono::milliseconds max_wait{30'000};  // while all are busy
  std::chrono::milliseconds max_wait_for_upstream{0};  // while there is none that is well (scaling from zero); 0: refused at once

  bool operator==(const QueueConfig&) const = default;
};

// What is given up as a route comes under pressure, in this order. Shares are of the room in its line.
struct DegradeConfig {
  double cap_tokens_above = 2;  // above 1: never
  int64_t cap_tokens = 256;     // max_tokens is lowered to it
  double fallback_above = 2;    // requests go to `fallback`
  bool operator==(const DegradeConfig&) const = default;
};

// A fault put in on purpose. What is not set does not happen.
struct FaultConfig {
  std::string name;  // in headers and metrics; unique
  // Of which requests.
  std::vector<std::string> routes;                           // names; empty: all
  std::vector<std::string> tenants;                          // patterns; empty: all
  std::vector<std::pair<std::string, std::string>> headers;  // as MatchConfig's
  double percent = 100;

  std::chrono::milliseconds delay{0};              // before an upstream is asked
  std::chrono::milliseconds first_token_delay{0};  // before the answer's first byte goes on
  std::chrono::milliseconds token_delay{0};        // before each later piece of a stream
  double jitter = 0;                               // each delay is scaled by 1 +- this
  int abort_status = 0;                            // answered instead
  int64_t cut_after_events = -1;                   // pieces of a stream, then the connection is cut; -1: not

  bool operator==(const FaultConfig&) const = default;
};

struct RouteConfig {
  std::string name;  // unique; default: "route-N"
  MatchConfig match;
  std::vector<UpstreamConfig> upstreams;
  std::vector<DiscoveryConfig> discovery;
  PolicyConfig policy;
  std::string rewrite_model;  // what upstreams are asked for instead of the request's model; empty: as it came
  TimeoutConfig timeouts;
  resilience::RetryOptions retries;
  resilience::RetryBudgetOptions retry_budget;
  std::vector<int> retry_statuses = {429, 500, 502, 503, 504};
  std::optional<resilience::HedgeOptions> hedging;
  bool continues_streams = true;  // a stream whose upstream dies goes on at another, where engines can
  ProbeConfig probes;
  routing::HealthOptions health;
  routing::OutlierOptions outlier;
  double panic_below = 0.5;
  routing::PrefixIndexOptions prefix;
  std::filesystem::path tokenizer;  // model file or folder, for exact prefixes from kv_events; empty: approximate ones
  QueueConfig queue;
  DegradeConfig degrade;
  std::vector<std::string> fallback;  // routes tried in turn where this one has nobody left to ask
  std::vector<MirrorConfig> mirrors;

  bool operator==(const RouteConfig&) const = default;
};

struct ListenConfig {
  std::string host = "127.0.0.1";
  uint16_t port = 8000;
  std::optional<http::TlsServerOptions> tls;

  bool operator==(const ListenConfig&) const = default;
};

struct LimitConfig {
  int64_t max_connections = 16'384;
  int64_t max_body_bytes = 16 << 20;
  int64_t max_arriving_body_bytes = 1 << 30;
  int64_t max_header_bytes = 64 << 10;
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{60'000};
  std::chrono::milliseconds idle_timeout{75'000};
  std::chrono::milliseconds write_timeout{30'000};

  bool operator==(const LimitConfig&) const = default;
};

// Limits that several gateways share.
struct RedisConfig {
  std::string host = "127.0.0.1";
  uint16_t port = 6379;
  std::string user;
  std::string password;
  int database = 0;
  std::string prefix = "autoglm:";
  std::chrono::milliseconds timeout{50};
  enum class WhenUnreachable {
    kLocal,   // each gateway counts for itself
    kClosed,  // requests with limits are refused (503)
    kOpen,    // nothing is counted
  };
  WhenUnreachable when_unreachable = WhenUnreachable::kLocal;

  bool operator==(const RedisConfig&) const = default;
};

// What tokens cost, for budgets in money: the policy's budget counts these, or tokens where nothing is priced.
struct PriceConfig {
  std::string model;  // pattern; the first that fits counts
  double input_per_million = 0;
  double output_per_million = 0;

  bool operator==(const PriceConfig&) const = default;
};

struct GatewayConfig {
  ListenConfig listen;
  std::optional<ListenConfig> admin = ListenConfig{.host = "127.0.0.1", .port = 8001, .tls = {}};
  std::string admin_token;  // bearer token the admin port asks for; empty: none, allowed on loopback only
  int threads = 0;          // I/O threads; 0: one for each core
  LimitConfig limits;
  std::string region;  // of clients that do not say theirs in x-region
  std::chrono::milliseconds drain_timeout{30'000};
  bool serves_anybody_anywhere = false;  // without keys other addresses than loopback are refused
  bool trusts_forwarded = false;         // x-forwarded-for of clients is kept and added to, not replaced

  AuthOptions auth;
  std::optional<RedisConfig> redis;
  std::filesystem::path budget_database;  // SQLite, what budgets have used; empty: kept in memory only
  std::vector<PriceConfig> prices;
  std::filesystem::path audit_log;  // empty: none
  std::filesystem::path workers;    // folder where registered upstreams are kept, a file for each route; empty: in memory only

  std::vector<RouteConfig> routes;  // looked at in this order
  std::vector<FaultConfig> faults;  // take effect with --allow-faults only
  TracingConfig tracing;
  SloConfig slo;

  bool operator==(const GatewayConfig&) const = default;
};

// Reads YAML. `file_name` stands in front of messages. Values like ${NAME} are taken from the environment.
// Errors: kInvalidArgument with "FILE:LINE: ", for the first thing that is wrong.
Result<GatewayConfig> ParseGatewayConfig(const std::string& yaml, std::string_view file_name);

// Errors: also kNotFound and kIo.
Result<GatewayConfig> LoadGatewayConfig(const std::filesystem::path& file);

// A list of upstreams as it stands in a discovery file.
Result<std::vector<UpstreamConfig>> ParseUpstreamList(const std::string& yaml, std::string_view file_name,
                                                      const UpstreamConfig& like);

}  // namespace autoglm::gateway
