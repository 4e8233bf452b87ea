#include "web/loopback.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

TEST(IsLoopback, KnowsTheAddressesOfThisMachineOnly) {
  for (const char* host : {"localhost", "127.0.0.1", "127.1.2.3", "::1"}) EXPECT_TRUE(IsLoopback(host)) << host;
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "12.7.0.1", "example.org", "127.evil.org", "127.0.0.1.evil.org"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

}  // namespace
}  // namespace autoglm
