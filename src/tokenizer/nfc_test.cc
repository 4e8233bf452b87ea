#include "tokenizer/nfc.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "support/test_paths.h"

namespace autoglm {
namespace {

TEST(Nfc, AgreesWithPythonsUnicodedata) {
  std::ifstream file(GoldenFile("tokenizer/cases.json"));
  const auto cases = nlohmann::json::parse(file).at("nfc");
  for (const auto& example : cases) {
    const auto text = example.at("text").get<std::string>();
    EXPECT_EQ(NormalizeNfc(text), example.at("nfc").get<std::string>()) << text;
  }
}

TEST(Nfc, MarksJoinTheAsciiLetterBeforeThem) { EXPECT_EQ(NormalizeNfc("cafe\u0301 e\u0301"), "café é"); }

TEST(Nfc, ZeroBytes_AreKept) { EXPECT_EQ(NormalizeNfc(std::string("a\0e\u0301\0", 6)), std::string("a\0é\0", 5)); }

TEST(Nfc, WhatIsSurelyNfc_StaysAsItIs) {
  for (const std::string text : {"", "plain", "naïve ÿ ʯ"}) {
    EXPECT_TRUE(IsSurelyNfc(text)) << text;
    EXPECT_EQ(NormalizeNfc(text), text);
  }
  EXPECT_FALSE(IsSurelyNfc("e\u0301"));
}

TEST(Nfc, LongRunOfMarks_IsPutInOrder) {
  // Dots below (U+0323) belong before dots above (U+0307), of which the first joins x. A quadratic sort would need hours.
  std::string text = "x";
  std::string above;
  std::string below;
  for (int i = 0; i < 250'000; ++i) {
    text += "\u0307\u0323";
    above += "\u0307";
    below += "\u0323";
  }
  EXPECT_EQ(NormalizeNfc(text), "\u1E8B" + below + above.substr(2));
}

}  // namespace
}  // namespace autoglm
