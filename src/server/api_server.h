#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/authenticator.h"
#include "base/clock.h"
#include "base/result.h"
#include "console/slo_service.h"
#include "engine/model_registry.h"
#include "http/server.h"
#include "server/context_store.h"
#include "server/generation_handler.h"
#include "server/public_prefixes.h"
#include "telemetry/metrics.h"
#include "telemetry/request_log.h"
#include "tracing/request_observer.h"

namespace autoglm {

struct ApiServerOptions {
  http::ServerOptions http;
  std::string version;                                 // what /version answers
  std::shared_ptr<const Authenticator> authenticator;  // of who asks for anything under /v1; null: anybody may
  GenerationOptions generation;
  ContextStoreOptions contexts;
  std::chrono::milliseconds context_sweep_interval{1000};  // how soon an expired context gives its memory back
  std::vector<PublicPrefix> public_prefixes;
  RequestLogOptions request_log;
  TracingOptions tracing;
  std::optional<SloServiceOptions> slo;  // objectives that requests are held to
};

// The OpenAI-compatible API of the models of a registry:
//   POST /v1/chat/completions · POST /v1/completions · GET /v1/models · GET /v1/models/{id}
//   /v1/contexts (context_handler.h)
//   GET /v1/slo (slo_monitor.h) · GET /v1/cache · GET /console (console_pages.h)
//   GET /v1/requests · GET /v1/requests/{id}/timing · GET /v1/traces/{id} (request_routes.h)
//   POST /v1/models/{id}/load · POST /v1/models/{id}/unload (answer when it is done)
//   GET /health (200 while alive) · GET /ready (503 while loading or draining) · GET /metrics · GET /version
//
// Life: Start (port is bound, everything that needs a model answers 503) -> Serve -> BeginDrain -> WaitUntilDrained
// -> destroy. Every method may be called from any thread.
class ApiServer {
 public:
  // `metrics` and `clock` must outlive the server. Errors: kIo, as http::Server::Start.
  static Result<std::unique_ptr<ApiServer>> Start(const ApiServerOptions& options, ServerMetrics& metrics, const Clock& clock);
  // Open answers end with an error that says so; then connections close and threads are joined.
  ~ApiServer();

  // From now on requests are taken. Call once.
  void Serve(std::shared_ptr<ModelRegistry> registry);

  uint16_t port() const;

  // /ready answers 503 and new requests get 503 with Retry-After; running answers go on.
  void BeginDrain();
  // Waits until every answer is complete and sent, at most `limit`. False where some were not.
  bool WaitUntilDrained(std::chrono::milliseconds limit);

 private:
  struct Impl;
  explicit ApiServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace autoglm
