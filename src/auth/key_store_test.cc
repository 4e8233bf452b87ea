#include "auth/key_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <set>

#include "support/temporary_folder.h"

namespace autoglm {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};

class KeyStoreTest : public testing::Test {
 protected:
  KeyStore Store() const {
    Result<KeyStore> store = KeyStore::OpenOrCreate(path_);
    EXPECT_TRUE(store) << store.error().message;
    return *std::move(store);
  }
  CreatedKey Create(const std::string& name, const Policy& policy = {}) const {
    return *Store().Create({.name = name, .policy = policy}, kNow);
  }
  Error OpenError() const {
    const Result<KeyStore> store = KeyStore::Open(path_);
    EXPECT_FALSE(store);
    return store ? Error() : store.error();
  }
  static mode_t ModeOf(const std::filesystem::path& path) {
    struct stat info{};
    EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 0777;
  }
  // In a process of its own, which must succeed.
  static void InAnotherProcess(const std::function<bool()>& act) {
    const pid_t child = fork();
    if (child == 0) _exit(act() ? 0 : 1);
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }

  const TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_.path() / "state" / "autoglm" / "keys.db";
};

TEST_F(KeyStoreTest, Key_IsListedWithAllButItsText) {
  const Policy policy{.tenant = "acme", .models = {"chat-*"}, .requests_per_minute = 60};
  const CreatedKey created = *Store().Create({.name = "ci", .policy = policy, .expires_at = kNow + std::chrono::hours(24)}, kNow);
  const std::vector<KeyRecord> records = *Store().List();
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].id, created.id);
  EXPECT_EQ(records[0].name, "ci");
  EXPECT_EQ(records[0].sha256, Sha256Of(created.text));
  EXPECT_THAT(created.text, EndsWith(records[0].last_four));
  EXPECT_THAT(records[0].last_four, SizeIs(4));
  EXPECT_EQ(records[0].policy, policy);
  EXPECT_EQ(records[0].created_at, kNow);
  EXPECT_EQ(records[0].expires_at, kNow + std::chrono::hours(24));
  EXPECT_FALSE(records[0].revoked_at);
}

TEST_F(KeyStoreTest, Files_HoldNoKeyAndAreTheOwnersOnly) {
  KeyStore store = Store();
  const std::string text = store.Create({.name = "ci"}, kNow)->text;
  int num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path_.parent_path())) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    EXPECT_THAT(bytes, Not(HasSubstr(text.substr(11, 20)))) << entry.path();
    EXPECT_EQ(ModeOf(entry.path()), 0600u) << entry.path();
    ++num_files;
  }
  EXPECT_EQ(num_files, 3) << "the database, its log and the log's index; nothing temporary";
  EXPECT_EQ(ModeOf(path_.parent_path()), 0700u);
  EXPECT_EQ(ModeOf(path_.parent_path().parent_path()), 0700u);
}

TEST_F(KeyStoreTest, RevokedKey_StaysListedWithItsFirstTime) {
  const CreatedKey key = Create("ci");
  EXPECT_EQ(Store().Revoke("ci", kNow)->id, key.id);
  EXPECT_EQ(Store().Revoke(key.id, kNow + std::chrono::hours(1))->revoked_at, kNow) << "by id, again";
  EXPECT_EQ(Store().Revoke("ci", kNow).error().code, ErrorCode::kNotFound) << "the name is free again";
  EXPECT_EQ(Store().Revoke("nobody", kNow).error().code, ErrorCode::kNotFound);
  ASSERT_THAT(*Store().List(), SizeIs(1));
  EXPECT_EQ(Store().List()->front().revoked_at, kNow);
}

TEST_F(KeyStoreTest, Name_IsTakenUntilItsKeyIsRevoked) {
  const CreatedKey first = Create("ci");
  const Result<CreatedKey> second = Store().Create({.name = "ci"}, kNow);
  EXPECT_THAT(second.error().message, HasSubstr(first.id + " is already called 'ci'"));
  EXPECT_FALSE(Store().Create({.name = first.id}, kNow)) << "an id is no name for another key";
  ASSERT_TRUE(Store().Revoke("ci", kNow));
  EXPECT_TRUE(Store().Create({.name = "ci"}, kNow));
}

TEST_F(KeyStoreTest, BadNamesAndPolicies_AreRefused) {
  for (const std::string& name : {std::string(), std::string("a\nb"), std::string(257, 'a'), std::string("\x1b[2J")}) {
    EXPECT_EQ(Store().Create({.name = name}, kNow).error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(Store().Create({.name = "a", .policy = {.max_concurrent = -1}}, kNow));
  EXPECT_FALSE(Store().Create({.name = "a", .policy = {.tenant = ""}}, kNow));
}

TEST_F(KeyStoreTest, NamesAreDataAndNoSql) {
  Create("'); DROP TABLE keys; --");
  EXPECT_THAT(*Store().List(), SizeIs(1));
  EXPECT_TRUE(Store().Revoke("'); DROP TABLE keys; --", kNow));
}

TEST_F(KeyStoreTest, SecretForTenants_IsKept) {
  const TenantSecret secret = Store().tenant_secret();
  EXPECT_EQ(Store().tenant_secret(), secret);
  std::filesystem::remove(path_);
  EXPECT_NE(Store().tenant_secret(), secret);
}

TEST_F(KeyStoreTest, OpenDoesNotCreate) {
  EXPECT_EQ(OpenError().code, ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(path_.parent_path()));
}

TEST_F(KeyStoreTest, WhatIsNoKeyDatabase_IsCorrupt) {
  Store();
  std::ofstream(path_) << "this is not a database, but it is longer than the header of one, which has a hundred bytes: "
                          "SQLite looks at all of them";
  EXPECT_EQ(OpenError().code, ErrorCode::kCorruptFile);
  EXPECT_THAT(OpenError().message, HasSubstr(path_.string() + ": file is not a database"));
  std::ofstream(path_).close();
  EXPECT_THAT(OpenError().message, HasSubstr("is not a database of keys")) << "an empty file";
}

TEST_F(KeyStoreTest, DamagedDatabase_IsCorrupt) {
  Create("ci");
  std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(4096 + 100);
  for (int i = 0; i < 20'000; ++i) file.put('\xff');
  file.close();
  EXPECT_EQ(OpenError().code, ErrorCode::kCorruptFile);
}

TEST_F(KeyStoreTest, DamagedPolicy_IsCorruptAndNamesTheKey) {
  const CreatedKey key = Create("ci");
  SqliteDatabase database = *SqliteDatabase::Open(path_, std::chrono::seconds(1));
  ASSERT_TRUE(database.Execute(R"(UPDATE keys SET policy = '{"max_images":1}')"));
  const auto records = Store().List();
  ASSERT_FALSE(records);
  EXPECT_EQ(records.error().code, ErrorCode::kCorruptFile);
  EXPECT_THAT(records.error().message, HasSubstr(key.id + ": max_images: is not known to this version"));
}

TEST_F(KeyStoreTest, OtherFormats_AreNamed) {
  Store();
  SqliteDatabase database = *SqliteDatabase::Open(path_, std::chrono::seconds(1));
  ASSERT_TRUE(database.Execute("PRAGMA user_version = 2"));
  EXPECT_EQ(OpenError().code, ErrorCode::kUnsupported);
  EXPECT_THAT(OpenError().message, HasSubstr("has format 2, and this version reads format 1"));
  ASSERT_TRUE(database.Execute("PRAGMA application_id = 7"));
  EXPECT_EQ(OpenError().code, ErrorCode::kCorruptFile) << "someone else's database";
}

TEST_F(KeyStoreTest, FileThatOthersMayOpen_IsRefused) {
  Store();
  chmod(path_.c_str(), 0640);
  EXPECT_EQ(OpenError().code, ErrorCode::kPermissionDenied);
  EXPECT_THAT(OpenError().message, HasSubstr("is open to other users (mode 640); chmod 600"));
}

TEST_F(KeyStoreTest, NoPermission_IsSaid) {
  Store();
  const auto without_rights = [this] {
    if (getuid() == 0 && seteuid(65534) != 0) return false;
    return !KeyStore::Open(path_) && !KeyStore::OpenOrCreate(folder_.path() / "new" / "keys.db");
  };
  chmod(folder_.path().c_str(), 0500);
  InAnotherProcess(without_rights);
  chmod(folder_.path().c_str(), 0700);
  std::filesystem::create_directories(folder_.path() / "folder.db");
  EXPECT_THAT(KeyStore::Open(folder_.path() / "folder.db").error().message, HasSubstr("it is not a file"));
}

TEST_F(KeyStoreTest, AnotherProcess_CreatesAndRevokesWhileThisOneHasItOpen) {
  KeyStore store = Store();
  const int64_t before = *store.DataVersion();
  EXPECT_EQ(*store.DataVersion(), before);
  InAnotherProcess([this] { return KeyStore::Open(path_)->Create({.name = "theirs"}, kNow).has_value(); });
  const int64_t after = *store.DataVersion();
  EXPECT_NE(after, before);
  ASSERT_THAT(*store.List(), SizeIs(1));
  InAnotherProcess([this] { return KeyStore::Open(path_)->Revoke("theirs", kNow).has_value(); });
  EXPECT_NE(*store.DataVersion(), after);
  EXPECT_TRUE(store.List()->front().revoked_at);
}

TEST_F(KeyStoreTest, ManyProcessesAtOnce_LoseNothing) {
  constexpr int kProcesses = 8;
  constexpr int kKeys = 10;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t child = fork();
    if (child == 0) {
      Result<KeyStore> store = KeyStore::OpenOrCreate(path_);  // all of them create it at the same time
      bool is_good = store.has_value();
      for (int k = 0; is_good && k < kKeys; ++k) {
        is_good = store->Create({.name = std::to_string(p) + "-" + std::to_string(k)}, kNow).has_value();
      }
      _exit(is_good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  std::set<std::string> ids;
  const std::vector<KeyRecord> records = *Store().List();
  for (const KeyRecord& record : records) ids.insert(record.id);
  EXPECT_THAT(ids, SizeIs(kProcesses * kKeys));
}

}  // namespace
}  // namespace autoglm
