#include "base/text_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "support/temporary_folder.h"

namespace autoglm {
namespace {

using testing::EndsWith;

std::filesystem::path Write(const TemporaryFolder& folder, const std::string& text) {
  std::ofstream(folder.path() / "file", std::ios::binary) << text;
  return folder.path() / "file";
}

TEST(TextFile, IsReadAsItIs) {
  const TemporaryFolder folder;
  const std::string text = std::string(100'000, 'a') + "\r\n" + std::string(1, '\0') + "b";
  EXPECT_EQ(ReadTextFile(Write(folder, text)), text);
  EXPECT_EQ(ReadTextFile(Write(folder, "")), "");
}

TEST(TextFile, BeyondItsBound_IsRefused) {
  const TemporaryFolder folder;
  EXPECT_TRUE(ReadTextFile(Write(folder, "1234"), 4));
  const Result<std::string> text = ReadTextFile(Write(folder, "12345"), 4);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ErrorCode::kPayloadTooLarge);
  EXPECT_THAT(text.error().message, EndsWith("file is larger than 4 bytes"));
}

TEST(TextFile, WhatIsNoFile_IsNamed) {
  const TemporaryFolder folder;
  EXPECT_EQ(ReadTextFile(folder.path() / "gone").error().code, ErrorCode::kNotFound);
  EXPECT_THAT(ReadTextFile(folder.path() / "gone").error().message, EndsWith("gone: No such file or directory"));
  EXPECT_EQ(ReadTextFile(folder.path()).error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(ReadTextFile(folder.path()).error().message, EndsWith(" is a folder"));
}

TEST(TextFile, Dash_IsTheStream) {
  std::istringstream in("from the stream");
  EXPECT_EQ(ReadTextFileOrStream("-", in), "from the stream");
}

}  // namespace
}  // namespace autoglm
