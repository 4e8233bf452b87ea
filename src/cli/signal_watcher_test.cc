#include "cli/signal_watcher.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

using std::chrono::milliseconds;

TEST(SignalWatcher, CountsSignalsAndForgetsThemWhenTaken) {
  const auto watcher = *SignalWatcher::Install({SIGUSR1, SIGUSR2});
  EXPECT_FALSE(watcher->Wait(milliseconds(0)));
  EXPECT_EQ(watcher->Take(), 0);
  raise(SIGUSR1);
  raise(SIGUSR2);
  EXPECT_TRUE(watcher->Wait(milliseconds(0)));
  EXPECT_EQ(watcher->Take(), 2);
  EXPECT_FALSE(watcher->Wait(milliseconds(0)));
}

TEST(SignalWatcher, TellsWhichSignalCameLast) {
  const auto watcher = *SignalWatcher::Install({SIGUSR1, SIGUSR2});
  EXPECT_EQ(watcher->LastSignalName(), "");
  raise(SIGUSR1);
  raise(SIGUSR2);
  EXPECT_EQ(watcher->LastSignalName(), "SIGUSR2");
}

TEST(IsIgnored, KnowsWhatWasInherited) {
  EXPECT_FALSE(IsIgnored(SIGUSR1));
  const auto previous = std::signal(SIGUSR1, SIG_IGN);
  EXPECT_TRUE(IsIgnored(SIGUSR1));
  std::signal(SIGUSR1, previous);
}

TEST(SignalWatcher, GivesBackWhatTheSignalMeantBefore) {
  static int num_seen = 0;
  num_seen = 0;
  const auto previous = std::signal(SIGUSR1, [](int) { ++num_seen; });
  {
    const auto watcher = *SignalWatcher::Install({SIGUSR1});
    raise(SIGUSR1);
    EXPECT_EQ(num_seen, 0);
  }
  raise(SIGUSR1);
  EXPECT_EQ(num_seen, 1);
  std::signal(SIGUSR1, previous);
}

TEST(SignalWatcher, CanBeInstalledAgainAfterTheFirstHasGone) {
  for (int i = 0; i < 2; ++i) {
    const auto watcher = SignalWatcher::Install({SIGUSR1});
    ASSERT_TRUE(watcher);
    raise(SIGUSR1);
    EXPECT_EQ((*watcher)->Take(), 1);
  }
}

}  // namespace
}  // namespace autoglm
