#include "routing/outlier_detector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm::routing {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

class OutlierDetectorTest : public testing::Test {
 protected:
  // An interval in which each upstream had so many requests, and of them failures.
  std::vector<size_t> Interval(const std::vector<std::pair<int64_t, int64_t>>& requests_and_failures) {
    counts_.resize(requests_and_failures.size());
    detector_.IsDue(now_);
    std::vector<OutlierCounts*> all;
    for (size_t i = 0; i < counts_.size(); ++i) {
      counts_[i].num_requests = requests_and_failures[i].first;
      counts_[i].num_failures = requests_and_failures[i].second;
      all.push_back(&counts_[i]);
    }
    now_ += seconds(10);
    EXPECT_TRUE(detector_.IsDue(now_));
    return detector_.Judge(all, now_);
  }

  TimePoint now_{seconds(100)};
  OutlierDetector detector_{{}};
  std::vector<OutlierCounts> counts_;
};

TEST_F(OutlierDetectorTest, OneThatFailsMoreThanTheOthers_IsEjected) {
  EXPECT_THAT(Interval({{100, 1}, {100, 20}, {100, 0}}), ElementsAre(1));
  EXPECT_EQ(counts_[1].ejected_until, now_ + seconds(30));
  EXPECT_EQ(counts_[1].num_requests, 0) << "the next interval begins";
}

TEST_F(OutlierDetectorTest, WhatAllFailAt_IsNobodysFault) { EXPECT_THAT(Interval({{100, 50}, {100, 55}, {100, 45}}), IsEmpty()); }

TEST_F(OutlierDetectorTest, FewRequests_SayNothing) { EXPECT_THAT(Interval({{100, 0}, {19, 19}, {100, 0}}), IsEmpty()); }

TEST_F(OutlierDetectorTest, Alone_IsNeverEjected) { EXPECT_THAT(Interval({{100, 100}}), IsEmpty()); }

TEST_F(OutlierDetectorTest, NoMoreThanATenth_TheWorstFirst) {
  EXPECT_THAT(Interval({{100, 30}, {100, 60}, {100, 0}, {100, 0}, {100, 0}}), ElementsAre(1));
  EXPECT_THAT(Interval({{100, 30}, {0, 0}, {100, 0}, {100, 0}, {100, 0}}), IsEmpty()) << "one is out already";
}

TEST_F(OutlierDetectorTest, AgainAndAgain_StaysOutLongerUntilItIsForgotten) {
  Interval({{100, 0}, {100, 20}});
  now_ += seconds(60);
  Interval({{100, 0}, {100, 20}});
  EXPECT_EQ(counts_[1].ejected_until, now_ + seconds(60));
  now_ += seconds(60);
  Interval({{100, 0}, {100, 0}});
  Interval({{100, 0}, {100, 0}});
  Interval({{100, 0}, {100, 20}});
  EXPECT_EQ(counts_[1].ejected_until, now_ + seconds(30));
}

}  // namespace
}  // namespace autoglm::routing
