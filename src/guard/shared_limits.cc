#include "guard/shared_limits.h"

#include <atomic>
#include <utility>

namespace autoglm::guard {

struct SharedLimits::State {
  const gateway::RedisConfig config;
  const std::unique_ptr<LocalLimits> alone;
  const GuardHooks hooks;
  const std::chrono::milliseconds lease;
  std::atomic<int64_t> num_lost{0};  // loops where Redis does not count

  SharedRequest RequestOf(const Principal& principal, const UsageEstimate& estimate) const;
  Granted AnswerAlone(const Principal& principal, const UsageEstimate& estimate) const;
};

SharedLimits::SharedLimits(gateway::RedisConfig config, std::unique_ptr<LocalLimits> alone, GuardHooks hooks,
                           std::chrono::milliseconds lease)
    : state_(new State{.config = std::move(config), .alone = std::move(alone), .hooks = std::move(hooks), .lease = lease}) {}

SharedLimits::~SharedLimits() {
  for (const auto& [loop, limits] : by_loop_) loop->Post([last = limits] { last->Close(); });
}

std::optional<Granted> SharedLimits::Acquire(const Principal& principal, const UsageEstimate& estimate, http::EventLoop& loop,
                                             std::function<void(Granted)> done) {
  if (!LocalLimits::IsLimited(principal.policy)) return LocalLimits::Unlimited();
  auto on_answer = [state = state_, principal, estimate, done = std::move(done)](Result<Granted> answer) {
    done(answer ? *std::move(answer) : state->AnswerAlone(principal, estimate));
  };
  if (LimitsAt(loop)->Acquire(state_->RequestOf(principal, estimate), std::move(on_answer))) return std::nullopt;
  return state_->AnswerAlone(principal, estimate);
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
  const auto on_well = [state = state_, is_lost] {
    if (std::exchange(*is_lost, false) && --state->num_lost == 0) state->hooks.on_recovery("redis");
  };
  const auto on_trouble = [state = state_, is_lost](const Error& error) {
    if (!std::exchange(*is_lost, true) && state->num_lost++ == 0) state->hooks.on_problem(error);
  };
  const auto on_used = [state = state_](const BudgetAccount& account, int64_t used) {
    state->alone->ledger().RaiseUsed(account, used, state->hooks.wall_now());
  };
  limits =
      RedisLimits::Create(loop, state_->config, state_->lease,
                          {.on_well = on_well, .on_trouble = on_trouble, .on_used = on_used, .wall_now = state_->hooks.wall_now});
  return limits;
}

SharedRequest SharedLimits::State::RequestOf(const Principal& principal, const UsageEstimate& estimate) const {
  SharedRequest request{.key_id = principal.key_id,
                        .policy = principal.policy,
                        .tokens = estimate.input_tokens + estimate.max_output_tokens,
                        .account = BudgetAccount::Of(principal, hooks.wall_now())};
  if (!request.account) return request;
  request.price = [prices = alone->prices(), model = estimate.model](int64_t input_tokens, int64_t output_tokens) {
    return prices->CostOf(model, input_tokens, output_tokens);
  };
  request.cost = request.price(estimate.input_tokens, estimate.max_output_tokens);
  request.known_used = alone->ledger().UsedOf(*request.account);
  return request;
}

Granted SharedLimits::State::AnswerAlone(const Principal& principal, const UsageEstimate& estimate) const {
  switch (config.when_unreachable) {
    case gateway::RedisConfig::WhenUnreachable::kLocal:
      return alone->AcquireNow(principal, estimate);
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
