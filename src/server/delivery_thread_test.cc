#include "server/delivery_thread.h"

#include <gtest/gtest.h>

#include <latch>
#include <thread>

namespace autoglm {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kNever{3'600'000};
constexpr milliseconds kPatience{10'000};

// Counts its calls, and is done when told so.
class CountingJob : public DeliveryJob {
 public:
  State Deliver() override {
    ++num_deliveries;
    num_deliveries.notify_all();
    return is_done ? State::kDone : State::kOpen;
  }
  void KeepAlive() override {
    ++num_keep_alives;
    num_keep_alives.notify_all();
  }
  void Abort() override { ++num_aborts; }

  std::atomic<int> num_deliveries{0};
  std::atomic<int> num_keep_alives{0};
  std::atomic<int> num_aborts{0};
  std::atomic<bool> is_done{false};
};

void AwaitAtLeast(std::atomic<int>& counter, int wanted) {
  for (int seen = counter; seen < wanted; seen = counter) counter.wait(seen);
}

TEST(DeliveryThread, AddedJob_IsDeliveredWithoutNews) {
  DeliveryThread delivery(kNever);
  const auto job = std::make_shared<CountingJob>();
  delivery.Add(job);
  AwaitAtLeast(job->num_deliveries, 1);
  EXPECT_EQ(delivery.num_open(), 1);
}

TEST(DeliveryThread, DoneJob_IsLetGo) {
  DeliveryThread delivery(kNever);
  auto job = std::make_shared<CountingJob>();
  const std::weak_ptr<CountingJob> weak = job;
  delivery.Add(job);
  AwaitAtLeast(job->num_deliveries, 1);
  EXPECT_FALSE(delivery.WaitUntilIdle(milliseconds(0)));
  job->is_done = true;
  delivery.Notify(job);
  EXPECT_TRUE(delivery.WaitUntilIdle(kPatience));
  delivery.Stop();
  EXPECT_EQ(job->num_aborts, 0);
  job.reset();
  EXPECT_TRUE(weak.expired());
}

TEST(DeliveryThread, EveryNotice_IsFollowedByADelivery) {
  DeliveryThread delivery(kNever);
  const auto job = std::make_shared<CountingJob>();
  delivery.Add(job);
  AwaitAtLeast(job->num_deliveries, 1);
  for (int i = 0; i < 1000; ++i) {
    const int before = job->num_deliveries;
    delivery.Notify(job);
    AwaitAtLeast(job->num_deliveries, before + 1);
  }
}

// Blocks its first delivery until told to go on.
class SlowJob : public CountingJob {
 public:
  State Deliver() override {
    is_delivering.count_down();
    may_go_on.wait();
    return CountingJob::Deliver();
  }
  std::latch is_delivering{1};
  std::latch may_go_on{1};
};

TEST(DeliveryThread, NoticesDuringOneRound_AreOneDelivery) {
  DeliveryThread delivery(kNever);
  const auto slow = std::make_shared<SlowJob>();
  const auto job = std::make_shared<CountingJob>();
  delivery.Add(job);
  AwaitAtLeast(job->num_deliveries, 1);
  delivery.Add(slow);
  slow->is_delivering.wait();
  for (int i = 0; i < 100; ++i) delivery.Notify(job);
  slow->may_go_on.count_down();
  AwaitAtLeast(job->num_deliveries, 2);
  delivery.Stop();
  EXPECT_EQ(job->num_deliveries, 2);
}

TEST(DeliveryThread, OpenJobs_AreKeptAlive) {
  DeliveryThread delivery(milliseconds(1));
  const auto job = std::make_shared<CountingJob>();
  delivery.Add(job);
  AwaitAtLeast(job->num_keep_alives, 3);
  EXPECT_EQ(job->num_deliveries, 1);
}

TEST(DeliveryThread, Stop_AbortsOpenJobsOnceAndLaterOnesAtOnce) {
  DeliveryThread delivery(kNever);
  const auto job = std::make_shared<CountingJob>();
  delivery.Add(job);
  delivery.Stop();
  EXPECT_EQ(job->num_aborts, 1);
  EXPECT_EQ(delivery.num_open(), 0);
  delivery.Notify(job);
  const auto late = std::make_shared<CountingJob>();
  delivery.Add(late);
  EXPECT_EQ(late->num_aborts, 1);
  EXPECT_EQ(late->num_deliveries, 0);
}

TEST(DeliveryThread, ManyNotifiers_LoseNothing) {
  DeliveryThread delivery(kNever);
  std::vector<std::shared_ptr<CountingJob>> jobs;
  for (int i = 0; i < 16; ++i) delivery.Add(jobs.emplace_back(std::make_shared<CountingJob>()));
  constexpr int kNumThreads = 4;
  std::vector<std::thread> threads;
  threads.reserve(kNumThreads);
  for (int t = 0; t < kNumThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) delivery.Notify(jobs[static_cast<size_t>(i) % jobs.size()]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& job : jobs) {
    job->is_done = true;
    delivery.Notify(job);
  }
  EXPECT_TRUE(delivery.WaitUntilIdle(kPatience));
}

}  // namespace
}  // namespace autoglm
