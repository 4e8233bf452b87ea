#include "hub/model_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "hub/checksum.h"

namespace autoglm {
namespace {

using testing::HasSubstr;

// Pulls from a real hub are tested end to end (tests/e2e/test_pull.py); here is what needs none.
class ModelStoreTest : public testing::Test {
 protected:
  ModelStoreTest() { std::filesystem::remove_all(folder_); }
  ~ModelStoreTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((folder_ / path).parent_path());
    std::ofstream(folder_ / path, std::ios::binary) << text;
  }
  static ModelReference Reference(const std::string& text) { return *ModelReference::Parse(text); }

  const std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) / ("model_store_" + std::to_string(getpid()));
  ModelStore store_{folder_, std::chrono::milliseconds(1)};
};

TEST_F(ModelStoreTest, Checksums_AreThoseOfTheStandards) {
  Write("abc", "abc");
  EXPECT_EQ(*Sha256OfFile(folder_ / "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Write("hello", "hello\n");
  EXPECT_EQ(*GitBlobSha1OfFile(folder_ / "hello"), "ce013625030ba8dba906f756967f9e9ca394464a");
  Write("empty", "");
  EXPECT_EQ(*GitBlobSha1OfFile(folder_ / "empty"), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_FALSE(Sha256OfFile(folder_ / "missing"));
}

TEST_F(ModelStoreTest, FileWithItsName_IsComplete) {
  EXPECT_FALSE(store_.Find(Reference("hf:a/b:m.gguf")));
  Write("hf/a/b/main/m.gguf.part", "half");
  EXPECT_FALSE(store_.Find(Reference("hf:a/b:m.gguf")));
  Write("hf/a/b/main/m.gguf", "whole");
  EXPECT_EQ(store_.Find(Reference("hf:a/b:m.gguf")), folder_ / "hf/a/b/main/m.gguf");
  EXPECT_FALSE(store_.Find(Reference("ms:a/b:m.gguf")));
}

TEST_F(ModelStoreTest, Folder_IsCompleteWithItsListAndAllThatStandsThere) {
  Write("hf/a/b/main/config.json", "{}");
  Write("hf/a/b/main/model.safetensors", "tensors");
  EXPECT_FALSE(store_.Find(Reference("hf:a/b")));
  const std::string manifest =
      R"({"model":"hf:a/b","files":[{"path":"config.json","bytes":2},{"path":"model.safetensors","bytes":7}]})";
  Write("hf/a/b/main/.autoglm.json", manifest);
  EXPECT_EQ(store_.Find(Reference("hf:a/b")), folder_ / "hf/a/b/main");
  Write("hf/a/b/main/config.json", "{ }");
  EXPECT_FALSE(store_.Find(Reference("hf:a/b"))) << "another size";
  for (const char* broken : {"", "[]", "{", R"({"files":[7]})", R"({"files":[{"path":"../x","bytes":1}]})",
                             R"({"files":[{"path":"config.json"}]})", R"({"model":7,"files":[{"path":7,"bytes":7}]})"}) {
    Write("hf/a/b/main/.autoglm.json", broken);
    EXPECT_FALSE(store_.Find(Reference("hf:a/b"))) << broken;
  }
}

TEST_F(ModelStoreTest, List_ShowsWhatIsCompleteAsItIsAskedFor) {
  EXPECT_TRUE(store_.List().empty());
  Write("hf/a/b/main/q4/m.gguf", "12345");
  Write("hf/a/b/main/n.gguf.part", "1");
  Write("ms/c/d/v1/config.json", "{}");
  Write("ms/c/d/v1/.autoglm.json", R"({"model":"ms:c/d@v1","files":[{"path":"config.json","bytes":2}]})");
  const std::vector<StoredModel> models = store_.List();
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].reference, "hf:a/b:q4/m.gguf");
  EXPECT_EQ(models[0].num_bytes, 5);
  EXPECT_EQ(models[1].reference, "ms:c/d@v1");
}

TEST_F(ModelStoreTest, Remove_TakesAFileOrTheWholeModel) {
  Write("hf/a/b/main/m.gguf", "1");
  Write("hf/a/b/main/n.gguf.part", "1");
  EXPECT_TRUE(store_.Remove(Reference("hf:a/b:m.gguf")));
  EXPECT_EQ(store_.Remove(Reference("hf:a/b:m.gguf")).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(store_.Remove(Reference("hf:a/b:n.gguf")));
  EXPECT_TRUE(store_.Remove(Reference("hf:a/b")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "hf/a/b/main"));
  EXPECT_EQ(store_.Remove(Reference("hf:a/b")).error().code, ErrorCode::kNotFound);
}

TEST_F(ModelStoreTest, HubThatDoesNotAnswer_IsAnErrorThatNamesIt) {
  HubClient hub({.hugging_face = {.url = "http://127.0.0.1:9"}, .model_scope = {}, .user_agent = "test"});
  const auto pulled = store_.Pull(Reference("hf:a/b"), hub, {});
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(pulled.error().message, HasSubstr("127.0.0.1:9"));
}

TEST_F(ModelStoreTest, CompleteModel_NeedsNoHub) {
  Write("hf/a/b/main/m.gguf", "whole");
  HubClient hub({.hugging_face = {.url = "http://127.0.0.1:9"}, .model_scope = {}, .user_agent = "test"});
  EXPECT_EQ(store_.Pull(Reference("hf:a/b:m.gguf"), hub, {}).value(), folder_ / "hf/a/b/main/m.gguf");
}

}  // namespace
}  // namespace autoglm
