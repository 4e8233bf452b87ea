#include "console/slo_service.h"

#include <array>
#include <utility>

#include "json/json.h"
#include "telemetry/log.h"
#include "telemetry/process_metrics.h"

namespace autoglm {
namespace {

constexpr std::chrono::seconds kSaveInterval{60};
constexpr size_t kMaxUnsent = 256;  // beyond it the oldest are lost
constexpr const char* kReceiver = "autoglm";

}  // namespace

SloService::SloService(SloServiceOptions options, MetricSet& metrics, const Clock& clock)
    : options_(std::move(options)), metrics_(metrics), monitor_(options_.file, clock) {}

Result<std::unique_ptr<SloService>> SloService::Start(SloServiceOptions options, MetricSet& metrics, const Clock& clock) {
  std::unique_ptr<SloService> service(new SloService(std::move(options), metrics, clock));
  if (!service->options_.state.empty()) {
    const Status loaded = service->monitor_.Load(service->options_.state);
    if (!loaded && loaded.error().code != ErrorCode::kNotFound) return tl::unexpected<Error>(loaded.error());
  }
  if (service->options_.webhook) {
    service->thread_ = std::make_unique<http::LoopThread>();
    service->thread_->RunAndWait([raw = service.get()] {
      raw->sender_ = std::make_unique<CollectorSender>(raw->thread_->loop(), *raw->options_.webhook);
    });
  }
  service->monitor_.SetOnTransition([raw = service.get()](const slo::AlertTransition& one) { raw->OnTransition(one); });
  service->Judge();
  service->judging_ = std::make_unique<PeriodicThread>(service->options_.interval, [raw = service.get()] { raw->Judge(); });
  return service;
}

SloService::~SloService() {
  if (judging_ != nullptr) judging_->Stop();
  Save();
  if (thread_ != nullptr) thread_->RunAndWait([this] { sender_.reset(); });
}

bool SloService::Observe(const RequestRecord& record, const InternedNames& names) {
  const std::string_view route = names.NameOf(record.route);
  slo::SloEvent event{.path = record.is_gateway ? std::string_view() : route,
                      .route = record.is_gateway ? route : std::string_view(),
                      .model = names.NameOf(record.model),
                      .slo_class = names.NameOf(record.slo_class),
                      .tenant = names.NameOf(record.tenant),
                      .status = record.status,
                      .latency = std::chrono::nanoseconds(record.total_ns),
                      .time_to_first_token = {}};
  if (record.first_token_ns > 0) event.time_to_first_token = std::chrono::nanoseconds(record.first_token_ns);
  return monitor_.Observe(event);
}

void SloService::Judge() {
  TellMetrics(monitor_.Evaluate());
  const auto now = std::chrono::steady_clock::now();
  if (now - saved_at_ < kSaveInterval) return;
  saved_at_ = now;
  Save();
}

void SloService::Save() {
  if (options_.state.empty()) return;
  const Status saved = monitor_.Save(options_.state);
  if (!saved) Log(LogLevel::kWarning, "slo_state_not_kept", {{"problem", std::string_view(saved.error().message)}});
}

void SloService::TellMetrics(const slo::SloStatus& status) {
  for (const slo::ObjectiveStatus& one : status.objectives) {
    const std::string id = one.objective.id();
    const prometheus::Labels labels{{"slo", id}};
    metrics_.Gauges("autoglm_slo_objective_ratio").Add(labels).Set(one.objective.target);
    if (!one.unknown.empty()) continue;
    metrics_.Gauges("autoglm_slo_budget_remaining_ratio").Add(labels).Set(one.budget_remaining);
    const slo::GateStatus gate = slo::JudgeGate({one}, options_.file.gate);
    metrics_.Gauges("autoglm_slo_gate_open").Add(labels).Set(gate.state == slo::GateStatus::State::kClosed ? 0 : 1);
    for (const slo::WindowStatus& window : one.windows) {
      metrics_.Gauges("autoglm_slo_burn_rate").Add({{"slo", id}, {"window", window.window}}).Set(window.burn_rate);
    }
    for (const slo::AlertStatus& alert : one.alerts) {
      const char* severity = alert.severity == slo::Severity::kPage ? "page" : "ticket";
      metrics_.Gauges("autoglm_slo_alert_firing").Add({{"slo", id}, {"severity", severity}}).Set(alert.is_firing ? 1 : 0);
    }
  }
}

void SloService::OnTransition(const slo::AlertTransition& transition) {
  Log(transition.is_firing ? LogLevel::kWarning : LogLevel::kInfo,
      transition.is_firing ? "slo_alert_firing" : "slo_alert_resolved", {{"alert", std::string_view(transition.name)}});
  if (thread_ == nullptr) return;
  const std::array<slo::AlertTransition, 1> alerts = {transition};
  std::string body = DumpJson(slo::WebhookBody(alerts, kReceiver, options_.external_url));
  thread_->loop().Post([this, body = std::move(body)]() mutable {
    if (to_send_.size() >= kMaxUnsent) to_send_.pop_front();
    to_send_.push_back(std::move(body));
    SendNext();
  });
}

void SloService::SendNext() {
  if (sender_ == nullptr || sender_->is_busy() || to_send_.empty()) return;
  std::string body = std::move(to_send_.front());
  to_send_.pop_front();
  sender_->Send(
      {.path = {}, .content_type = "application/json", .body = std::move(body), .done = [this](CollectorSender::Outcome outcome) {
         if (outcome != CollectorSender::Outcome::kTaken) {
           Log(LogLevel::kWarning, "slo_webhook_failed", {{"problem", std::string_view(sender_->last_failure())}});
         }
         SendNext();
       }});
}

}  // namespace autoglm
