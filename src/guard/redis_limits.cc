#include "guard/redis_limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "guard/limit_scripts.h"

namespace autoglm::guard {
namespace {

constexpr size_t kMaxBills = 10'000;  // beyond it the oldest is not sent
constexpr int64_t kDayMs = 86'400'000;

std::string Text(int64_t number) { return fmt::format("{}", number); }

bool IsLeased(const SharedRequest& request) { return request.policy.max_concurrent > 0 || request.cost > 0; }

std::string NewIdPrefix() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}-", random(), random());
}

}  // namespace

// Of AcquireScript.
struct RedisLimits::Answer {
  int64_t refused_by = 0;
  Duration wait{};
  RateLimits limits;
  int64_t used = 0;
  int64_t held = 0;
};

class RedisLimits::SharedUsage final : public Usage {
 public:
  SharedUsage(RateLimits limits, std::weak_ptr<RedisLimits> owner, std::shared_ptr<const Lease> lease)
      : Usage(limits), owner_(std::move(owner)), lease_(std::move(lease)) {}
  ~SharedUsage() override {
    if (const auto owner = owner_.lock()) owner->GiveBack(lease_, tokens_, cost_);
  }

  void Settle(int64_t input_tokens, int64_t output_tokens) override {
    tokens_ = std::clamp<int64_t>(input_tokens + output_tokens, 0, kMaxPolicyLimit);
    cost_ = lease_->request.account ? lease_->request.price(input_tokens, output_tokens) : 0;
  }

 private:
  const std::weak_ptr<RedisLimits> owner_;
  const std::shared_ptr<const Lease> lease_;
  int64_t tokens_ = 0;
  int64_t cost_ = 0;
};

RedisLimits::RedisLimits(http::EventLoop& loop, gateway::RedisConfig config, std::chrono::milliseconds lease, Events events)
    : loop_(loop), config_(std::move(config)), lease_(lease), events_(std::move(events)), id_prefix_(NewIdPrefix()) {}

std::shared_ptr<RedisLimits> RedisLimits::Create(http::EventLoop& loop, const gateway::RedisConfig& config,
                                                 std::chrono::milliseconds lease, Events events) {
  std::shared_ptr<RedisLimits> limits(new RedisLimits(loop, config, lease, std::move(events)));
  const auto on_ready = [raw = limits.get()] {
    raw->SendBills();
    raw->events_.on_well();
  };
  limits->connection_ = std::make_unique<RedisConnection>(
      loop, config, RedisConnection::Events{.on_ready = on_ready, .on_lost = limits->events_.on_trouble},
      std::vector<RedisConnection::Command>{AcquireScript().LoadCommand(), SettleScript().LoadCommand(),
                                            RenewScript().LoadCommand()});
  limits->WatchLeases();
  return limits;
}

void RedisLimits::Close() {
  renewal_.Cancel();
  connection_.reset();
}

std::vector<std::string> RedisLimits::KeysOf(const SharedRequest& request) const {
  const std::string account = request.account ? request.account->Id() : "";
  return {fmt::format("{}rate:{}", config_.prefix, request.key_id), fmt::format("{}running:{}", config_.prefix, request.key_id),
          fmt::format("{}budget:{}", config_.prefix, account), fmt::format("{}holds:{}", config_.prefix, account)};
}

// A day longer than its period: requests that run into the next one are still charged to it.
int64_t RedisLimits::LifetimeMs(const SharedRequest& request) const {
  if (!request.account || !request.account->end_s) return 0;
  const auto now = std::chrono::floor<std::chrono::milliseconds>(events_.wall_now().time_since_epoch());
  return std::max<int64_t>(*request.account->end_s * 1000 - now.count(), 0) + kDayMs;
}

bool RedisLimits::Acquire(SharedRequest request, std::function<void(Result<Granted>)> done) {
  if (connection_ == nullptr) return false;
  request.tokens = std::clamp<int64_t>(request.tokens, 0, request.policy.tokens_per_minute);
  if (request.account) request.cost = std::min(request.cost, request.account->limit);
  const auto lease = std::make_shared<const Lease>(Lease{.id = id_prefix_ + Text(num_ids_++), .request = std::move(request)});

  const auto on_reply = [this, lease, done = std::move(done)](const Result<RedisReply>& reply) {
    if (!reply) return done(tl::unexpected(reply.error()));
    const Result<Answer> answer = ReadAnswer(*reply, lease->request.policy);
    if (!answer) {
      events_.on_trouble(answer.error());
      return done(tl::unexpected(answer.error()));
    }
    events_.on_well();
    done(Grant(lease, *answer));
  };
  return AcquireScript().Run(*connection_, KeysOf(lease->request), ArgumentsOf(*lease), on_reply);
}

std::vector<std::string> RedisLimits::ArgumentsOf(const Lease& lease) const {
  const SharedRequest& request = lease.request;
  return {lease.id,
          Text(request.policy.requests_per_minute),
          Text(request.policy.tokens_per_minute),
          Text(request.tokens),
          Text(request.policy.max_concurrent),
          Text(std::chrono::microseconds(lease_).count()),
          Text(request.account ? request.account->limit : 0),
          Text(request.cost),
          Text(LifetimeMs(request)),
          Text(request.known_used)};
}

Result<RedisLimits::Answer> RedisLimits::ReadAnswer(const RedisReply& reply, const Policy& policy) {
  constexpr size_t kNumFields = 8;
  const bool is_list = reply.kind == RedisReply::Kind::kList && reply.list.size() == kNumFields;
  if (!is_list ||
      !std::ranges::all_of(reply.list, [](const RedisReply& one) { return one.kind == RedisReply::Kind::kInteger; })) {
    return Fail(ErrorCode::kUnavailable, fmt::format("Redis cannot count limits: {}", reply.text));
  }
  const auto field = [&reply](size_t index) { return reply.list[index].integer; };
  const auto time = [&field](size_t index) { return std::chrono::microseconds(field(index)); };
  return Answer{.refused_by = field(0),
                .wait = time(1),
                .limits = {.requests = {.limit = policy.requests_per_minute, .remaining = field(2), .reset = time(3)},
                           .tokens = {.limit = policy.tokens_per_minute, .remaining = field(4), .reset = time(5)}},
                .used = field(6),
                .held = field(7)};
}

Granted RedisLimits::Grant(const std::shared_ptr<const Lease>& lease, const Answer& answer) {
  const SharedRequest& request = lease->request;
  if (request.account) events_.on_used(*request.account, answer.used);
  switch (answer.refused_by) {
    case 0:
      break;
    case 1:
      return tl::unexpected(RateLimiter::Refuse(RateLimiter::Limit::kConcurrent, request.policy, answer.wait, answer.limits));
    case 2:
      return tl::unexpected(RateLimiter::Refuse(RateLimiter::Limit::kRequests, request.policy, answer.wait, answer.limits));
    case 3:
      return tl::unexpected(RateLimiter::Refuse(RateLimiter::Limit::kTokens, request.policy, answer.wait, answer.limits));
    default:
      return tl::unexpected(request.account->Refuse(request.cost, answer.used, answer.held, events_.wall_now()));
  }
  if (IsLeased(request)) leases_.emplace(lease->id, lease);
  return std::make_unique<SharedUsage>(answer.limits, weak_from_this(), lease);
}

void RedisLimits::GiveBack(const std::shared_ptr<const Lease>& lease, int64_t tokens, int64_t cost) {
  leases_.erase(lease->id);
  const SharedRequest& request = lease->request;
  if (!IsLeased(request) && cost == 0 && request.policy.tokens_per_minute == 0) return;
  Bill bill{.lease = lease, .tokens = tokens, .cost = cost};
  if (SendBill(bill)) return;
  if (bills_.size() == kMaxBills) bills_.pop_front();
  bills_.push_back(std::move(bill));
}

bool RedisLimits::SendBill(const Bill& bill) {
  const SharedRequest& request = bill.lease->request;
  const int64_t give_back = request.policy.tokens_per_minute > 0 ? request.tokens - bill.tokens : 0;
  return connection_ != nullptr &&
         SettleScript().Run(*connection_, KeysOf(request),
                            {bill.lease->id, Text(request.policy.requests_per_minute), Text(request.policy.tokens_per_minute),
                             Text(give_back), Text(bill.cost), Text(LifetimeMs(request))},
                            [](const Result<RedisReply>&) {});
}

void RedisLimits::SendBills() {
  while (!bills_.empty() && SendBill(bills_.front())) bills_.pop_front();
}

// Three times within a lease, so that one that is lost does not matter. Where Redis is away, it is done when it is back.
void RedisLimits::WatchLeases() {
  renewal_ = loop_.CallAfter(lease_ / 3, [this] {
    SendBills();
    Renew();
    WatchLeases();
  });
}

void RedisLimits::Renew() {
  for (const auto& [id, lease] : leases_) {
    const SharedRequest& request = lease->request;
    const bool is_sent =
        RenewScript().Run(*connection_, KeysOf(request),
                          {id, Text(std::chrono::microseconds(lease_).count()), Text(request.policy.max_concurrent > 0 ? 1 : 0),
                           Text(request.cost), Text(LifetimeMs(request))},
                          [](const Result<RedisReply>&) {});
    if (!is_sent) return;
  }
}

}  // namespace autoglm::guard
