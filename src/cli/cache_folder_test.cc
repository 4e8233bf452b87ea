#include "cli/cache_folder.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace autoglm {
namespace {

TEST(CacheFolder, FollowsXdgAndThenHome) {
  setenv("HOME", "/home/someone", 1);
  setenv("XDG_CACHE_HOME", "/var/cache/someone", 1);
  EXPECT_EQ(CacheFolder(), "/var/cache/someone/autoglm");
  EXPECT_EQ(*ParsePreparedCache("auto"), "/var/cache/someone/autoglm/prepared");
  EXPECT_EQ(*ParseKvDisk("auto"), "/var/cache/someone/autoglm/kv");
  setenv("XDG_CACHE_HOME", "relative", 1);
  EXPECT_EQ(CacheFolder(), "/home/someone/.cache/autoglm");
  unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(CacheFolder(), "/home/someone/.cache/autoglm");
}

TEST(PreparedCacheOption, TakesAutoOffOrAFolder) {
  EXPECT_TRUE(ParsePreparedCache("off")->empty());
  EXPECT_EQ(*ParsePreparedCache("weights/here"), "weights/here");
  EXPECT_FALSE(ParsePreparedCache(""));
}

}  // namespace
}  // namespace autoglm
