#include "cli/public_prefix_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "cli/serve_config.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class PublicPrefixConfigTest : public ::testing::Test {
 protected:
  PublicPrefixConfigTest() {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ / "handbook.txt") << "Rule 1: be kind.\n";
    std::ofstream(folder_ / "empty.txt");
  }
  ~PublicPrefixConfigTest() override { std::filesystem::remove_all(folder_); }

  Result<std::vector<PublicPrefix>> Read(const std::string& yaml) {
    ServeConfig config;
    AUTOGLM_TRY_VOID(ApplyServeYaml(yaml, (folder_ / "a.yaml").string(), config));
    return config.public_prefixes;
  }
  // Without the folder.
  std::string ErrorOf(const std::string& yaml) {
    const auto prefixes = Read(yaml);
    EXPECT_FALSE(prefixes) << yaml;
    if (prefixes) return "";
    EXPECT_THAT(prefixes.error().message, StartsWith((folder_ / "a.yaml:").string()));
    return prefixes.error().message.substr(folder_.string().size() + 1);
  }
  // Of one entry.
  std::string EntryError(const std::string& entry) { return ErrorOf("port: 1\npublic_prefixes:\n  - " + entry + "\n"); }

  const std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) / "public_prefix_config_test";
};

TEST_F(PublicPrefixConfigTest, EveryKind_IsRead) {
  const auto prefixes = Read(
      "public_prefixes:\n"
      "  - messages: [{role: system, content: You are kind.}, {role: user, content: \"1\"}]\n"
      "    model: small\n"
      "  - prompt: Once upon\n"
      "  - file: handbook.txt\n"
      "    as: system\n"
      "  - {file: handbook.txt, as: prompt}\n");
  ASSERT_TRUE(prefixes) << prefixes.error().message;
  ASSERT_EQ(prefixes->size(), 4u);
  EXPECT_EQ(prefixes->at(0).model, "small");
  EXPECT_EQ(prefixes->at(0).messages[0]["content"], "You are kind.");
  EXPECT_EQ(prefixes->at(0).messages[1]["content"], "1");
  EXPECT_EQ(prefixes->at(1).prompt, "Once upon");
  EXPECT_TRUE(prefixes->at(1).messages.is_null());
  EXPECT_EQ(prefixes->at(2).messages, Json::array({{{"role", "system"}, {"content", "Rule 1: be kind.\n"}}}));
  EXPECT_EQ(prefixes->at(2).origin, (folder_ / "a.yaml:5").string());
  EXPECT_EQ(prefixes->at(3).prompt, "Rule 1: be kind.\n");
}

TEST_F(PublicPrefixConfigTest, WhatMakesNoSense_IsNamedWithItsLine) {
  EXPECT_EQ(ErrorOf("public_prefixes: a\n"), "a.yaml:1: public_prefixes: must be a list of prefixes");
  EXPECT_THAT(EntryError("text"), StartsWith("a.yaml:3: an entry of public_prefixes: must be lines"));
  EXPECT_EQ(EntryError("model: m"), "a.yaml:3: an entry of public_prefixes needs one of 'messages', 'prompt' and 'file'");
  EXPECT_EQ(EntryError("prompt: a\n    file: handbook.txt"),
            "a.yaml:3: an entry of public_prefixes needs one of 'messages', 'prompt' and 'file'");
  EXPECT_EQ(EntryError("model: m\n    prompt: [a, b]"), "a.yaml:4: prompt: must be one plain value");
  EXPECT_EQ(EntryError("prompt: ''"), "a.yaml:3: prompt: must not be empty");
  EXPECT_EQ(EntryError("propmt: a"), "a.yaml:3: propmt: unknown key; known are messages, prompt, file, as, model");
  EXPECT_EQ(EntryError("prompt: a\n    as: system"), "a.yaml:4: as: says what a 'file' is, and there is none");
  EXPECT_EQ(EntryError("file: handbook.txt\n    as: user"), "a.yaml:4: as: must be system or prompt, not 'user'");
}

TEST_F(PublicPrefixConfigTest, FileThatCannotBeRead_IsNamed) {
  EXPECT_THAT(EntryError("as: system\n    file: missing.txt"),
              AllOf(StartsWith("a.yaml:4: file: cannot open "), HasSubstr("missing.txt: No such file")));
  EXPECT_THAT(EntryError("file: empty.txt"), ::testing::EndsWith("empty.txt is empty"));
}

TEST_F(PublicPrefixConfigTest, MessageThatMakesNoSense_IsNamedWithItsLine) {
  EXPECT_EQ(EntryError("messages: hello"), "a.yaml:3: messages: must be a list of messages");
  EXPECT_EQ(EntryError("messages:\n      - {role: system}"), "a.yaml:4: a message needs 'role' and 'content'");
  EXPECT_EQ(EntryError("messages:\n      - role: system\n        text: x"),
            "a.yaml:5: text: unknown key; known are role, content");
  EXPECT_THAT(EntryError("messages: [{role: wizard, content: x}]"),
              AllOf(StartsWith("a.yaml:3: "), HasSubstr("messages[0].role")));
}

TEST_F(PublicPrefixConfigTest, MoreThanThereMayBe_AreRefused) {
  std::string yaml = "public_prefixes:\n";
  for (int i = 0; i < 65; ++i) yaml += "  - prompt: a\n";
  EXPECT_THAT(ErrorOf(yaml), HasSubstr("at most 64"));
}

}  // namespace
}  // namespace autoglm
