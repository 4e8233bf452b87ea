#include "base/periodic_thread.h"

#include <gtest/gtest.h>

#include <atomic>

namespace autoglm {
namespace {

TEST(PeriodicThread, CallsAgainAndAgain_UntilItIsStopped) {
  std::atomic<int> num_calls{0};
  PeriodicThread thread(std::chrono::milliseconds(1), [&] { ++num_calls; });
  while (num_calls < 3) std::this_thread::yield();
  thread.Stop();
  const int num_at_stop = num_calls;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(num_calls, num_at_stop);
}

TEST(PeriodicThread, Stop_DoesNotWaitForTheInterval) {
  const auto begin = std::chrono::steady_clock::now();
  {
    const PeriodicThread thread(std::chrono::hours(1), [] { FAIL() << "an hour has passed"; });
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

}  // namespace
}  // namespace autoglm
