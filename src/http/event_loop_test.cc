#include "http/event_loop.h"

#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <thread>
#include <vector>

namespace autoglm::http {
namespace {

using std::chrono::milliseconds;

TEST(EventLoop, PostedTasks_RunInOrderOnItsThread) {
  std::vector<int> order;
  bool was_on_thread = false;
  {
    LoopThread thread;
    for (int i = 0; i < 3; ++i) thread.loop().Post([&order, i] { order.push_back(i); });
    thread.loop().Post([&] { was_on_thread = thread.loop().IsOnThread(); });
    EXPECT_FALSE(thread.loop().IsOnThread());
  }
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
  EXPECT_TRUE(was_on_thread);
}

TEST(EventLoop, Timer_CallsOnceAfterItsDelay) {
  LoopThread thread;
  std::promise<std::chrono::steady_clock::time_point> called;
  EventLoop::Timer timer;
  const auto begun = std::chrono::steady_clock::now();
  thread.RunAndWait([&] {
    timer = thread.loop().CallAfter(milliseconds(20), [&] { called.set_value(std::chrono::steady_clock::now()); });
    EXPECT_TRUE(timer.is_set());
  });
  EXPECT_GE(called.get_future().get() - begun, milliseconds(20));
  thread.RunAndWait([&] {
    EXPECT_FALSE(timer.is_set());
    timer.Cancel();
  });
}

TEST(EventLoop, TimerThatIsDestroyedOrReplaced_DoesNotCall) {
  LoopThread thread;
  int num_calls = 0;
  std::promise<void> later;
  EventLoop::Timer replaced;
  EventLoop::Timer last;
  thread.RunAndWait([&] {
    {
      const EventLoop::Timer destroyed = thread.loop().CallAfter(milliseconds(1), [&] { num_calls += 1; });
    }
    replaced = thread.loop().CallAfter(milliseconds(1), [&] { num_calls += 10; });
    replaced = thread.loop().CallAfter(milliseconds(2), [&] { num_calls += 100; });
    last = thread.loop().CallAfter(milliseconds(30), [&] { later.set_value(); });
  });
  later.get_future().wait();
  thread.RunAndWait([&] { EXPECT_EQ(num_calls, 100); });
}

TEST(EventLoop, TimersCall_MayDestroyTheTimer) {
  LoopThread thread;
  std::promise<void> called;
  std::optional<EventLoop::Timer> timer;
  thread.RunAndWait([&] {
    timer = thread.loop().CallAfter(milliseconds(1), [&, kept = std::make_shared<int>(7)] {
      timer.reset();
      EXPECT_EQ(*kept, 7);
      called.set_value();
    });
  });
  called.get_future().wait();
}

}  // namespace
}  // namespace autoglm::http
