#include "config/yaml_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace autoglm {
namespace {

using testing::ContainsRegex;
using testing::StartsWith;

std::string Refusal(const std::string& yaml) {
  const Result<YAML::Node> node = LoadYaml(yaml, "a.yaml");
  EXPECT_FALSE(node);
  if (node) return "";
  EXPECT_EQ(node.error().code, ErrorCode::kInvalidArgument);
  return node.error().message;
}

// "prefix" and then `count` times what stands for it.
std::string Repeat(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

TEST(LoadYaml, OneDocument_IsRead) {
  EXPECT_EQ((*LoadYaml("a: [1, \xC3\xA4]\r\n", "a.yaml"))["a"][1].Scalar(), "\xC3\xA4");
  EXPECT_TRUE(LoadYaml("", "a.yaml")->IsNull());
  EXPECT_TRUE(LoadYaml("# nothing\n", "a.yaml")->IsNull());
  EXPECT_EQ(Refusal("a: 1\n---\nb: 2\n"), "a.yaml:2: a second document begins here; only one is read");
  EXPECT_EQ(Refusal("- a\n- b\n,"), "a.yaml:3: a second document begins here; only one is read");
}

TEST(LoadYaml, WhatIsNotYaml_IsRefusedWithItsLine) {
  EXPECT_EQ(Refusal("a: 1\nb: [\n"), "a.yaml:3: end of sequence flow not found");
  EXPECT_THAT(Refusal("a: 1\n b: 2\n"), StartsWith("a.yaml:2: "));
  EXPECT_THAT(Refusal("a: *b\n"), StartsWith("a.yaml:1: "));
  EXPECT_THAT(Refusal(Repeat("[", 10'000)), ContainsRegex("^a.yaml:[0-9]+: "));
  EXPECT_THAT(Refusal(Repeat("- ", 10'000)), ContainsRegex("^a.yaml:[0-9]+: "));
  EXPECT_THAT(Refusal(Repeat("{a: ", 10'000)), ContainsRegex("^a.yaml:[0-9]+: "));
}

TEST(LoadYaml, WhatIsNoText_IsRefusedWithItsLine) {
  EXPECT_EQ(Refusal("a: 1\nb: \xFF\n"), "a.yaml:2: the file must be text in UTF-8");
  EXPECT_EQ(Refusal("\xFF\xFE" + std::string("a\0:\0", 4)), "a.yaml:1: the file must be text in UTF-8");
  EXPECT_EQ(Refusal("a: 1\n\x04: 2\n"), "a.yaml:2: the file holds a control character, 0x04");
  EXPECT_EQ(Refusal(std::string("\0a", 2)), "a.yaml:1: the file holds a control character, 0x00");
}

TEST(LoadYaml, MoreThanAMebibyte_IsRefused) {
  EXPECT_TRUE(LoadYaml("#" + std::string(kMaxYamlBytes - 1, 'x'), "a.yaml"));
  EXPECT_EQ(Refusal("#" + std::string(kMaxYamlBytes, 'x')), "a.yaml:1: the file must be at most 1048576 bytes");
}

TEST(LoadYaml, AliasesThatStandForTooMuch_AreRefused) {
  EXPECT_TRUE(LoadYaml("a: &a [1, 2]\nb: [*a, *a]\n", "a.yaml"));
  std::string bomb = "a0: &a0 [x, x]\n";
  for (int i = 1; i < 30; ++i) {
    bomb += fmt::format("a{0}: &a{0} [*a{1}, *a{1}]\n", i, i - 1);
  }
  EXPECT_THAT(Refusal(bomb), ContainsRegex("^a.yaml:[0-9]+: aliases stand for more than 262144 values$"));
}

TEST(LoadYaml, WhatHoldsItself_IsRefused) {
  EXPECT_EQ(Refusal("x: 1\na: &a [*a]\n"), "a.yaml:2: is more than 32 levels deep, or an alias of what it stands in");
  EXPECT_EQ(Refusal("a: &a {b: *a}\n"), "a.yaml:1: is more than 32 levels deep, or an alias of what it stands in");
}

}  // namespace
}  // namespace autoglm
