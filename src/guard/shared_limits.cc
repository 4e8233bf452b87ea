#include "guard/shared_limits.h"

#include <utility>

namespace autoglm::guard {

SharedLimits::SharedLimits(gateway::RedisConfig config, std::unique_ptr<LocalLimits> alone, GuardHooks hooks,
                           std::chrono::milliseconds lease)
    : config_(std::move(config)), alone_(std::move(alone)), hooks_(std::move(hooks)), lease_(lease) {}

std::optional<Granted> SharedLimits::Acquire(const Principal& principal, const UsageEstimate& estimate, http::EventLoop& loop,
                                             std::function<void(Granted)> done) {
  if (!LocalLimits::IsLimited(principal.policy)) return LocalLimits::Unlimited();
  const bool is_asked = LimitsAt(loop)->Acquire(RequestOf(principal, estimate),
                                                [this, principal, estimate, done = std::move(done)](Result<Granted> answer) {
                                                  done(answer ? *std::move(answer) : AnswerAlone(principal, estimate));
                                                });
  if (is_asked) return std::nullopt;
  return AnswerAlone(principal, estimate);
}

void SharedLimits::Leave(http::EventLoop& loop) {
  std::shared_ptr<RedisLimits> limits;
  {
    const std::lock_guard lock(mutex_);
    const auto found = by_loop_.find(&loop);
    if (found == by_loop_.end()) return;
    limits = std::move(found->second);
    by_loop_.erase(found);
  }
  limits->Close();
}

std::shared_ptr<RedisLimits> SharedLimits::LimitsAt(http::EventLoop& loop) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<RedisLimits>& limits = by_loop_[&loop];
  if (limits != nullptr) return limits;
  const auto is_lost = std::make_shared<bool>(false);
  limits = RedisLimits::Create(loop, config_, lease_,
                               {.on_ready =
                                    [this, is_lost] {
                                      if (std::exchange(*is_lost, false) && --num_lost_ == 0) hooks_.on_recovery("redis");
                                    },
                                .on_lost =
                                    [this, is_lost](const Error& error) {
                                      if (!std::exchange(*is_lost, true) && num_lost_++ == 0) hooks_.on_problem(error);
                                    },
                                .on_used = [this](const BudgetAccount& account,
                                                  int64_t used) { alone_->ledger().RaiseUsed(account, used, hooks_.wall_now()); },
                                .wall_now = hooks_.wall_now});
  return limits;
}

SharedRequest SharedLimits::RequestOf(const Principal& principal, const UsageEstimate& estimate) const {
  SharedRequest request{.key_id = principal.key_id,
                        .policy = principal.policy,
                        .tokens = estimate.input_tokens + estimate.max_output_tokens,
                        .account = BudgetAccount::Of(principal, hooks_.wall_now())};
  if (!request.account) return request;
  request.price = [prices = alone_->prices(), model = estimate.model](int64_t input_tokens, int64_t output_tokens) {
    return prices->CostOf(model, input_tokens, output_tokens);
  };
  request.cost = request.price(estimate.input_tokens, estimate.max_output_tokens);
  request.known_used = alone_->ledger().UsedOf(*request.account);
  return request;
}

Granted SharedLimits::AnswerAlone(const Principal& principal, const UsageEstimate& estimate) {
  switch (config_.when_unreachable) {
    case gateway::RedisConfig::WhenUnreachable::kLocal:
      return alone_->AcquireNow(principal, estimate);
    case gateway::RedisConfig::WhenUnreachable::kOpen:
      return LocalLimits::Unlimited();
    case gateway::RedisConfig::WhenUnreachable::kClosed:
      break;
  }
  return tl::unexpected(Refusal{
      .error = {.code = ErrorCode::kUnavailable, .message = "limits cannot be checked: Redis does not answer; try again in 1 s"},
      .retry_after_seconds = 1,
      .state = {}});
}

}  // namespace autoglm::guard
