#include "slo/sliding_counts.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace autoglm::slo {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr UnixSeconds kNow = 1'800'000'000;

TEST(SlidingCounts, Events_LeaveWindowsAsTimePasses) {
  SlidingCounts counts(hours(24 * 30));
  counts.Add(kNow, true);
  counts.Add(kNow + 60, false);
  EXPECT_EQ(counts.Sum(kNow + 60, minutes(5)), (EventCounts{2, 1}));
  EXPECT_EQ(counts.Sum(kNow + 330, minutes(5)), (EventCounts{1, 0}));
  EXPECT_EQ(counts.Sum(kNow + 330, hours(1)), (EventCounts{2, 1}));
  EXPECT_EQ(counts.Sum(kNow + 7 * 3600, hours(6)), (EventCounts{0, 0}));
  EXPECT_EQ(counts.Sum(kNow + 7 * 3600, hours(24)), (EventCounts{2, 1}));
  EXPECT_EQ(counts.Sum(kNow + 31 * 86400, hours(24 * 30)), (EventCounts{0, 0}));
}

TEST(SlidingCounts, AnyWindow_IsRightButForOneBucket) {
  std::mt19937 random(7);
  SlidingCounts counts(hours(24 * 7));
  std::deque<std::pair<UnixSeconds, bool>> events;
  UnixSeconds now = kNow;
  for (int i = 0; i < 20'000; ++i) {
    now += static_cast<int64_t>(random() % 60);
    events.emplace_back(now, random() % 10 == 0);
    counts.Add(now, events.back().second);
  }
  const auto exact = [&events, now](seconds window) {
    EventCounts sum;
    for (const auto& [time, is_bad] : events) {
      if (time <= now - window.count()) continue;
      ++sum.total;
      sum.bad += is_bad ? 1 : 0;
    }
    return sum;
  };
  for (const seconds window :
       {seconds(minutes(5)), seconds(hours(1)), seconds(hours(6)), seconds(hours(24)), seconds(hours(72))}) {
    const seconds bucket = window <= hours(6) ? seconds(10) : seconds(900);
    const EventCounts sum = counts.Sum(now, window);
    EXPECT_LE(sum.total, exact(window).total);
    EXPECT_GE(sum.total, exact(window - bucket).total);
    EXPECT_GE(sum.bad, exact(window - bucket).bad);
  }
}

TEST(SlidingCounts, Saved_ComesBackAndAddsToWhatIsThere) {
  SlidingCounts counts(hours(24 * 30));
  for (int i = 0; i < 1000; ++i) counts.Add(kNow + i * 100, i % 2 == 0);
  const UnixSeconds later = kNow + 100'000 + 3600;
  SlidingCounts other(hours(24 * 30));
  other.Add(later, true);
  ASSERT_TRUE(other.Load(counts.ToJson(), later));
  EXPECT_EQ(other.Sum(later, hours(24 * 30)).total, 1001);
  EXPECT_EQ(other.Sum(later, hours(6)).bad, counts.Sum(later, hours(6)).bad + 1);
}

TEST(SlidingCounts, OldAndFutureCounts_AreNotTaken) {
  SlidingCounts counts(hours(24 * 7));
  counts.Add(kNow, true);
  SlidingCounts late(hours(24 * 7));
  ASSERT_TRUE(late.Load(counts.ToJson(), kNow + 8 * 86400));
  EXPECT_EQ(late.Sum(kNow + 8 * 86400, hours(24 * 7)).total, 0);
  SlidingCounts early(hours(24 * 7));
  ASSERT_TRUE(early.Load(counts.ToJson(), kNow - 86400));
  EXPECT_EQ(early.Sum(kNow - 86400, hours(24 * 7)).total, 0);
  EXPECT_EQ(early.Sum(kNow, hours(24 * 7)).total, 0);
}

TEST(SlidingCounts, NonsenseInAFile_IsRefusedAndChangesNothing) {
  SlidingCounts counts(hours(24 * 7));
  for (const char* text : {R"([])", R"({})", R"({"fine": [1, 2], "coarse": []})", R"({"fine": [1, 2, 3], "coarse": []})",
                           R"({"fine": [-1, 2, 1], "coarse": []})", R"({"fine": ["a", 2, 1], "coarse": []})",
                           R"({"fine": [180000000, 2, 1], "coarse": [1]})"}) {
    const Status loaded = counts.Load(*ParseJson(text), kNow);
    ASSERT_FALSE(loaded) << text;
    EXPECT_EQ(loaded.error().code, ErrorCode::kCorruptFile);
  }
  EXPECT_EQ(counts.Sum(kNow, hours(24 * 7)).total, 0);
}

}  // namespace
}  // namespace autoglm::slo
