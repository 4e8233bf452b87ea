#include "hub/hub_listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Paths(const std::vector<HubFile>& files) {
  std::vector<std::string> paths;
  paths.reserve(files.size());
  for (const HubFile& file : files) paths.push_back(file.path);
  return paths;
}

const std::string kSha256(64, 'a');
const std::string kSha1(40, 'b');

TEST(HuggingFaceTree, FilesHaveSizesAndChecksums) {
  const auto files = ParseHuggingFaceTree(R"([{"type":"directory","path":"onnx","size":0,"oid":"x"},
    {"type":"file","path":"config.json","size":700,"oid":")" +
                                          kSha1 + R"("},
    {"type":"file","path":"m.gguf","size":134,"oid":"x","lfs":{"oid":")" +
                                          kSha256 + R"(","size":5000000000,"pointerSize":134}}])");
  ASSERT_TRUE(files) << files.error().message;
  ASSERT_THAT(Paths(*files), ElementsAre("config.json", "m.gguf"));
  EXPECT_EQ((*files)[0].git_sha1, kSha1);
  EXPECT_EQ((*files)[0].num_bytes, 700);
  EXPECT_EQ((*files)[1].sha256, kSha256);
  EXPECT_EQ((*files)[1].num_bytes, 5'000'000'000);
  EXPECT_EQ((*files)[1].git_sha1, "");
}

TEST(HuggingFaceTree, WhatCannotBeUsedIsLeftOut) {
  const auto files = ParseHuggingFaceTree(R"([
    {"type":"file","path":"../../.bashrc","size":1}, {"type":"file","path":"/etc/passwd","size":1}, {"type":"file","path":"a","size":-1},
    {"type":"file","path":"b","size":1e300}, {"type":"file","path":"c"}, {"type":"file","path":7,"size":1}, "d", null, 5,
    {"type":"file","path":"e","size":99999999999999999}, {"type":"file","path":"f","size":1,"lfs":{"oid":"sha256:abc","size":1}}, {"type":"file","path":"good","size":0,"lfs":"no object","oid":"short"}])");
  ASSERT_TRUE(files) << files.error().message;
  ASSERT_THAT(Paths(*files), ElementsAre("good"));
  EXPECT_EQ((*files)[0].git_sha1, "");
}

TEST(HuggingFaceTree, ChecksumsMayBeInCapitals) {
  const auto files = ParseHuggingFaceTree(R"([{"type":"file","path":"m.gguf","size":1,"lfs":{"oid":")" + std::string(64, 'A') +
                                          R"(","size":1}}])");
  ASSERT_EQ(files->size(), 1u);
  EXPECT_EQ(files->front().sha256, kSha256);
}

TEST(HuggingFaceTree, OtherAnswersAreErrors) {
  for (const char* text : {"", "{}", "[", "null", "<html>", "[[[[[[[[[[[[[[[[[[[[[[[["})
    EXPECT_FALSE(ParseHuggingFaceTree(text)) << text;
}

TEST(ModelScopeFiles, AreReadAndErrorsAreTold) {
  const auto files = ParseModelScopeFiles(R"({"Code":200,"Data":{"Files":[{"Type":"tree","Path":"x","Size":0},
    {"Type":"blob","Path":"x/m.gguf","Size":12,"Sha256":")" +
                                          kSha256 + R"("}]},"Success":true})");
  ASSERT_TRUE(files) << files.error().message;
  ASSERT_THAT(Paths(*files), ElementsAre("x/m.gguf"));
  EXPECT_EQ((*files)[0].sha256, kSha256);
  const auto refused = ParseModelScopeFiles(R"({"Code":404,"Message":"no such model","Data":null})");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("no such model"));
  for (const char* text : {"", "[]", "{}", R"({"Data":[]})", R"({"Data":{"Files":7}})"})
    EXPECT_FALSE(ParseModelScopeFiles(text)) << text;
}

std::vector<HubFile> Files(const std::vector<std::string>& paths) {
  std::vector<HubFile> files;
  files.reserve(paths.size());
  for (const std::string& path : paths) files.push_back({.path = path, .num_bytes = 3'000'000});
  return files;
}

TEST(ChooseFiles, SafetensorsComeWithWhatTheyNeed) {
  const auto chosen =
      ChooseFiles(Files({"README.md", "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                         "model.safetensors.index.json", "pytorch_model.bin", "consolidated.safetensors", "tokenizer.json",
                         "onnx/model.onnx", "m.gguf", "original/tokenizer.model", "chat_template.jinja"}),
                  *ModelReference::Parse("hf:a/b"));
  ASSERT_TRUE(chosen) << chosen.error().message;
  EXPECT_THAT(Paths(*chosen), ElementsAre("config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                                          "model.safetensors.index.json", "tokenizer.json", "chat_template.jinja"));
}

TEST(ChooseFiles, TheOnlyGguf) {
  EXPECT_THAT(Paths(*ChooseFiles(Files({"README.md", "m.gguf"}), *ModelReference::Parse("hf:a/b"))), ElementsAre("m.gguf"));
}

TEST(ChooseFiles, SeveralGgufs_AreListedAsTheyWouldBeAskedFor) {
  const auto chosen =
      ChooseFiles(Files({"m-q4.gguf", "m-q8.gguf", "m-f16-00001-of-00002.gguf"}), *ModelReference::Parse("hf:a/b@dev"));
  ASSERT_FALSE(chosen);
  EXPECT_THAT(chosen.error().message, testing::AllOf(HasSubstr("hf:a/b@dev:m-q4.gguf  (3 MB)"), HasSubstr("hf:a/b@dev:m-q8.gguf"),
                                                     testing::Not(HasSubstr("00001"))));
}

TEST(ChooseFiles, NamedFile_MustBeThereAndWhole) {
  const std::vector<HubFile> files = Files({"x/m.gguf", "m-00001-of-00002.gguf"});
  EXPECT_THAT(Paths(*ChooseFiles(files, *ModelReference::Parse("hf:a/b:x/m.gguf"))), ElementsAre("x/m.gguf"));
  EXPECT_EQ(ChooseFiles(files, *ModelReference::Parse("hf:a/b:m.gguf")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(ChooseFiles(files, *ModelReference::Parse("hf:a/b:m-00001-of-00002.gguf")).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(ChooseFiles(Files({"README.md"}), *ModelReference::Parse("hf:a/b")).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace autoglm
