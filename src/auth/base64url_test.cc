#include "auth/base64url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "auth/jwt_fixture.h"

namespace autoglm {
namespace {

using testing::ElementsAre;
using testing::Optional;

TEST(Base64Url, BytesOfAnyLength_ComeBack) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    bytes.push_back(static_cast<char>(i * 7));
    const auto decoded = DecodeBase64Url(Base64Url(bytes));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(std::string(decoded->begin(), decoded->end()), bytes);
  }
}

TEST(Base64Url, WhatIsNotCanonical_IsRefused) {
  EXPECT_THAT(DecodeBase64Url(""), Optional(ElementsAre()));
  EXPECT_THAT(DecodeBase64Url("_-8"), Optional(ElementsAre(0xff, 0xef)));
  for (const char* text : {"A", "AAAAA", "AA==", "AB", "AAB", "+/8", "A A", "AA\n", "AA."})
    EXPECT_FALSE(DecodeBase64Url(text)) << text;
}

}  // namespace
}  // namespace autoglm
