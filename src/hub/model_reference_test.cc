#include "hub/model_reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm {
namespace {

TEST(ModelReference, PartsAreFound) {
  const ModelReference plain = *ModelReference::Parse("hf:zai-org/glm-4-9b");
  EXPECT_EQ(plain.hub, Hub::kHuggingFace);
  EXPECT_EQ(plain.repo_id(), "zai-org/glm-4-9b");
  EXPECT_EQ(plain.revision, "main");
  EXPECT_EQ(plain.file, "");
  const ModelReference full = *ModelReference::Parse("ms:ZhipuAI/GLM@v1.2:quantised/q4_k.gguf");
  EXPECT_EQ(full.hub, Hub::kModelScope);
  EXPECT_EQ(full.revision, "v1.2");
  EXPECT_EQ(full.file, "quantised/q4_k.gguf");
  EXPECT_EQ(full.Folder(), "ms/ZhipuAI/GLM/v1.2");
}

TEST(ModelReference, WrittenAsItWasRead) {
  for (const char* text : {"hf:a/b", "ms:a/b", "hf:a/b:c.gguf", "hf:a/b@dev:x/c.gguf"}) {
    EXPECT_EQ(ModelReference::Parse(text)->ToString(), text);
  }
  EXPECT_EQ(ModelReference::Parse("hf:a/b@main:c.gguf")->ToString(), "hf:a/b:c.gguf");
  EXPECT_EQ(ModelReference::Parse("ms:a/b@master")->ToString(), "ms:a/b");
}

TEST(ModelReference, WhatCouldLeaveTheFolderIsRefused) {
  for (const char* text : {"hf:", "hf:a", "hf:a/", "hf:/b", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a/.hidden", "hf:a/b@../..",
                           "hf:a/b@", "hf:a/b:", "hf:a/b:../c.gguf", "hf:a/b:/etc/passwd", "hf:a/b:x/../../y", "hf:a/b:x//y",
                           "hf:a/b:.ssh/id", "hf:a b/c", "hf:-a/b", "model.gguf"}) {
    const auto reference = ModelReference::Parse(text);
    ASSERT_FALSE(reference) << text;
    EXPECT_EQ(reference.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(reference.error().message, testing::HasSubstr("hf:ORG/REPO"));
  }
}

TEST(ModelReference, PathsAreNotMistakenForOne) {
  EXPECT_TRUE(ModelReference::Is("hf:a/b"));
  EXPECT_FALSE(ModelReference::Is("hf/a/b.gguf"));
  EXPECT_FALSE(ModelReference::Is("./hf:a"));
}

TEST(SafeRelativePath, ControlCharactersAndBackslashesAreNot) {
  EXPECT_TRUE(IsSafeRelativePath("a/b c/d.gguf"));
  for (const char* path : {"", "a\nb", "a\\b", "c:/x", ".", "..", "a/..", "/a", "a/"})
    EXPECT_FALSE(IsSafeRelativePath(path)) << path;
  EXPECT_FALSE(IsSafeRelativePath(std::string(2000, 'a')));
}

}  // namespace
}  // namespace autoglm
