#include "resilience/retry_budget.h"

#include <algorithm>

namespace autoglm::resilience {

int64_t RetryBudget::Most() const {
  const auto num_requests = static_cast<double>(num_requests_.load(std::memory_order_relaxed));
  return std::max(options_.min_retries, static_cast<int64_t>(options_.share * num_requests));
}

bool RetryBudget::TryBeginRetry() {
  if (num_retries_.fetch_add(1, std::memory_order_relaxed) < Most()) return true;
  num_retries_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

int64_t RetryBudget::Remaining() const { return std::max<int64_t>(0, Most() - num_retries_.load(std::memory_order_relaxed)); }

}  // namespace autoglm::resilience
