#include "kvstore/block_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <future>
#include <vector>

#include "support/temporary_folder.h"
#include "support/test_disk.h"

namespace autoglm {
namespace {

using testing::ElementsAre;

constexpr int64_t kBlockBytes = 20'000;
constexpr int64_t kChargedBytes = 20'480;  // whole pages

BlockKey Key(uint64_t i) { return {.high = i * 0x9e3779b97f4a7c15, .low = i}; }

std::vector<std::byte> Block(uint64_t i) {
  std::vector<std::byte> block(kBlockBytes);
  for (size_t k = 0; k < block.size(); ++k) block[k] = static_cast<std::byte>((k * 31 + i) % 251);
  return block;
}

class BlockStoreTest : public testing::Test {
 protected:
  std::unique_ptr<BlockStore> Open(BlockStoreOptions options = {}, std::string_view fingerprint = "a model") {
    std::promise<void> ready;
    options.folder = root_;
    options.files = disk_;
    options.on_ready = [&] { ready.set_value(); };
    auto store = BlockStore::Open(options, fingerprint, kBlockBytes, clock_);
    EXPECT_TRUE(store) << store.error().message;
    ready.get_future().wait();
    return *std::move(store);
  }
  // Queues blocks [first, first + count); how many were taken.
  static int Queue(BlockStore& store, uint64_t first, uint64_t count, const std::function<void()>& done) {
    static std::vector<std::vector<std::byte>> blocks = [] {
      std::vector<std::vector<std::byte>> made;
      made.reserve(100);
      for (uint64_t i = 0; i < 100; ++i) made.push_back(Block(i));
      return made;
    }();
    int taken = 0;
    for (uint64_t i = first; i < first + count; ++i) taken += store.Write(Key(i), blocks[i], done) ? 1 : 0;
    return taken;
  }
  // Writes blocks and waits for them.
  static void Write(BlockStore& store, uint64_t first, uint64_t count = 1) {
    std::atomic<int> done{0};
    const int taken = Queue(store, first, count, [&] { ++done; });
    while (done < taken) std::this_thread::yield();
  }
  // How many blocks of a chain come back, all of them with the right bytes.
  static int64_t Read(BlockStore& store, const std::vector<uint64_t>& chain, const CancelToken& cancel = {}) {
    std::vector<std::vector<std::byte>> blocks(chain.size(), std::vector<std::byte>(kBlockBytes));
    std::vector<BlockStore::ReadItem> items;
    items.reserve(chain.size());
    for (size_t i = 0; i < chain.size(); ++i) items.push_back({.key = Key(chain[i]), .block = blocks[i]});
    std::promise<int64_t> done;
    EXPECT_TRUE(store.Read(items, cancel, [&](int64_t num_read) { done.set_value(num_read); }));
    const int64_t num_read = done.get_future().get();
    for (int64_t i = 0; i < num_read; ++i) EXPECT_EQ(blocks[i], Block(chain[i])) << i;
    return num_read;
  }
  std::filesystem::path PathOf(uint64_t i, std::string_view fingerprint = "a model") const {
    return StoreFolder(root_, KvFingerprint::Of(fingerprint)).PathOf(Key(i));
  }
  // The block's file was last used so long ago.
  void Age(uint64_t i, int hours) const {
    std::filesystem::last_write_time(PathOf(i), std::filesystem::file_time_type::clock::now() - std::chrono::hours(hours));
  }
  std::vector<uint64_t> FilesOf(uint64_t end, std::string_view fingerprint = "a model") const {
    std::vector<uint64_t> there;
    for (uint64_t i = 0; i < end; ++i) {
      if (std::filesystem::exists(PathOf(i, fingerprint))) there.push_back(i);
    }
    return there;
  }

  const TemporaryFolder folder_;
  const std::filesystem::path root_ = folder_.path() / "kv";
  const std::shared_ptr<TestDisk> disk_ = std::make_shared<TestDisk>();
  ManualClock clock_;
};

TEST_F(BlockStoreTest, Written_IsContainedAndComesBack) {
  const auto store = Open();
  EXPECT_TRUE(store->Wants(Key(1)));
  EXPECT_FALSE(store->Contains(Key(1)));
  Write(*store, 1, 3);
  EXPECT_TRUE(store->Contains(Key(1)));
  EXPECT_FALSE(store->Wants(Key(1)));
  EXPECT_EQ(Read(*store, {1, 2, 3}), 3);
  EXPECT_EQ(store->stats().num_written, 3);
  EXPECT_EQ(store->stats().num_read, 3);
  EXPECT_EQ(store->stats().stored_bytes, 3 * (kBlockBytes + kBlockFileHeaderBytes));
}

TEST_F(BlockStoreTest, AnotherStoreLater_FindsWhatIsThere) {
  Write(*Open(), 1, 3);
  const auto store = Open();
  EXPECT_TRUE(store->Contains(Key(3)));
  EXPECT_EQ(Read(*store, {1, 2, 3}), 3);
}

TEST_F(BlockStoreTest, AnotherFingerprint_FindsNothing) {
  Write(*Open(), 1, 3);
  const auto store = Open({}, "another model");
  EXPECT_FALSE(store->Contains(Key(1)));
  EXPECT_EQ(Read(*store, {1}), 0);
  EXPECT_EQ(store->stats().num_damaged, 0);
}

TEST_F(BlockStoreTest, Chain_EndsAtTheFirstThatIsMissing) {
  const auto store = Open();
  Write(*store, 1, 4);
  std::filesystem::remove(PathOf(3));
  EXPECT_EQ(Read(*store, {1, 2, 3, 4}), 2);
  EXPECT_FALSE(store->Contains(Key(3))) << "found out";
  EXPECT_TRUE(store->Wants(Key(3)));
}

// The writer looks at what is there while the reader removes what is damaged: what was seen and then removed is not there.
TEST_F(BlockStoreTest, FileRemovedDuringALook_IsForgotten) {
  constexpr uint64_t kNumFiles = 3000;
  for (uint64_t i = 0; i < kNumFiles; ++i) {
    std::filesystem::create_directories(PathOf(i).parent_path());
    std::ofstream(PathOf(i)) << "damaged";
  }
  const auto store = Open();
  for (uint64_t i = 0; i < kNumFiles; ++i) EXPECT_EQ(Read(*store, {i}), 0);
  Write(*store, 1);  // the writer is done with looking
  for (uint64_t i = 2; i < kNumFiles; ++i) ASSERT_TRUE(store->Wants(Key(i))) << i;
}

TEST_F(BlockStoreTest, DamagedFile_IsRemovedCountedAndWrittenAnew) {
  const auto store = Open();
  Write(*store, 1, 2);
  std::filesystem::resize_file(PathOf(2), 500);
  EXPECT_EQ(Read(*store, {1, 2}), 1);
  EXPECT_EQ(store->stats().num_damaged, 1);
  EXPECT_FALSE(std::filesystem::exists(PathOf(2)));
  ASSERT_TRUE(store->Wants(Key(2)));
  Write(*store, 2);
  EXPECT_EQ(Read(*store, {1, 2}), 2);
}

TEST_F(BlockStoreTest, FileUnderAnothersName_IsNotUsed) {
  const auto store = Open();
  Write(*store, 1, 2);
  std::filesystem::copy_file(PathOf(1), PathOf(2), std::filesystem::copy_options::overwrite_existing);
  EXPECT_EQ(Read(*store, {2}), 0);
  EXPECT_EQ(store->stats().num_damaged, 1);
}

TEST_F(BlockStoreTest, Bound_TheLeastRecentlyUsedGo) {
  const auto store = Open({.max_bytes = 16 * kChargedBytes});
  Write(*store, 0, 16);
  for (uint64_t i = 0; i < 16; ++i) Age(i, i == 5 || i == 9 ? 10 : 1);
  Write(*store, 16);
  EXPECT_THAT(FilesOf(17), testing::Not(testing::Contains(5)));
  EXPECT_THAT(FilesOf(17), testing::Not(testing::Contains(9)));
  EXPECT_EQ(FilesOf(17).size(), 15u);
  EXPECT_FALSE(store->Contains(Key(5)));
  EXPECT_TRUE(store->Contains(Key(6)));
}

TEST_F(BlockStoreTest, BeginningOfAChain_GoesLast) {
  {
    const auto store = Open();
    Write(*store, 0, 6);
    for (uint64_t i = 0; i < 6; ++i) Age(i, 1);
    store->MarkUsed({Key(0), Key(1), Key(2), Key(3)});
  }
  const auto store = Open({.max_bytes = 4 * kChargedBytes});
  Write(*store, 6);
  EXPECT_THAT(FilesOf(7), ElementsAre(0, 1, 2, 6));
}

TEST_F(BlockStoreTest, Reading_CountsAsAUse) {
  {
    const auto store = Open();
    Write(*store, 0, 6);
    for (uint64_t i = 0; i < 6; ++i) Age(i, 1);
    EXPECT_EQ(Read(*store, {2, 4}), 2);
  }
  const auto store = Open({.max_bytes = 3 * kChargedBytes});
  Write(*store, 6);
  EXPECT_THAT(FilesOf(7), ElementsAre(2, 4, 6));
}

TEST_F(BlockStoreTest, FileTimesInTheFuture_HarmNothing) {
  const auto store = Open({.max_bytes = 4 * kChargedBytes});
  Write(*store, 0, 4);
  for (uint64_t i = 0; i < 4; ++i) Age(i, -1000);
  Write(*store, 4, 20);
  EXPECT_LE(FilesOf(24).size(), 4u);
  EXPECT_TRUE(std::filesystem::exists(PathOf(23)));
}

TEST_F(BlockStoreTest, TwoStoresInOneFolder_KeepToTheBoundTogether) {
  const BlockStoreOptions options{.max_bytes = 32 * kChargedBytes};
  const auto one = Open(options);
  const auto other = Open(options, "another model");
  std::thread writer([&] { Write(*one, 0, 60); });
  Write(*other, 0, 60);
  writer.join();
  EXPECT_GT(one->stats().num_written + other->stats().num_written, 110);
  EXPECT_LE(FilesOf(100).size() + FilesOf(100, "another model").size(), 32u + 2 * 3);
  EXPECT_EQ(one->stats().num_errors + other->stats().num_errors, 0);
}

TEST_F(BlockStoreTest, TwoStoresOfOneModel_ShareTheirFiles) {
  const auto one = Open();
  const auto other = Open();
  Write(*one, 0, 4);
  Write(*other, 0, 4);
  EXPECT_EQ(Read(*other, {0, 1, 2, 3}), 4);
  one->Erase(std::vector<BlockKey>{Key(2)});
  while (std::filesystem::exists(PathOf(2))) std::this_thread::yield();
  EXPECT_EQ(Read(*other, {0, 1, 2, 3}), 2);
  EXPECT_EQ(other->stats().num_damaged, 0);
}

TEST_F(BlockStoreTest, FolderThatIsDeleted_IsMadeAgain) {
  const auto store = Open();
  Write(*store, 0, 2);
  std::filesystem::remove_all(root_);
  EXPECT_EQ(Read(*store, {0, 1}), 0);
  Write(*store, 2, 2);
  EXPECT_EQ(Read(*store, {2, 3}), 2);
  EXPECT_EQ(store->stats().num_errors, 0);
}

TEST_F(BlockStoreTest, FilesThatAreDeleted_AreFoundOutTogether) {
  const auto store = Open();
  Write(*store, 0, 6);
  for (uint64_t i = 1; i < 5; ++i) std::filesystem::remove(PathOf(i));
  EXPECT_EQ(Read(*store, {0, 1, 2, 3, 4, 5}), 1);
  for (uint64_t i = 1; i < 5; ++i) EXPECT_TRUE(store->Wants(Key(i))) << i;
  EXPECT_TRUE(store->Contains(Key(5)));
}

TEST_F(BlockStoreTest, AfterAnError_LooksAtWhatIsThere) {
  const auto store = Open();
  Write(*store, 0, 2);
  disk_->is_full = true;
  Write(*store, 2);
  disk_->is_full = false;
  Write(*Open(), 3);  // by another process
  std::filesystem::remove(PathOf(0));
  clock_.Advance(std::chrono::seconds(31));
  Write(*store, 4);
  EXPECT_TRUE(store->Wants(Key(0)));
  for (uint64_t i : {1, 3, 4}) EXPECT_TRUE(store->Contains(Key(i))) << i;
}

TEST_F(BlockStoreTest, FullDisk_PausesWritingForAWhile) {
  const auto store = Open();
  disk_->is_full = true;
  Write(*store, 0);
  EXPECT_EQ(store->stats().num_errors, 1);
  EXPECT_FALSE(store->Wants(Key(1)));
  EXPECT_EQ(Queue(*store, 1, 1, [] {}), 0) << "pauses";
  clock_.Advance(std::chrono::seconds(29));
  EXPECT_FALSE(store->Wants(Key(1)));
  disk_->is_full = false;
  clock_.Advance(std::chrono::seconds(2));
  EXPECT_TRUE(store->Wants(Key(1)));
  Write(*store, 1);
  EXPECT_TRUE(store->Contains(Key(1)));
  EXPECT_EQ(store->stats().num_dropped, 2);
}

TEST_F(BlockStoreTest, SlowDisk_BlocksAreDroppedAndNobodyWaits) {
  const auto store = Open({.max_queued_writes = 4});
  disk_->is_stuck = true;
  std::atomic<int> done{0};
  const int taken = Queue(*store, 0, 20, [&] { ++done; });
  EXPECT_LE(taken, 5) << "one at work and four in the queue";
  EXPECT_GE(taken, 4);
  EXPECT_FALSE(store->Wants(Key(0))) << "it is at work";
  store->DropQueuedWrites();
  EXPECT_GE(done, taken - 1) << "only the one at work keeps its bytes";
  disk_->is_stuck = false;
  while (done < taken) std::this_thread::yield();
  EXPECT_TRUE(store->Wants(Key(19)));
}

TEST_F(BlockStoreTest, Cancelled_ReadsNoFurther) {
  const auto store = Open();
  Write(*store, 0, 2);
  const CancelToken cancel;
  cancel.Cancel();
  EXPECT_EQ(Read(*store, {0, 1}, cancel), 0);
  EXPECT_TRUE(store->Contains(Key(0)));
}

TEST_F(BlockStoreTest, Erased_IsGoneAlsoWhereItWasOnlyQueued) {
  const auto store = Open();
  Write(*store, 0, 2);
  disk_->is_stuck = true;
  std::atomic<int> done{0};
  EXPECT_EQ(Queue(*store, 2, 3, [&] { ++done; }), 3);
  store->Erase(std::vector<BlockKey>{Key(0), Key(2), Key(3)});
  EXPECT_FALSE(store->Contains(Key(0)));
  disk_->is_stuck = false;
  while (done < 3) std::this_thread::yield();
  while (!store->Contains(Key(4)) || std::filesystem::exists(PathOf(0))) std::this_thread::yield();
  EXPECT_THAT(FilesOf(10), ElementsAre(1, 4));
  EXPECT_FALSE(store->Contains(Key(2)));
}

TEST_F(BlockStoreTest, End_WritesWhatIsQueued) {
  Queue(*Open(), 0, 40, [] {});
  EXPECT_EQ(FilesOf(40).size(), 40u);
}

TEST_F(BlockStoreTest, End_GivesUpWhatTakesTooLong) {
  std::atomic<int> done{0};
  auto store = Open({.flush_limit = {}});
  disk_->is_stuck = true;
  EXPECT_EQ(Queue(*store, 0, 10, [&] { ++done; }), 10);
  std::thread end([&] { store.reset(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  disk_->is_stuck = false;
  end.join();
  EXPECT_EQ(done, 10) << "every callback has come";
  EXPECT_LE(FilesOf(10).size(), 2u);
}

TEST_F(BlockStoreTest, PartFilesOfTheKilled_AreRemoved) {
  Write(*Open(), 0);
  const std::filesystem::path part = PathOf(0).string() + ".part-abcdef";
  std::ofstream(part) << "half";
  std::filesystem::last_write_time(part, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  Open().reset();
  EXPECT_FALSE(std::filesystem::exists(part));
  EXPECT_THAT(FilesOf(1), ElementsAre(0));
}

TEST_F(BlockStoreTest, WhatIsNotOurs_IsLeftAlone) {
  Write(*Open(), 0, 8);
  const auto foreign = {root_ / "notes.txt", root_ / "0" / "11" / "x.kv", PathOf(0).parent_path() / "notes.kv"};
  for (const std::filesystem::path& path : foreign) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << "mine";
  }
  Write(*Open({.max_bytes = 2 * kChargedBytes}), 9);
  for (const std::filesystem::path& path : foreign) EXPECT_TRUE(std::filesystem::exists(path)) << path;
}

TEST_F(BlockStoreTest, FolderThatCannotBeMade_IsAnErrorAtOnce) {
  folder_.Write("kv", "a file");
  const auto store = BlockStore::Open({.folder = root_}, "a model", kBlockBytes, clock_);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::kIo);
  EXPECT_THAT(store.error().message, testing::HasSubstr(root_.string()));
}

TEST_F(BlockStoreTest, ReadSpeed_IsMeasuredAndDoubtedWhileItIsNot) {
  const auto store = *BlockStore::Open({.folder = root_, .files = disk_}, "a model", kBlockBytes, Clock::Real());
  const double guess = store->read_bytes_per_second();
  EXPECT_DOUBLE_EQ(guess, 500e6);
  Write(*store, 0);
  disk_->read_delay = std::chrono::milliseconds(5);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Read(*store, {0}), 1);
  const double measured = store->read_bytes_per_second();
  EXPECT_LT(measured, 50e6);
  store->DoubtReadSpeed();
  EXPECT_GT(store->read_bytes_per_second(), measured);
  for (int i = 0; i < 1000; ++i) store->DoubtReadSpeed();
  EXPECT_DOUBLE_EQ(store->read_bytes_per_second(), guess);
}

TEST_F(BlockStoreTest, ReadSpeed_OneSlowChainIsBelieved) {
  const auto store = *BlockStore::Open({.folder = root_, .files = disk_}, "a model", kBlockBytes, Clock::Real());
  Write(*store, 0, 4);
  disk_->read_delay = std::chrono::milliseconds(20);
  EXPECT_EQ(Read(*store, {0, 1, 2, 3}), 4);
  EXPECT_LT(store->read_bytes_per_second(), 10e6) << "1 MB/s, and the guess";
}

}  // namespace
}  // namespace autoglm
