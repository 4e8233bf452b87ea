#include "weights/safetensors_folder.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "support/safetensors_builder.h"
#include "support/temporary_folder.h"
#include "support/test_paths.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kIndex = "model.safetensors.index.json";

std::vector<std::byte> FileWith(std::string_view tensor, int value = 1) {
  return SafetensorsBuilder().Add(tensor, "F32", "[1, 2]", std::vector<std::byte>(8, static_cast<std::byte>(value))).Build();
}

std::string IndexOf(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string members;
  for (const auto& [tensor, shard] : entries) {
    members += fmt::format(R"({}"{}":"{}")", members.empty() ? "" : ",", tensor, shard);
  }
  return R"({"metadata": {"total_size": 16, "more": [1, {"a": null}]}, "weight_map": {)" + members + "}}";
}

Error ErrorOf(const TemporaryFolder& folder) {
  const auto source = SafetensorsFolder::Open(folder.path());
  return source ? Error{ErrorCode::kInternal, "no error"} : source.error();
}

TEST(SafetensorsFolder, OneFile_GivesItsTensors) {
  const TemporaryFolder folder;
  folder.Write("model.safetensors", FileWith("a"));
  const auto source = SafetensorsFolder::Open(folder.path());
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_EQ((*source)->tensors().size(), 1u);
  EXPECT_TRUE((*source)->HasTensor("a"));
  EXPECT_EQ((*(*source)->FindTensor("a"))->num_columns(), 2);
  EXPECT_EQ((*source)->FindTensor("b").error().code, ErrorCode::kNotFound);
  EXPECT_EQ((*source)->FilePath("config.json"), folder.path() / "config.json");
}

TEST(SafetensorsFolder, Shards_EachTensorComesFromTheFileTheIndexNames) {
  const TemporaryFolder folder;
  folder.Write("one.safetensors", SafetensorsBuilder()
                                      .Add("a", "F32", "[1]", std::vector<std::byte>(4, std::byte{1}))
                                      .Add("b", "F32", "[1]", std::vector<std::byte>(4, std::byte{2}))
                                      .Add("i", "I64", "[1]", std::vector<std::byte>(8))
                                      .Build());
  folder.Write("two.safetensors", FileWith("b", 3));
  folder.Write(kIndex, IndexOf({{"a", "one.safetensors"}, {"i", "one.safetensors"}, {"b", "two.safetensors"}}));
  const auto opened = SafetensorsFolder::Open(folder.path());
  ASSERT_TRUE(opened) << opened.error().message;
  const TensorSource& source = **opened;
  ASSERT_EQ(source.tensors().size(), 2u);  // b of the first file is nobody's
  EXPECT_EQ((*source.FindTensor("a"))->bytes[0], std::byte{1});
  EXPECT_EQ((*source.FindTensor("b"))->bytes[0], std::byte{3});
  EXPECT_TRUE(source.HasTensor("i"));
  EXPECT_EQ(source.FindTensor("i").error().code, ErrorCode::kUnsupported);
  for (const TensorView& tensor : source.tensors()) source.DropPages(tensor);
  EXPECT_EQ((*source.FindTensor("b"))->bytes[0], std::byte{3});
}

TEST(SafetensorsFolder, Shards_MissingFileIsNamed) {
  const TemporaryFolder folder;
  folder.Write(kIndex, IndexOf({{"a", "gone.safetensors"}}));
  EXPECT_EQ(ErrorOf(folder).code, ErrorCode::kNotFound);
  EXPECT_THAT(ErrorOf(folder).message, HasSubstr((folder.path() / "gone.safetensors").string()));
}

TEST(SafetensorsFolder, Shards_TensorThatIsNotInItsFileIsNamed) {
  const TemporaryFolder folder;
  folder.Write("one.safetensors", FileWith("a"));
  folder.Write(kIndex, IndexOf({{"a", "one.safetensors"}, {"b", "one.safetensors"}}));
  EXPECT_EQ(ErrorOf(folder).code, ErrorCode::kCorruptFile);
  EXPECT_THAT(ErrorOf(folder).message, HasSubstr("one.safetensors lacks the tensor 'b'"));
}

TEST(SafetensorsFolder, Index_FilesElsewhereAreRefused) {
  for (const std::string shard : {"../a.safetensors", "/etc/a.safetensors", "sub/a.safetensors", "..", "a..safetensors", "",
                                  ".safetensors", "passwd", "a\\\\b.safetensors", "a\\u0000.safetensors"}) {
    const TemporaryFolder folder;
    folder.Write(kIndex, IndexOf({{"t", shard}}));
    EXPECT_EQ(ErrorOf(folder).code, ErrorCode::kCorruptFile) << shard;
    EXPECT_THAT(ErrorOf(folder).message, HasSubstr("the tensor 't' is said to be in")) << shard;
  }
}

TEST(SafetensorsFolder, Index_OtherJsonIsRefused) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "broken"},
      {"{", "broken"},
      {"[]", "the index has another value where it may not"},
      {"{}", "no weight_map"},
      {R"({"weight_map": {}})", "no weight_map, or an empty one"},
      {R"({"weight_map": []})", "another value"},
      {R"({"weight_map": 7})", "another value"},
      {R"({"weight_map": {"a": 7}})", "weight_map has another value"},
      {R"({"weight_map": {"a": {}}})", "weight_map has an object"},
      {R"({"weight_map": {"a": "x.safetensors", "a": "x.safetensors"}})", "the tensor 'a' appears twice"},
      {R"({"weight_map": {}, "weight_map": {}})", "'weight_map' appears twice"},
      {std::string(200000, '['), "another value"},
      {R"({"metadata": )" + std::string(200000, '['), "broken"}};
  for (const auto& [json, message] : cases) {
    const TemporaryFolder folder;
    folder.Write(kIndex, json);
    const Error error = ErrorOf(folder);
    EXPECT_EQ(error.code, ErrorCode::kCorruptFile) << json.substr(0, 80);
    EXPECT_THAT(error.message, HasSubstr(message)) << json.substr(0, 80);
    EXPECT_THAT(error.message, HasSubstr(std::string(kIndex)));
  }
}

TEST(SafetensorsFolder, Open_FolderWithoutTensorsSaysWhatIsMissing) {
  const TemporaryFolder folder;
  folder.Write("pytorch_model.bin", "x");
  EXPECT_EQ(ErrorOf(folder).code, ErrorCode::kNotFound);
  EXPECT_THAT(ErrorOf(folder).message, HasSubstr("has neither model.safetensors nor model.safetensors.index.json"));
}

TEST(SafetensorsFolder, Open_WhatIsNoFolderIsRefused) {
  const TemporaryFolder folder;
  const auto file = folder.Write("file", "x");
  EXPECT_EQ(SafetensorsFolder::Open(file).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(SafetensorsFolder::Open(folder.path() / "gone").error().code, ErrorCode::kNotFound);
}

TEST(SafetensorsFolder, Open_ReadsEveryGoldenModel) {
  int num_folders = 0;
  for (const auto& entry : std::filesystem::directory_iterator(GoldenFile("models"))) {
    const auto source = SafetensorsFolder::Open(entry.path());
    ASSERT_TRUE(source) << source.error().message;
    EXPECT_GT((*source)->tensors().size(), 20u) << entry.path();
    EXPECT_TRUE(std::filesystem::exists((*source)->FilePath("config.json"))) << entry.path();
    ++num_folders;
  }
  EXPECT_GE(num_folders, 11);
}

}  // namespace
}  // namespace autoglm
