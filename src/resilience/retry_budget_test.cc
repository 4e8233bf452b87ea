#include "resilience/retry_budget.h"

#include <gtest/gtest.h>

#include <thread>

namespace autoglm::resilience {
namespace {

TEST(RetryBudget, FewRequests_MayRetryThreeAtATime) {
  RetryBudget budget({});
  budget.BeginRequest();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(budget.TryBeginRetry());
  EXPECT_FALSE(budget.TryBeginRetry());
  EXPECT_EQ(budget.Remaining(), 0);
  budget.EndRetry();
  EXPECT_TRUE(budget.TryBeginRetry());
}

TEST(RetryBudget, ManyRequests_MayRetryAFifth) {
  RetryBudget budget({});
  for (int i = 0; i < 100; ++i) budget.BeginRequest();
  EXPECT_EQ(budget.Remaining(), 20);
  int num_retries = 0;
  while (budget.TryBeginRetry()) ++num_retries;
  EXPECT_EQ(num_retries, 20);
  for (int i = 0; i < 100; ++i) budget.EndRequest();
  EXPECT_EQ(budget.Remaining(), 0) << "those at work are still there";
}

TEST(RetryBudget, SeveralThreads_LeaveNothingBehind) {
  RetryBudget budget({.share = 0.5, .min_retries = 4});
  const auto work = [&] {
    for (int i = 0; i < 10'000; ++i) {
      budget.BeginRequest();
      if (budget.TryBeginRetry()) budget.EndRetry();
      budget.EndRequest();
    }
  };
  std::thread other(work);
  work();
  other.join();
  EXPECT_EQ(budget.Remaining(), 4);
}

}  // namespace
}  // namespace autoglm::resilience
