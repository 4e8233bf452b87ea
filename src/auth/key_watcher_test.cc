#include "auth/key_watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "support/temporary_folder.h"

namespace autoglm {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::SizeIs;

class KeyWatcherTest : public testing::Test {
 protected:
  KeyStore Store() const { return *KeyStore::OpenOrCreate(path_); }
  std::string Create(const std::string& name) const { return Store().Create({.name = name}, WallTime())->text; }
  void Watch(std::vector<ConfiguredKey> configured = {}) {
    watcher_ = *KeyWatcher::Create(path_, std::move(configured), clock_,
                                   {.on_problem = [this](const Error& error) { problems_.push_back(error.message); }});
  }
  const KeyTable::Entry* Find(const std::string& key) {
    table_ = watcher_->Current();
    return table_->Find(Sha256Of(key));
  }

  const TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_.path() / "keys.db";
  ManualClock clock_;
  std::unique_ptr<KeyWatcher> watcher_;
  std::shared_ptr<const KeyTable> table_;
  std::vector<std::string> problems_;
};

TEST_F(KeyWatcherTest, Change_IsSeenAfterASecondAndNotBefore) {
  const std::string key = Create("ci");
  Watch();
  ASSERT_NE(Find(key), nullptr);
  ASSERT_TRUE(Store().Revoke("ci", WallTime()));
  clock_.Advance(999ms);
  EXPECT_FALSE(Find(key)->is_revoked);
  clock_.Advance(1ms);
  EXPECT_TRUE(Find(key)->is_revoked);
}

TEST_F(KeyWatcherTest, RevocationInAnotherProcess_IsSeen) {
  const std::string key = Create("ci");
  Watch();
  const pid_t child = fork();
  if (child == 0) _exit(KeyStore::Open(path_)->Revoke("ci", WallTime()) ? 0 : 1);
  int status = -1;
  waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  clock_.Advance(1s);
  EXPECT_TRUE(Find(key)->is_revoked);
}

TEST_F(KeyWatcherTest, WithoutChange_TheTableStaysTheSame) {
  Create("ci");
  Watch();
  const auto before = watcher_->Current();
  clock_.Advance(10s);
  EXPECT_EQ(watcher_->Current(), before);
}

TEST_F(KeyWatcherTest, Database_MayAppearBeReplacedAndGo) {
  Watch();
  EXPECT_TRUE(watcher_->Current()->is_empty());
  const std::string first = Create("first");
  clock_.Advance(1s);
  EXPECT_NE(Find(first), nullptr);

  std::filesystem::rename(path_, folder_.path() / "old.db");
  const std::string second = Create("second");
  clock_.Advance(1s);
  EXPECT_EQ(Find(first), nullptr);
  EXPECT_NE(Find(second), nullptr);

  std::filesystem::remove(path_);
  clock_.Advance(1s);
  EXPECT_EQ(Find(second), nullptr);
  EXPECT_THAT(problems_, SizeIs(0));
}

TEST_F(KeyWatcherTest, UnreadableDatabase_KeepsTheKeysAndIsReportedOnce) {
  const std::string key = Create("ci");
  Watch();
  std::filesystem::remove(path_);
  std::ofstream(path_) << std::string(200, 'x');
  std::filesystem::permissions(path_, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(1s);
    EXPECT_NE(Find(key), nullptr);
  }
  ASSERT_THAT(problems_, SizeIs(1));
  EXPECT_THAT(problems_[0], HasSubstr("file is not a database"));
  std::filesystem::remove(path_);
  const std::string other = Create("other");
  clock_.Advance(1s);
  EXPECT_NE(Find(other), nullptr);
}

TEST_F(KeyWatcherTest, ConfiguredKeys_StandBesideThoseOfTheDatabase) {
  const std::string key = Create("ci");
  Watch({{.name = "web", .sha256 = Sha256Of("web-secret")}, {.name = "again", .sha256 = Sha256Of(key)}});
  EXPECT_EQ(Find("web-secret")->principal->key_id, "file:web");
  EXPECT_EQ(Find(key)->principal->name, "ci") << "the database's word counts";
  ASSERT_TRUE(Store().Revoke("ci", WallTime()));
  clock_.Advance(1s);
  EXPECT_TRUE(Find(key)->is_revoked);
  EXPECT_FALSE(Find("web-secret")->is_revoked);
}

TEST_F(KeyWatcherTest, ManyThreads_AllSeeTheChange) {
  const std::string key = Create("ci");
  watcher_ = *KeyWatcher::Create(path_, {}, Clock::Real(), {});
  std::atomic<bool> is_revoked = false;
  constexpr int kThreads = 8;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      while (!is_revoked) {
        if (watcher_->Current()->Find(Sha256Of(key))->is_revoked) is_revoked = true;
      }
    });
  }
  const TimePoint start = Clock::Real().Now();
  ASSERT_TRUE(Store().Revoke("ci", WallTime()));
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(Seconds(Clock::Real().Now() - start), 10) << "a second, and what a busy machine adds";
}

}  // namespace
}  // namespace autoglm
