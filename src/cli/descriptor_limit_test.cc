#include "cli/descriptor_limit.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace autoglm {
namespace {

class DescriptorLimitTest : public ::testing::Test {
 protected:
  DescriptorLimitTest() { getrlimit(RLIMIT_NOFILE, &before_); }
  ~DescriptorLimitTest() override { setrlimit(RLIMIT_NOFILE, &before_); }

  void SetSoftLimit(rlim_t soft) const {
    const rlimit limit{.rlim_cur = soft, .rlim_max = before_.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  }
  static int64_t SoftLimit() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    return static_cast<int64_t>(limit.rlim_cur);
  }

  rlimit before_{};
};

TEST_F(DescriptorLimitTest, LowLimit_IsRaisedToWhatIsWanted) {
  SetSoftLimit(64);
  EXPECT_EQ(RaiseDescriptorLimit(100), 100);
  EXPECT_EQ(SoftLimit(), 100);
}

TEST_F(DescriptorLimitTest, HighLimit_IsLeftAlone) {
  SetSoftLimit(64);
  EXPECT_EQ(RaiseDescriptorLimit(10), 64);
  EXPECT_EQ(SoftLimit(), 64);
}

TEST_F(DescriptorLimitTest, HardLimit_IsTheMost) {
  if (before_.rlim_max >= rlim_t{1} << 40) GTEST_SKIP() << "no hard limit here";
  SetSoftLimit(64);
  const auto hard = static_cast<int64_t>(before_.rlim_max);
  EXPECT_EQ(RaiseDescriptorLimit(hard + 1), hard);
  EXPECT_EQ(SoftLimit(), hard);
}

}  // namespace
}  // namespace autoglm
