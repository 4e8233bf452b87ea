#include "config/yaml_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "config/values.h"
#include "config/yaml_file.h"

namespace autoglm {
namespace {

using testing::ElementsAre;

YamlValue Root(const std::string& yaml, YamlValue::Environment environment = YamlValue::Environment::kPutIn) {
  return YamlValue::Root(*LoadYaml(yaml, "a.yaml"), "a.yaml", environment);
}

Result<int64_t> Port(const YamlValue& value) {
  return value.Parse([](const std::string& text) { return ParseInteger(text, 1, 9); });
}

struct Pair {
  std::string a;
  std::string b;
};
constexpr YamlField<Pair> kPairFields[] = {
    {"a",
     [](Pair& pair, const YamlValue& value) -> Status {
       AUTOGLM_TRY(pair.a, value.Text());
       return {};
     }},
    {"b",
     [](Pair& pair, const YamlValue& value) -> Status {
       AUTOGLM_TRY(pair.b, value.Text());
       return {};
     }},
};

std::string PairRefusal(const std::string& yaml) {
  Pair pair;
  return ReadFields(Root(yaml), kPairFields, pair).error().message;
}

TEST(YamlValue, Errors_NamePlaceAndKey) {
  const YamlValue root = Root("a: 1\nb:\n  c: x\n  d:\n    - e\n");
  EXPECT_EQ(Port(*root.Find("b")->Find("c")).error().message, "a.yaml:3: c: must be a whole number from 1 to 9, not 'x'");
  EXPECT_EQ(root.Find("b")->Text().error().message, "a.yaml:2: b: must be one plain value");
  EXPECT_EQ(root.Find("b")->Items("words").error().message, "a.yaml:2: b: must be a list of words");
  EXPECT_EQ(root.Find("b")->Find("d")->Items("words")->at(0).Refuse("is bad").value().message, "a.yaml:5: an entry of d: is bad");
  EXPECT_EQ(root.FailHere("is bad").value().message, "a.yaml:1: is bad");
  EXPECT_EQ(root.Find("a")->Fields().error().message, "a.yaml:1: a: must be lines such as 'key: value'");
  EXPECT_EQ(Root("\na:\n").Find("a")->Text().error().message, "a.yaml:2: a: has no value");
  EXPECT_EQ(root.Find("c"), std::nullopt);
}

TEST(YamlValue, PlainItems_AreOneOrMany) {
  EXPECT_THAT(*Root("a").Texts(), ElementsAre("a"));
  EXPECT_THAT(*Root("[a, b]").Texts(), ElementsAre("a", "b"));
  EXPECT_EQ(Root("a: []").Find("a")->Texts().error().message, "a.yaml:1: a: must be a value or a list of values");
  EXPECT_EQ(Root("a: {b: c}").Find("a")->Texts().error().message, "a.yaml:1: a: must be a value or a list of values");
  EXPECT_EQ(Root("a: [b, [c]]").Find("a")->Texts().error().message, "a.yaml:1: a: must be a list of plain values");
  EXPECT_EQ(Root("a:\n  - b\n  - c\n").Find("a")->PlainItems()->at(1).Refuse("x").value().message, "a.yaml:3: a: x");
}

TEST(YamlValue, Environment_IsPutIntoValuesWhereThatIsAskedFor) {
  setenv("AUTOGLM_TEST_PORT", "7", 1);
  const std::string yaml = "port: ${AUTOGLM_TEST_PORT}\n${AUTOGLM_TEST_PORT}: 1\n";
  EXPECT_EQ(Port(*Root(yaml).Find("port")), 7);
  EXPECT_EQ(Root(yaml, YamlValue::Environment::kIgnored).Find("port")->Text(), "${AUTOGLM_TEST_PORT}");
  EXPECT_TRUE(Root(yaml).Find("${AUTOGLM_TEST_PORT}"));
  unsetenv("AUTOGLM_TEST_PORT");
  EXPECT_EQ(Root(yaml).Find("port")->Text().error().message,
            "a.yaml:1: port: there is no variable AUTOGLM_TEST_PORT in the environment");
}

TEST(YamlValue, WhatTheEnvironmentHas_IsInNoMessage) {
  setenv("AUTOGLM_TEST_PORT", "hunter2", 1);
  EXPECT_EQ(Port(*Root("port: ${AUTOGLM_TEST_PORT}").Find("port")).error().message,
            "a.yaml:1: port: must be a whole number from 1 to 9, not '${AUTOGLM_TEST_PORT}'");
  const auto refuse_expanded = [](const std::string& text) -> Result<int> {
    if (text == "hunter2") return Fail(ErrorCode::kInvalidArgument, "not '" + text + "'");
    return 1;
  };
  EXPECT_EQ(Root("port: ${AUTOGLM_TEST_PORT}").Find("port")->Parse(refuse_expanded).error().message,
            "a.yaml:1: port: what the environment has for it is not allowed here");
  unsetenv("AUTOGLM_TEST_PORT");
}

TEST(ReadFields, SetsWhatIsThere) {
  Pair pair{.a = "default", .b = "default"};
  ASSERT_TRUE(ReadFields(Root("{b: 2}"), kPairFields, pair));
  EXPECT_EQ(pair.a, "default");
  EXPECT_EQ(pair.b, "2");
}

TEST(ReadFields, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(PairRefusal("a: 1\nc: 2\n"), "a.yaml:2: c: unknown key; known are a, b");
  EXPECT_EQ(PairRefusal("a: 1\nb: 2\na: 3\n"), "a.yaml:3: 'a' stands here a second time");
  EXPECT_EQ(PairRefusal("a: 1\n[b]: 2\n"), "a.yaml:2: a key must be plain text");
  EXPECT_EQ(PairRefusal("[a, b]"), "a.yaml:1: the file: must be lines such as 'key: value'");
  EXPECT_EQ(PairRefusal("a: [1]\n"), "a.yaml:1: a: must be one plain value");
}

}  // namespace
}  // namespace autoglm
