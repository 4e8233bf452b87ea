#include "discovery/blocking_call.h"

#include <gtest/gtest.h>

#include <future>
#include <optional>

namespace autoglm::discovery {
namespace {

TEST(BlockingCall, HandsTheLoopWhatItGave) {
  http::LoopThread thread;
  std::promise<std::pair<int, bool>> given;
  std::optional<BlockingCall<int>> call;
  thread.RunAndWait([&] {
    call.emplace(
        thread.loop(), [] { return 42; },
        [&](int result) {
          call.reset();
          given.set_value({result, thread.loop().IsOnThread()});
        });
  });
  auto future = given.get_future();
  ASSERT_EQ(future.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(future.get(), std::pair(42, true));
}

TEST(BlockingCall, NobodyWaitsForOneThatIsGivenUp) {
  std::promise<void> release;
  std::promise<void> released;
  {
    http::LoopThread thread;
    std::optional<BlockingCall<int>> call;
    thread.RunAndWait([&] {
      call.emplace(
          thread.loop(),
          [&release, &released] {
            release.get_future().wait();
            released.set_value();
            return 1;
          },
          [](int) { ADD_FAILURE() << "it was given up"; });
      call.reset();
    });
  }
  release.set_value();  // the loop is gone
  EXPECT_EQ(released.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

}  // namespace
}  // namespace autoglm::discovery
