#include "kvstore/block_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <thread>
#include <vector>

#include "support/temporary_folder.h"

namespace autoglm {
namespace {

class BlockFileTest : public testing::Test {
 protected:
  static std::vector<std::byte> Payload(size_t bytes = 5000) {
    std::vector<std::byte> payload(bytes);
    for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>((i * 31 + 7) % 251);
    return payload;
  }
  BlockRead Read(const BlockIdentity& identity, size_t bytes = 5000) {
    read_.assign(bytes, std::byte{0});
    return BlockFiles().Read(path_, identity, read_);
  }
  void WriteGood() { ASSERT_TRUE(BlockFiles().Write(path_, identity_, Payload())); }
  // Changes one byte of the file.
  void Damage(std::streamoff offset) const {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(offset);
    const int byte = file.get();
    file.seekp(offset);
    file.put(static_cast<char>(byte ^ 1));
  }
  int64_t NumFiles() const {
    int64_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) count += entry.is_regular_file();
    return count;
  }

  const TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_.path() / "a" / "b" / "block.kv";
  const BlockIdentity identity_{.fingerprint = KvFingerprint::Of("a model"), .key = {.high = 1, .low = 2}};
  std::vector<std::byte> read_;
};

TEST_F(BlockFileTest, Written_ComesBackWithTheSameBytes) {
  EXPECT_EQ(Read(identity_), BlockRead::kMissing);
  WriteGood();
  EXPECT_EQ(Read(identity_), BlockRead::kRead);
  EXPECT_EQ(read_, Payload());
  EXPECT_EQ(NumFiles(), 1) << "no part file";
}

TEST_F(BlockFileTest, AnyDamagedByte_IsSeen) {
  for (const std::streamoff offset : {0, 8, 12, 16, 24, 32, 40, 48, 56, 64, 72, 80, 81, 2000, 5079}) {
    WriteGood();
    Damage(offset);
    EXPECT_EQ(Read(identity_), BlockRead::kDamaged) << offset;
  }
}

TEST_F(BlockFileTest, CutOrGrown_IsSeen) {
  for (const uintmax_t size : {0, 79, 80, 5079, 5081, 100'000}) {
    WriteGood();
    std::filesystem::resize_file(path_, size);
    EXPECT_EQ(Read(identity_), BlockRead::kDamaged) << size;
  }
}

TEST_F(BlockFileTest, AnotherBlocksFile_IsNotTaken) {
  WriteGood();
  EXPECT_EQ(Read({identity_.fingerprint, {.high = 1, .low = 3}}), BlockRead::kDamaged);
  EXPECT_EQ(Read({KvFingerprint::Of("another model"), identity_.key}), BlockRead::kDamaged);
  EXPECT_EQ(Read(identity_, 4999), BlockRead::kDamaged);
}

TEST_F(BlockFileTest, WhatIsNoFile_IsNotTaken) {
  std::filesystem::create_directories(path_);
  EXPECT_EQ(Read(identity_), BlockRead::kDamaged) << "a folder";
  std::filesystem::remove(path_);
  std::filesystem::create_symlink("/etc/passwd", path_);
  EXPECT_EQ(Read(identity_), BlockRead::kDamaged) << "a link";
  std::filesystem::remove(path_);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(Read(identity_), BlockRead::kDamaged) << "a pipe";
}

TEST_F(BlockFileTest, FoldersAndFiles_AreForTheirOwnerAlone) {
  using std::filesystem::perms;
  WriteGood();
  EXPECT_EQ(std::filesystem::status(path_).permissions(), perms::owner_read | perms::owner_write);
  EXPECT_EQ(std::filesystem::status(path_.parent_path()).permissions(), perms::owner_all);
}

TEST_F(BlockFileTest, FullDisk_IsAnErrorAndLeavesNothing) {
  const pid_t child = fork();
  if (child == 0) {
    (void)signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{3000, 3000};  // ends within the payload
    setrlimit(RLIMIT_FSIZE, &limit);
    const Status status = BlockFiles().Write(path_, identity_, Payload());
    _exit(!status && status.error().code == ErrorCode::kResourceExhausted ? 7 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(NumFiles(), 0);
}

TEST_F(BlockFileTest, FolderThatIsDeletedMeanwhile_IsMadeAgain) {
  std::atomic<bool> stop{false};
  std::thread deleter([&] {
    std::error_code error;
    while (!stop) std::filesystem::remove_all(folder_.path() / "a", error);
  });
  for (int i = 0; i < 2000; ++i) {
    const Status status = BlockFiles().Write(path_, identity_, Payload());
    EXPECT_TRUE(status || status.error().code == ErrorCode::kNotFound) << status.error().message;
  }
  stop = true;
  deleter.join();
  for (int i = 0; i < 20; ++i) {
    std::filesystem::remove_all(folder_.path() / "a");
    EXPECT_TRUE(BlockFiles().Write(path_, identity_, Payload()));
  }
}

TEST_F(BlockFileTest, PartFiles_GoWhenNobodyWritesThem) {
  const std::filesystem::path part = folder_.Write("block.kv.part-abcdef", "half");
  const auto age = [&](int seconds) {
    std::filesystem::last_write_time(part, std::filesystem::file_time_type::clock::now() - std::chrono::seconds(seconds));
  };
  age(100);
  const int writer = open(part.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(writer, LOCK_EX | LOCK_NB), 0);
  RemoveIfAbandoned(part);
  EXPECT_TRUE(std::filesystem::exists(part)) << "somebody writes it";
  close(writer);
  age(10);
  RemoveIfAbandoned(part);
  EXPECT_TRUE(std::filesystem::exists(part)) << "somebody may be about to lock it";
  age(100);
  RemoveIfAbandoned(part);
  EXPECT_FALSE(std::filesystem::exists(part));
}

}  // namespace
}  // namespace autoglm
