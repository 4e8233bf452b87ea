#pragma once

#include <atomic>
#include <cstdint>

namespace autoglm::resilience {

struct RetryBudgetOptions {
  double share = 0.2;       // of the requests at work may be retries (Envoy's retry budget)
  int64_t min_retries = 3;  // at work may always be

  bool operator==(const RetryBudgetOptions&) const = default;
};

// How many retries may be at work at a time, over all requests: where everything fails, retries must not double what is asked of
// upstreams that are overrun already. Any thread; counts are atomic, so together threads may exceed the bound by one each.
class RetryBudget {
 public:
  explicit RetryBudget(const RetryBudgetOptions& options) : options_(options) {}

  // A request begins, and ends.
  void BeginRequest() { num_requests_.fetch_add(1, std::memory_order_relaxed); }
  void EndRequest() { num_requests_.fetch_sub(1, std::memory_order_relaxed); }

  // Whether another retry may begin; EndRetry gives its place back.
  [[nodiscard]] bool TryBeginRetry();
  void EndRetry() { num_retries_.fetch_sub(1, std::memory_order_relaxed); }

  // Retries that could begin now.
  int64_t Remaining() const;

 private:
  int64_t Most() const;

  const RetryBudgetOptions options_;
  std::atomic<int64_t> num_requests_{0};
  std::atomic<int64_t> num_retries_{0};
};

}  // namespace autoglm::resilience
