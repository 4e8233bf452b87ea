#include "gateway/waiting_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace autoglm::gateway {
namespace {

using ::testing::ElementsAre;

class WaitingLineTest : public ::testing::Test {
 protected:
  std::unique_ptr<WaitingLine::Place> Join(int64_t priority, int name) {
    return line_.Join(priority, line_.TakeNumber(), [this, name] { turns_.push_back(name); });
  }

  ManualClock clock_;
  WaitingLine line_{3, clock_};
  std::vector<int> turns_;
};

TEST_F(WaitingLineTest, MostUrgentIsFirst_ThenWhoCameFirst) {
  const auto a = Join(5, 1);
  const auto b = Join(-1, 2);
  const auto c = Join(5, 3);
  for (int i = 0; i < 4; ++i) line_.OnRoom();
  EXPECT_THAT(turns_, ElementsAre(2, 1, 3));
  EXPECT_EQ(line_.size(), 0);
}

TEST_F(WaitingLineTest, FullLine_TakesNobody) {
  const auto a = Join(0, 1);
  const auto b = Join(0, 2);
  const auto c = Join(0, 3);
  EXPECT_EQ(Join(-9, 4), nullptr);
  EXPECT_EQ(line_.fill(), 1);
}

TEST_F(WaitingLineTest, PlaceThatIsGivenUp_HasNoTurn) {
  auto a = Join(0, 1);
  const auto b = Join(0, 2);
  a.reset();
  line_.OnRoom();
  EXPECT_THAT(turns_, ElementsAre(2));
}

TEST_F(WaitingLineTest, WhoComesBackWithItsNumber_KeepsItsTurn) {
  const uint64_t first = line_.TakeNumber();
  const auto other = Join(0, 2);
  const auto back = line_.Join(0, first, [this] { turns_.push_back(1); });
  line_.WakeAll();
  EXPECT_THAT(turns_, ElementsAre(1, 2));
}

TEST_F(WaitingLineTest, RetryAfter_FollowsHowFastTheLineMoves) {
  EXPECT_EQ(line_.RetryAfterSeconds(), 1);
  std::vector<std::unique_ptr<WaitingLine::Place>> places;
  for (int i = 0; i < 30; ++i) {
    places.push_back(Join(0, i));
    clock_.Advance(std::chrono::seconds(4));
    line_.OnRoom();
  }
  const auto a = Join(0, 1);
  const auto b = Join(0, 2);
  EXPECT_EQ(line_.RetryAfterSeconds(), 12);  // three at 4 s each
}

TEST_F(WaitingLineTest, PlaceMayOutliveTheLine) {
  std::unique_ptr<WaitingLine::Place> place;
  {
    WaitingLine short_lived(1, clock_);
    place = short_lived.Join(0, 1, [] {});
  }
  place.reset();
}

}  // namespace
}  // namespace autoglm::gateway
