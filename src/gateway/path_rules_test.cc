#include "gateway/path_rules.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

TEST(PathRules, OrdinaryPaths_ArePlain) {
  for (const char* path : {"/", "/v1/chat/completions", "/v1/models/org%20name", "/v1/models/a.b", "/x/", "/v1/models/%C3%A9"}) {
    EXPECT_TRUE(IsPlainPath(path)) << path;
  }
}

TEST(PathRules, PathsThatServersReadDifferently_AreNot) {
  for (const char* path : {"",
                           "v1",
                           "*",
                           "/v1/../admin",
                           "/v1/./x",
                           "/..",
                           "/v1//x",
                           "/v1\\x",
                           "/v1/%2e%2e/admin",
                           "/v1%2fadmin",
                           "/%5cx",
                           "/a%00",
                           "/a%0d%0a",
                           "/a%",
                           "/a%2",
                           "/a%zz",
                           "/a%252e",
                           "/a b",
                           "/a\tb",
                           "/v1/chat/completion%73",
                           "/%761/x",
                           "/a%7e",
                           "/..;/x",
                           "/x;a=b",
                           "/x%3ba",
                           "/x%3fa=b",
                           "/x%23a",
                           "/x#a",
                           "/%c0%ae%c0%ae/x",
                           "/%ff",
                           "/\xff",
                           "/v1/\xc3\xa9"}) {
    EXPECT_FALSE(IsPlainPath(path)) << path;
  }
}

}  // namespace
}  // namespace autoglm::gateway
