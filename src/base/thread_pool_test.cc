#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <numeric>
#include <thread>
#include <vector>

namespace autoglm {
namespace {

TEST(ThreadPool, Run_CallsEveryMemberOnce) {
  for (int num_threads : {1, 2, 3, 5}) {
    ThreadPool pool(num_threads);
    std::vector<int> calls(num_threads, 0);
    for (int repeat = 0; repeat < 200; ++repeat) pool.Run([&](int member) { ++calls[member]; });
    EXPECT_EQ(calls, std::vector<int>(num_threads, 200));
  }
}

TEST(ThreadPool, Barrier_SeparatesPhases) {
  ThreadPool pool(3);
  std::vector<int> written(3, 0);
  std::atomic<int> mismatches{0};
  pool.Run([&](int member) {
    for (int phase = 1; phase <= 500; ++phase) {
      written[member] = phase;
      pool.Barrier();
      for (int other : written) mismatches += other != phase;
      pool.Barrier();
    }
  });
  EXPECT_EQ(mismatches, 0);
}

TEST(ThreadPool, Barrier_CallsMeanwhileUntilItIsDoneOrTheOthersAreThere) {
  ThreadPool pool(2);
  std::atomic<int> calls{0};
  pool.Run([&](int member) {
    if (member == 0) {
      pool.Barrier([&] { return ++calls < 5; });
    } else {
      while (calls < 5) std::this_thread::yield();
      pool.Barrier([&] {
        ADD_FAILURE() << "the others are there";
        return false;
      });
    }
  });
  EXPECT_EQ(calls, 5);
}

TEST(ItemClaims, EveryPhase_HandsOutEachItemOnce) {
  ThreadPool pool(3);
  constexpr int kPhases = 50;
  std::vector<std::vector<std::atomic<int>>> taken(kPhases);
  for (int phase = 0; phase < kPhases; ++phase) taken[phase] = std::vector<std::atomic<int>>(phase * 7 % 23);
  pool.ResetItems();
  pool.Run([&](int) {
    ItemClaims claims(pool);
    for (auto& phase : taken) {
      const auto num_items = static_cast<int64_t>(phase.size());
      for (int64_t item; (item = claims.Next(num_items)) != ItemClaims::kNone;) ++phase[item];
      pool.Barrier();
    }
  });
  for (const auto& phase : taken) {
    for (const auto& count : phase) EXPECT_EQ(count, 1);
  }
}

TEST(ThreadPool, Idle_UsesNoCpu) {
  ThreadPool pool(4);
  pool.Run([](int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // let the workers fall asleep
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC, 0.02);
}

}  // namespace
}  // namespace autoglm
