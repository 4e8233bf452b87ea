#include "auth/token_bucket.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

using namespace std::chrono_literals;

class TokenBucketTest : public testing::Test {
 protected:
  explicit TokenBucketTest(int64_t limit = 60) { bucket_.SetLimit(limit, now_); }

  void Take(int64_t count) { bucket_.Take(count, now_); }
  void GiveBack(int64_t count) { bucket_.GiveBack(count, now_); }
  Duration Wait(int64_t count) { return bucket_.WaitFor(count, now_); }
  int64_t Remaining() { return bucket_.Remaining(now_); }

  TimePoint now_ = TimePoint(1h);
  TokenBucket bucket_;
};

TEST_F(TokenBucketTest, StartsFullAndFillsEvenly) {
  EXPECT_EQ(Remaining(), 60);
  Take(60);
  EXPECT_EQ(Remaining(), 0);
  EXPECT_EQ(Wait(1), 1s);
  EXPECT_EQ(Wait(60), 60s);
  now_ += 999'999'999ns;
  EXPECT_EQ(Wait(1), 1ns);
  now_ += 1ns;
  EXPECT_EQ(Wait(1), 0s);
  EXPECT_EQ(Remaining(), 1);
  now_ += 1h;
  EXPECT_EQ(Remaining(), 60) << "never more than full";
  EXPECT_EQ(bucket_.UntilFull(now_), 0s);
}

TEST_F(TokenBucketTest, OddLimits_LoseNothing) {
  for (const int64_t limit : {1, 7, 13, 59, 999'983}) {
    TokenBucket bucket;
    bucket.SetLimit(limit, now_);
    for (int64_t i = 0; i < std::min<int64_t>(limit, 1000); ++i) bucket.Take(1, now_);
    bucket.Take(limit - std::min<int64_t>(limit, 1000), now_);
    EXPECT_EQ(bucket.Remaining(now_), 0);
    EXPECT_EQ(bucket.UntilFull(now_), 60s) << limit;
    EXPECT_EQ(bucket.Remaining(now_ + 60s), limit);
  }
}

TEST_F(TokenBucketTest, Wait_IsRoundedUp) {
  bucket_.SetLimit(7, now_);
  Take(7);
  EXPECT_EQ(Wait(1), 8'571'428'572ns) << "60 s / 7 is a bit less";
  EXPECT_EQ(bucket_.Remaining(now_ + 8'571'428'571ns), 0);
  EXPECT_EQ(bucket_.Remaining(now_ + 8'571'428'572ns), 1);
}

TEST_F(TokenBucketTest, MoreThanThereIs_IsADebt) {
  Take(100);
  EXPECT_EQ(Remaining(), 0);
  EXPECT_EQ(Wait(1), 41s);
  GiveBack(30);
  EXPECT_EQ(Wait(1), 11s);
  GiveBack(1000);
  EXPECT_EQ(Remaining(), 60);
}

TEST_F(TokenBucketTest, OtherLimit_KeepsWhatWasTaken) {
  Take(20);
  bucket_.SetLimit(100, now_);
  EXPECT_EQ(Remaining(), 80);
  bucket_.SetLimit(10, now_);
  EXPECT_EQ(Remaining(), 0);
  EXPECT_EQ(Wait(1), 66s);
  bucket_.SetLimit(0, now_);
  EXPECT_EQ(Wait(1'000'000), 0s);
}

TEST_F(TokenBucketTest, LargestLimit_DoesNotOverflow) {
  TokenBucket bucket;
  bucket.SetLimit(1'000'000'000'000, now_);
  bucket.Take(1'000'000'000'000, now_);
  EXPECT_EQ(bucket.UntilFull(now_), 60s);
  EXPECT_EQ(bucket.Remaining(now_ + 24h * 365 * 100), 1'000'000'000'000);
  TokenBucket slow;
  slow.SetLimit(1, now_);
  slow.Take(1'000'000'000'000, now_);
  EXPECT_GT(slow.WaitFor(1, now_), 24h * 365 * 100);
}

}  // namespace
}  // namespace autoglm
