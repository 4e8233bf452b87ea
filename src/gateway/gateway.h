#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "config/gateway_config.h"
#include "console/slo_service.h"
#include "gateway/admin.h"
#include "gateway/fleet.h"
#include "gateway/gateway_loop.h"
#include "gateway/gateway_metrics.h"
#include "gateway/gateway_state.h"
#include "gateway/ingress.h"
#include "gateway/prompt_tokenizer.h"
#include "http/event_loop.h"
#include "http/server.h"
#include "telemetry/request_log.h"
#include "tracing/request_observer.h"

namespace autoglm::gateway {

struct GatewayOptions {
  bool allows_faults = false;
  // Listening sockets of a gateway that this one takes over from.
  std::optional<int> socket;
  std::optional<int> admin_socket;
  // Reads the configuration anew, for the admin port; empty: it cannot be.
  std::function<Result<GatewayConfig>()> read_config;
  std::string version;
};

// One address for a fleet of OpenAI-compatible servers. Any thread, but destruction and drain from one of the owner's.
class Gateway {
 public:
  // Serves when it returns. Errors: of the configuration, and kIo where an address cannot be listened at.
  static Result<std::unique_ptr<Gateway>> Start(GatewayConfig config, GatewayOptions options, const Clock& clock);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  uint16_t port() const { return server_->port(); }
  std::optional<uint16_t> admin_port() const;
  int socket() const { return server_->listening_socket(); }
  std::optional<int> admin_socket() const;

  // Requests go by `config` from now on; those on their way by what they began with. What needs a restart (addresses, threads,
  // limits of connections) stays as it was; their names are returned. Errors: as Start, and nothing changes then.
  Result<std::vector<std::string>> Reload(GatewayConfig config);

  // No new connections; what runs goes on.
  void BeginDrain();
  // False where requests are left after `limit`.
  bool WaitUntilDrained(std::chrono::milliseconds limit);

  const GatewayMetrics& metrics() const { return metrics_; }
  std::string RenderMetrics(MetricFormat format);
  const RequestLog& requests() const { return requests_; }
  SloService* slo() const { return slo_.get(); }
  Duration uptime() const { return clock_.Now() - started_; }
  std::shared_ptr<const GatewayState> state() const { return state_.load(); }
  Fleet& fleet() { return *fleet_; }
  const GatewayOptions& options() const { return options_; }
  bool is_draining() const { return is_draining_; }

 private:
  Gateway(GatewayOptions options, std::optional<SloServiceOptions> slo, const Clock& clock);

  void UpdateMetrics();  // to the numbers as of now
  static Status CheckDoors(const GatewayState& state);
  Status Begin(GatewayConfig config);
  void StartLoops(const GatewayConfig& config);
  Status Listen(const GatewayConfig& config);
  void OnRefused(const http::RefusedRequest& refused);  // any I/O thread
  Result<std::shared_ptr<const GatewayState>> MakeState(GatewayConfig config, const GatewayState* previous);
  Result<std::shared_ptr<Route>> MakeRoute(const RouteConfig& config, const GatewayState* previous);

  const GatewayOptions options_;
  const Clock& clock_;
  const TimePoint started_;
  const std::optional<SloServiceOptions> slo_options_;
  GatewayMetrics metrics_;
  std::unique_ptr<SloService> slo_;  // null: no objectives
  RequestLog requests_;
  std::unique_ptr<RequestObserver> observer_;
  std::unique_ptr<MetricExporter> metric_exporter_;  // null: nobody is told
  std::atomic<bool> is_draining_{false};
  std::mutex reload_mutex_;
  std::atomic<std::shared_ptr<const GatewayState>> state_;
  std::unique_ptr<Fleet> fleet_;

  std::vector<std::unique_ptr<http::LoopThread>> threads_;
  std::unique_ptr<PromptTokenizer> tokenizer_;
  struct PerLoop;
  std::vector<std::unique_ptr<PerLoop>> loops_;  // each lives and dies on its thread
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<Admin> admin_;
};

}  // namespace autoglm::gateway
