#include "cli/progress_bar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <sstream>

namespace autoglm {
namespace {

using std::chrono::milliseconds;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class ProgressBarTest : public testing::Test {
 protected:
  std::istringstream in_;
  std::ostringstream out_, err_;
  Console console_{.in = in_, .out = out_, .err = err_, .err_is_terminal = true};
  ManualClock clock_;

  // What was drawn since the last call.
  std::string Drawn() {
    std::string text = err_.str();
    err_.str("");
    return text;
  }
  static ProgressBar::Options Options(int columns) {
    return {.title = "Work", .unit = "tokens", .total = 200, .columns = columns};
  }
};

TEST_F(ProgressBarTest, ShowsShareAndCounts) {
  ProgressBar bar(console_, clock_, Options(80));
  bar.Update(50);
  EXPECT_THAT(Drawn(), testing::AllOf(HasSubstr("Work █"), HasSubstr("░"), HasSubstr(" 25%  50/200 tokens")));
}

TEST_F(ProgressBarTest, RedrawsTenTimesASecondAtMost) {
  ProgressBar bar(console_, clock_, Options(80));
  bar.Update(1);
  Drawn();
  clock_.Advance(milliseconds(99));
  bar.Update(2);
  EXPECT_THAT(Drawn(), IsEmpty());
  clock_.Advance(milliseconds(1));
  bar.Update(3);
  EXPECT_THAT(Drawn(), HasSubstr("3/200"));
}

TEST_F(ProgressBarTest, TellsRateAndTimeLeftOnceTheyMeanSomething) {
  ProgressBar bar(console_, clock_, Options(80));
  clock_.Advance(milliseconds(300));
  bar.Update(50);
  EXPECT_THAT(Drawn(), Not(HasSubstr("left")));
  clock_.Advance(milliseconds(1700));
  bar.Update(100);
  EXPECT_THAT(Drawn(), HasSubstr("50/s  2.00 s left"));
}

TEST_F(ProgressBarTest, IsWipedAtTheEnd) {
  {
    ProgressBar bar(console_, clock_, Options(80));
    bar.Update(200);
  }
  EXPECT_THAT(Drawn(), EndsWith("\r\x1b[K"));
}

TEST_F(ProgressBarTest, NarrowTerminalGetsTheShareOnly) {
  ProgressBar bar(console_, clock_, Options(20));
  bar.Update(50);
  EXPECT_EQ(Drawn(), "\r\x1b[KWork 25%");
}

TEST_F(ProgressBarTest, SaysNothingIntoAFile) {
  console_.err_is_terminal = false;
  {
    ProgressBar bar(console_, clock_, Options(80));
    bar.Update(50);
  }
  EXPECT_THAT(Drawn(), IsEmpty());
}

}  // namespace
}  // namespace autoglm
