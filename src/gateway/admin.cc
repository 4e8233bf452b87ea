#include "gateway/admin.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "auth/secret_hash.h"
#include "config/host_port.h"
#include "console/console_pages.h"
#include "discovery/registration.h"
#include "gateway/gateway.h"
#include "gateway/query_fields.h"
#include "gateway/status_json.h"
#include "routing/prefix_index.h"
#include "tracing/request_routes.h"
#include "web/reply.h"
#include "web/url.h"

namespace autoglm::gateway {
namespace {

constexpr std::string_view kWorkers = "/workers";
constexpr std::string_view kSummary = "/console/data/summary";

// Whether a page in a browser of this machine may have sent it. Pages may send plain POSTs anywhere, and names of theirs may lead
// to this machine; what is asked without a token must come from a program.
bool IsFromPage(const http::Request& request) {
  constexpr uint16_t kAnyPort = 80;  // where none is said
  const Result<HostPort> host = ParseHostPort(request.Header("host"), kAnyPort);
  return !request.Header("origin").empty() || !host || !IsLoopback(host->host);
}

http::Response NotFound(std::string message) {
  return ErrorReply({.code = ErrorCode::kNotFound, .message = std::move(message), .param = {}}, 0);
}

}  // namespace

Result<std::unique_ptr<Admin>> Admin::Start(const http::ServerOptions& options, Gateway& gateway) {
  std::unique_ptr<Admin> admin(new Admin(gateway));
  AUTOGLM_TRY(admin->server_, http::Server::Start(options, [admin = admin.get()](const auto& request, const auto& exchange) {
                exchange->Send(admin->Answer(*request));
              }));
  return admin;
}

bool Admin::MayEnter(const http::Request& request) const {
  const std::string token = gateway_.state()->config.admin_token;
  if (token.empty()) return true;
  std::string_view given = request.Header("authorization");
  constexpr std::string_view kBearer = "Bearer ";
  if (!given.starts_with(kBearer)) return false;
  // Hashes, so that the time it takes tells nothing.
  return Sha256Of(given.substr(kBearer.size())) == Sha256Of(token);
}

http::Response Admin::Answer(const http::Request& request) {
  const std::string& path = request.path;
  const bool is_get = request.method == "GET";
  const bool is_post = request.method == "POST";
  if (path == "/health") return JsonReply(200, R"({"status":"ok"})");
  const std::string decoded = PercentDecode(path);
  if (auto page = is_get ? ConsolePage(decoded) : std::nullopt) return *std::move(page);
  if (gateway_.state()->config.admin_token.empty() && IsFromPage(request)) {
    return ErrorReply(
        {.code = ErrorCode::kPermissionDenied, .message = "Without admin_token this port is for programs here.", .param = {}}, 0);
  }
  if (!MayEnter(request)) {
    return ErrorReply({.code = ErrorCode::kUnauthenticated, .message = "The admin port asks for its token.", .param = {}}, 0);
  }
  if (path == "/metrics" && is_get) return Metrics(request);
  if (path == "/gateway/status" && is_get) return Status();
  if (path == kSummary && is_get) return Summary();
  if (path == "/v1/slo" && is_get) return Slo();
  if (is_get && IsAboutRequests(decoded)) {
    return AnswerAboutRequests(gateway_.requests(), decoded, request.query, [](const RequestRecord&) { return true; });
  }
  if (path == "/gateway/explain" && is_get) return Explain(request);
  if (path == "/gateway/reload" && is_post) return Reload();
  if (path == "/gateway/drain" && is_post) return Drain(request, true);
  if (path == "/gateway/undrain" && is_post) return Drain(request, false);
  if (path == kWorkers || path.starts_with("/workers/")) return Workers(request);
  return NotFound("There is no such path; see docs/gateway.md.");
}

http::Response Admin::Metrics(const http::Request& request) const {
  const MetricFormat format = MetricFormatFor(request.Header("accept"));
  return TextReply(200, gateway_.RenderMetrics(format), std::string(ContentTypeOf(format)));
}

http::Response Admin::Summary() const {
  return JsonReply(200, DumpJson({{"kind", "gateway"},
                                  {"version", gateway_.options().version},
                                  {"uptime_s", Seconds(gateway_.uptime())},
                                  {"active", gateway_.requests().num_active()},
                                  {"finished", gateway_.requests().num_finished()},
                                  {"is_draining", gateway_.is_draining()}}));
}

http::Response Admin::Slo() const {
  if (gateway_.slo() == nullptr) return NotFound("This gateway has no objectives; see 'slo' in docs/gateway-config.md.");
  return JsonReply(200, gateway_.slo()->StatusJson());
}

http::Response Admin::Status() const {
  return JsonReply(200, DumpJson(StatusJson(*gateway_.state(), gateway_.options().version, gateway_.is_draining())));
}

// The first route that is named, or the first there is.
std::string Admin::RouteOf(const http::Request& request) const {
  const std::string named = QueryField(request.query, "route");
  const auto& routes = gateway_.state()->routes->routes();
  return named.empty() && !routes.empty() ? routes.front()->name() : named;
}

http::Response Admin::Explain(const http::Request& request) const {
  const auto state = gateway_.state();
  const std::string name = RouteOf(request);
  const std::shared_ptr<Route>* route = state->routes->ByName(name);
  if (route == nullptr) return NotFound(fmt::format("There is no route '{}'.", name));
  return JsonReply(200, DumpJson(ExplanationJson(**route, request.query)));
}

http::Response Admin::Reload() {
  if (!gateway_.options().read_config) return NotFound("This gateway has no configuration file.");
  auto config = gateway_.options().read_config();
  if (!config) return ErrorReply(config.error(), 0);
  const auto need_restart = gateway_.Reload(*std::move(config));
  if (!need_restart) return ErrorReply(need_restart.error(), 0);
  return JsonReply(200, DumpJson({{"status", "reloaded"}, {"needs_restart", *need_restart}}));
}

http::Response Admin::Drain(const http::Request& request, bool is_draining) {
  const std::string upstream = QueryField(request.query, "upstream");
  bool is_known = false;
  for (const auto& route : gateway_.state()->routes->routes()) {
    is_known = route->pool().SetDraining(upstream, is_draining) || is_known;
  }
  if (!is_known) return NotFound(fmt::format("There is no upstream '{}'. Name one by ?upstream=.", upstream));
  return JsonReply(200, DumpJson({{"upstream", upstream}, {"draining", is_draining}}));
}

// As SGLang's gateway has it, so that its tools work here.
http::Response Admin::Workers(const http::Request& request) {
  const std::string route = RouteOf(request);
  discovery::RegisteredUpstreams* registered = gateway_.fleet().Registered(route);
  if (registered == nullptr) return NotFound(fmt::format("There is no route '{}'.", route));
  const auto refuse = [](const Error& error) {
    http::Response response = ErrorReply(error, 0);
    response.body = DumpJson(discovery::WorkerErrorJson(error));
    return response;
  };
  const auto state_of = [this, &route](const std::string& url) { return WorkerStateOf(*gateway_.state(), route, url); };
  const std::string id = request.path == kWorkers ? "" : PercentDecode(request.path.substr(kWorkers.size() + 1));
  if (request.method == "GET" && id.empty())
    return JsonReply(200, DumpJson(discovery::WorkerListJson(registered->List(), state_of)));
  if (request.method == "GET") {
    const auto found = registered->Find(id);
    return found ? JsonReply(200, DumpJson(discovery::WorkerJson(*found, state_of(found->url)))) : refuse(found.error());
  }
  if (request.method == "POST" && id.empty()) {
    auto registration = discovery::ParseRegistration(request.body);
    if (!registration) return refuse(registration.error());
    if (const auto added = registered->Add(*registration); !added) return refuse(added.error());
    gateway_.fleet().Refresh(route);
    return JsonReply(202, DumpJson(discovery::RegisteredJson(*registration)));
  }
  if (request.method == "DELETE" && !id.empty()) {
    const auto removed = registered->Remove(id);
    if (!removed) return refuse(removed.error());
    gateway_.fleet().Refresh(route);
    return JsonReply(202, DumpJson(discovery::RemovedJson(*removed)));
  }
  return NotFound("Workers are listed (GET), registered (POST) and removed (DELETE /workers/ID).");
}

}  // namespace autoglm::gateway
