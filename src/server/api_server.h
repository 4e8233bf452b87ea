#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/engine.h"
#include "http/server.h"
#include "telemetry/metrics.h"

namespace autoglm {

struct ApiServerOptions {
  http::ServerOptions http;
  std::string version;                              // what /version answers
  std::vector<std::string> served_model_names;      // ids in /v1/models; the first is in answers. Empty: the model's name
  std::chrono::milliseconds ping_interval{15'000};  // a stream silent for that long gets an SSE comment
};

// The OpenAI-compatible API of one engine:
//   POST /v1/chat/completions · POST /v1/completions · GET /v1/models · GET /v1/models/{id}
//   GET /health (200 while alive) · GET /ready (503 while loading or draining) · GET /metrics · GET /version
//
// Life: Start (port is bound, everything that needs the engine answers 503) -> Serve -> BeginDrain -> WaitUntilDrained
// -> destroy. Every method may be called from any thread.
class ApiServer {
 public:
  // `metrics` and `clock` must outlive the server. Errors: kIo, as http::Server::Start.
  static Result<std::unique_ptr<ApiServer>> Start(const ApiServerOptions& options, ServerMetrics& metrics, const Clock& clock);
  // Open answers end with an error that says so; then connections close and threads are joined.
  ~ApiServer();

  // The model is loaded: from now on requests are taken. Call once.
  void Serve(std::shared_ptr<Engine> engine);

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
