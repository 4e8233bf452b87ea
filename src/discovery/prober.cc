#include "discovery/prober.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "discovery/metrics_text.h"
#include "json/json.h"

namespace autoglm::discovery {
namespace {

constexpr double kJitter = 0.1;  // of the interval, either way
constexpr Duration kRareInterval = std::chrono::minutes(1);
constexpr int64_t kHealthBytesMax = 64 << 10;
constexpr int kNotFoundStatus = 404;
constexpr Duration kModelsInterval = std::chrono::seconds(30);
constexpr Duration kModelsRetryInterval = std::chrono::seconds(2);  // until it is there
constexpr int64_t kModelsBytesMax = 1 << 20;
constexpr size_t kModelsMax = 1024;

std::optional<std::vector<std::string>> ModelsFrom(const std::string& body) {
  const Result<Json> json = ParseJson(body);
  if (!json || !json->is_object() || !json->contains("data") || !(*json)["data"].is_array()) return std::nullopt;
  std::vector<std::string> models;
  for (const Json& model : (*json)["data"]) {
    if (!model.is_object() || !model.contains("id") || !model["id"].is_string() || models.size() == kModelsMax) continue;
    models.push_back(model["id"].get<std::string>());
  }
  return models;
}

bool IsWell(const Result<http::Client::Answer>& answer) { return answer && answer->head.status / 100 == 2; }

bool IsSameTarget(const ProbeTarget& a, const ProbeTarget& b) {
  return a.origin.host == b.origin.host && a.origin.port == b.origin.port && a.origin.tls == b.origin.tls &&
         a.api_key == b.api_key && a.path == b.path;
}

}  // namespace

// Asks one path again and again, one question at a time.
class Prober::Poll {
 public:
  struct Question {
    http::Origin origin;
    std::string api_key;
    std::string path;
    std::chrono::milliseconds timeout{0};
    int64_t max_body_bytes = 0;
  };
  Poll(Prober& prober, Question question, OnAnswer on_answer)
      : prober_(prober), question_(std::move(question)), on_answer_(std::move(on_answer)) {}

  void AskAfter(Duration delay) {
    timer_ = prober_.loop_.CallAfter(delay, [this] {
      begun_ = Clock::Real().Now();
      Ask(/*num_tries_left=*/1);
    });
  }

 private:
  void Ask(int num_tries_left) {
    http::ClientRequest request{.target = question_.path, .timeouts = {.connect = question_.timeout, .total = question_.timeout}};
    if (!question_.api_key.empty()) request.headers.Add("authorization", "Bearer " + question_.api_key);
    call_ = prober_.client_.Fetch(question_.origin, std::move(request), question_.max_body_bytes,
                                  [this, num_tries_left](Result<http::Client::Answer> answer) { On(answer, num_tries_left); });
  }

  void On(const Result<http::Client::Answer>& answer, int num_tries_left) {
    const bool is_gone = !answer && answer.error().code == ErrorCode::kUnavailable;
    const bool was_reused = (answer || is_gone) && call_->was_connection_reused();
    const Duration took = Clock::Real().Now() - begun_;
    if (is_gone) prober_.client_.CloseIdle(question_.origin);
    // The server may have closed a connection that was kept just when it was used again: that says nothing about it.
    if (is_gone && was_reused && num_tries_left > 0 && took < question_.timeout) return Ask(num_tries_left - 1);
    call_.reset();
    const Duration interval = on_answer_(answer, was_reused ? took : Duration::zero());
    const double share = 1 + kJitter * (2 * prober_.random_.NextDouble() - 1);
    AskAfter(std::max(DurationFromSeconds(Seconds(interval) * share) - took, interval / 10));
  }

  Prober& prober_;
  const Question question_;
  const OnAnswer on_answer_;
  TimePoint begun_;
  std::unique_ptr<http::ClientCall> call_;
  http::EventLoop::Timer timer_;
};

struct Prober::Upstream {
  ProbeTarget target;
  std::unique_ptr<Poll> health;   // null: not asked
  std::unique_ptr<Poll> metrics;  // so too
  std::unique_ptr<Poll> models;   // so too
};

Prober::Prober(http::EventLoop& loop, http::Client& client, gateway::ProbeConfig config, ProbeHooks hooks, uint64_t seed)
    : loop_(loop), client_(client), config_(std::move(config)), hooks_(std::move(hooks)), random_(seed) {}

Prober::~Prober() = default;

void Prober::SetUpstreams(std::span<const ProbeTarget> targets) {
  auto before = std::exchange(upstreams_, {});
  for (const ProbeTarget& target : targets) {
    const auto known = before.find(target.name);
    const bool stays = known != before.end() && IsSameTarget(known->second->target, target);
    upstreams_[target.name] = stays ? std::move(known->second) : Begin(target);
    if (stays) before.erase(known);
  }
  for (auto& [name, upstream] : before) {
    const http::Origin origin = upstream->target.origin;
    upstream.reset();
    client_.CloseIdle(origin);
  }
}

std::unique_ptr<Prober::Upstream> Prober::Begin(const ProbeTarget& target) {
  auto upstream = std::make_unique<Upstream>();
  upstream->target = target;
  if (!config_.path.empty()) upstream->health = BeginHealth(target);
  if (!config_.metrics_path.empty()) upstream->metrics = BeginMetrics(target);
  if (!config_.models_path.empty()) upstream->models = BeginModels(target);
  return upstream;
}

std::unique_ptr<Prober::Poll> Prober::BeginHealth(const ProbeTarget& target) {
  const auto on_answer = [this, name = target.name](const Result<http::Client::Answer>& answer, Duration took) -> Duration {
    if (IsWell(answer) && took > Duration::zero()) hooks_.on_round_trip(name, took);
    hooks_.on_probe(name, IsWell(answer));
    return config_.interval;
  };
  const Duration first = DurationFromSeconds(Seconds(config_.interval) * kJitter * random_.NextDouble());
  return BeginPoll(target, target.path.empty() ? config_.path : target.path, kHealthBytesMax, first, on_answer);
}

std::unique_ptr<Prober::Poll> Prober::BeginMetrics(const ProbeTarget& target) {
  const auto on_answer = [this, name = target.name](const Result<http::Client::Answer>& answer, Duration /*took*/) -> Duration {
    if (answer && answer->head.status == kNotFoundStatus) return kRareInterval;
    if (!IsWell(answer)) return config_.metrics_interval;
    const auto report = ReportFromMetrics(answer->body);
    if (!report) return kRareInterval;
    hooks_.on_report(name, *report);
    return config_.metrics_interval;
  };
  const Duration first = DurationFromSeconds(Seconds(config_.metrics_interval) * random_.NextDouble());
  return BeginPoll(target, config_.metrics_path, kMetricsBytesMax, first, on_answer);
}

std::unique_ptr<Prober::Poll> Prober::BeginModels(const ProbeTarget& target) {
  const auto on_answer = [this, name = target.name](const Result<http::Client::Answer>& answer, Duration /*took*/) -> Duration {
    if (!answer) return kModelsRetryInterval;
    if (!IsWell(answer)) return kRareInterval;
    if (auto models = ModelsFrom(answer->body)) hooks_.on_models(name, *std::move(models));
    return kModelsInterval;
  };
  return BeginPoll(target, config_.models_path, kModelsBytesMax, DurationFromSeconds(kJitter * random_.NextDouble()), on_answer);
}

std::unique_ptr<Prober::Poll> Prober::BeginPoll(const ProbeTarget& target, std::string path, int64_t max_body_bytes,
                                                Duration first, OnAnswer on_answer) {
  Poll::Question question{.origin = target.origin,
                          .api_key = target.api_key,
                          .path = std::move(path),
                          .timeout = config_.timeout,
                          .max_body_bytes = max_body_bytes};
  auto poll = std::make_unique<Poll>(*this, std::move(question), std::move(on_answer));
  poll->AskAfter(first);
  return poll;
}

}  // namespace autoglm::discovery
