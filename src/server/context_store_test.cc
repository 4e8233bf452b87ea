#include "server/context_store.h"

#include <gtest/gtest.h>

#include <fstream>

namespace autoglm {
namespace {

class ContextStoreTest : public testing::Test {
 protected:
  ContextStoreTest() { std::filesystem::remove_all(folder_); }
  ~ContextStoreTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<ContextStore> Open() {
    auto store = ContextStore::Open({.folder = folder_, .max_of_tenant = 3, .unix_now = [this] { return now_; }});
    EXPECT_TRUE(store) << store.error().message;
    return std::move(*store);
  }
  static Context Make(const std::string& id, uint64_t tenant = 1) {
    return {.id = id,
            .tenant = tenant,
            .model = "m",
            .messages = Json::array({{{"role", "user"}}}),
            .tokens = {1, 2, 3},
            .ttl_s = 100};
  }

  const std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) / "context_store_test";
  int64_t now_ = 1000;
};

TEST_F(ContextStoreTest, ContextsOfOthers_AreUnknown) {
  const auto store = Open();
  ASSERT_TRUE(store->Add(Make("a")));
  EXPECT_EQ(store->Find("a", 1)->tokens, (std::vector<TokenId>{1, 2, 3}));
  EXPECT_EQ(store->Find("a", 2).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store->Find("b", 1).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(store->Remove("a", 2));
  EXPECT_TRUE(store->List(2).empty());
  EXPECT_EQ(store->List(1).size(), 1u);
}

TEST_F(ContextStoreTest, EveryUse_GivesItAWholeLifeMore) {
  const auto store = Open();
  ASSERT_TRUE(store->Add(Make("a")));
  now_ += 99;
  EXPECT_EQ(store->Use("a", 1)->expires_unix_seconds, now_ + 100);
  now_ += 99;
  EXPECT_TRUE(store->Find("a", 1));
  EXPECT_TRUE(store->TakeExpired().empty());
  now_ += 1;
  EXPECT_FALSE(store->Find("a", 1));
  EXPECT_EQ(store->TakeExpired().size(), 1u);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(ContextStoreTest, Restart_FindsThem_AndLeavesOtherFilesAlone) {
  {
    const auto store = Open();
    ASSERT_TRUE(store->Add(Make("a")));
    now_ += 50;
    ASSERT_TRUE(store->Use("a", 1));
  }
  std::ofstream(folder_ / "broken.json") << "{";
  std::ofstream(folder_ / "renamed.json") << std::ifstream(folder_ / "a.json").rdbuf();
  const auto store = Open();
  ASSERT_EQ(store->List(1).size(), 1u);
  EXPECT_EQ(store->Find("a", 1)->expires_unix_seconds, now_ + 100);
  EXPECT_EQ(store->Find("a", 1)->messages, Make("a").messages);
  EXPECT_TRUE(store->Remove("a", 1));
  EXPECT_TRUE(Open()->List(1).empty());
}

TEST_F(ContextStoreTest, MoreThanATenantMayHave_AreRefused) {
  const auto store = Open();
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(store->Add(Make(id)));
  EXPECT_EQ(store->Add(Make("d")).error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(store->Add(Make("d", 2)));
  now_ += 100;
  EXPECT_TRUE(store->Add(Make("d"))) << "expired ones do not count";
}

}  // namespace
}  // namespace autoglm
