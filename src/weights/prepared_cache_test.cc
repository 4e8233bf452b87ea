#include "weights/prepared_cache.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <thread>
#include <vector>

#include "support/test_paths.h"

namespace autoglm {
namespace {

class PreparedCacheTest : public testing::Test {
 protected:
  PreparedCacheTest() { std::filesystem::remove_all(folder_); }
  ~PreparedCacheTest() override { std::filesystem::remove_all(folder_); }

  PreparedCache Cache(int64_t max_bytes = int64_t{1} << 30) const {
    return PreparedCache({.folder = folder_, .max_bytes = max_bytes});
  }
  static std::vector<std::byte> Image(int64_t bytes, unsigned seed = 1) {
    std::vector<std::byte> image(static_cast<size_t>(bytes));
    for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::byte>((i * 31 + seed) % 251);
    return image;
  }
  static std::vector<std::byte> Read(const PreparedImage& image, int64_t bytes) {
    std::vector<std::byte> read(static_cast<size_t>(bytes));
    EXPECT_EQ(pread(image.fd(), read.data(), read.size(), image.offset()), bytes);
    return read;
  }
  std::filesystem::path PathOf(const PreparedKey& key) const { return folder_ / key.FileName(); }
  std::vector<std::string> FilesLeft() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) names.push_back(entry.path().filename().string());
    return names;
  }

  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) / ("prepared_cache_" + std::to_string(getpid()));
  const PreparedKey key_ = PreparedKey::Of("a model");
  const CancelToken nobody_cancels_;
};

TEST_F(PreparedCacheTest, Stored_IsFoundWithTheSameBytes) {
  const std::vector<std::byte> image = Image(100'000);
  ASSERT_FALSE(Cache().Find(key_, std::ssize(image)));
  ASSERT_TRUE(Cache().Store(key_, image, nobody_cancels_));
  const auto found = Cache().Find(key_, std::ssize(image));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->offset() % (2 << 20), 0) << "huge pages need it";
  EXPECT_EQ(Read(*found, std::ssize(image)), image);
  EXPECT_THAT(FilesLeft(), testing::ElementsAre(key_.FileName()));
}

TEST_F(PreparedCacheTest, AnotherKeyOrSize_IsNotFound) {
  const std::vector<std::byte> image = Image(5000);
  ASSERT_TRUE(Cache().Store(key_, image, nobody_cancels_));
  EXPECT_FALSE(Cache().Find(PreparedKey::Of("another model"), 5000));
  EXPECT_FALSE(Cache().Find(key_, 5001));
  // The name alone does not make it another model's.
  const PreparedKey other = PreparedKey::Of("another model");
  std::filesystem::rename(PathOf(key_), PathOf(other));
  EXPECT_FALSE(Cache().Find(other, 5000));
}

TEST_F(PreparedCacheTest, DamagedHeadersAndShortFiles_CountAsAbsentAndAreReplaced) {
  const std::vector<std::byte> image = Image(70'000);
  for (int64_t at : {0, 8, 12, 16, 24, 40}) {  // magic, version, offset, size, key, checksum
    ASSERT_TRUE(Cache().Store(key_, image, nobody_cancels_));
    std::fstream file(PathOf(key_), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const char before = static_cast<char>(file.get());
    file.seekp(at);
    file.put(static_cast<char>(before ^ 1));
    file.close();
    EXPECT_FALSE(Cache().Find(key_, std::ssize(image))) << "byte " << at;
  }
  ASSERT_TRUE(Cache().Store(key_, image, nobody_cancels_));
  for (const int64_t bytes : {int64_t{0}, int64_t{47}, int64_t{2 << 20}, int64_t{(2 << 20) + 69'999}}) {
    std::filesystem::resize_file(PathOf(key_), static_cast<uintmax_t>(bytes));
    EXPECT_FALSE(Cache().Find(key_, std::ssize(image))) << bytes << " bytes";
  }
  ASSERT_TRUE(Cache().Store(key_, image, nobody_cancels_));
  EXPECT_TRUE(Cache().Find(key_, std::ssize(image)));
}

TEST_F(PreparedCacheTest, FoldersPipesAndLinksInItsPlace_CountAsAbsent) {
  std::filesystem::create_directories(PathOf(key_));
  EXPECT_FALSE(Cache().Find(key_, 10));
  std::filesystem::remove(PathOf(key_));
  ASSERT_EQ(mkfifo(PathOf(key_).c_str(), 0600), 0);
  EXPECT_FALSE(Cache().Find(key_, 10));
  std::filesystem::remove(PathOf(key_));
  std::filesystem::create_symlink("/etc/passwd", PathOf(key_));
  EXPECT_FALSE(Cache().Find(key_, 10));
}

TEST_F(PreparedCacheTest, LongestUnused_GoesFirstWhenTheCacheIsFull) {
  const std::vector<std::byte> image = Image(1 << 20);
  const auto key = [](int i) { return PreparedKey::Of("model " + std::to_string(i)); };
  const auto age = [&](int i, int hours) {
    std::filesystem::last_write_time(PathOf(key(i)), std::filesystem::file_time_type::clock::now() - std::chrono::hours(hours));
  };
  const int64_t room_for_three = (3 << 20) + (256 << 10);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(Cache(room_for_three).Store(key(i), image, nobody_cancels_));
    age(i, 10 - i);
  }
  ASSERT_TRUE(Cache(room_for_three).Find(key(0), std::ssize(image)));  // used now: 1 is the oldest
  ASSERT_TRUE(Cache(room_for_three).Store(key(3), image, nobody_cancels_));
  EXPECT_TRUE(Cache().Find(key(0), std::ssize(image)));
  EXPECT_FALSE(Cache().Find(key(1), std::ssize(image)));
  EXPECT_TRUE(Cache().Find(key(2), std::ssize(image)));
  EXPECT_TRUE(Cache().Find(key(3), std::ssize(image)));
}

TEST_F(PreparedCacheTest, ImageLargerThanTheCache_IsRefusedAndNothingIsRemoved) {
  ASSERT_TRUE(Cache().Store(key_, Image(5000), nobody_cancels_));
  const Status refused = Cache(100'000).Store(PreparedKey::Of("large"), Image(200'000), nobody_cancels_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(Cache().Find(key_, 5000));
}

TEST_F(PreparedCacheTest, Cancelled_LeavesNothing) {
  const CancelToken cancel;
  cancel.Cancel();
  const Status status = Cache().Store(key_, Image(5000), cancel);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
  EXPECT_THAT(FilesLeft(), testing::IsEmpty());
}

TEST_F(PreparedCacheTest, AnotherWriter_IsLeftAlone) {
  std::filesystem::create_directories(folder_);
  const std::string part = PathOf(key_).string() + ".part";
  const int fd = open(part.c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
  EXPECT_TRUE(Cache().Store(key_, Image(5000), nobody_cancels_)) << "it will be there without us";
  EXPECT_FALSE(Cache().Find(key_, 5000));
  EXPECT_TRUE(Cache().Store(PreparedKey::Of("other"), Image(5000), nobody_cancels_));
  EXPECT_TRUE(std::filesystem::exists(part)) << "a living writer's part is not abandoned";
  close(fd);
  EXPECT_TRUE(Cache().Store(key_, Image(5000), nobody_cancels_));
  EXPECT_TRUE(Cache().Find(key_, 5000));
  EXPECT_FALSE(std::filesystem::exists(part));
}

TEST_F(PreparedCacheTest, TwoWritersAtOnce_EndWithOneGoodFile) {
  const std::vector<std::byte> image = Image(3 << 20);
  for (int round = 0; round < 20; ++round) {
    std::filesystem::remove_all(folder_);
    std::vector<std::thread> writers;
    writers.reserve(4);
    for (int i = 0; i < 4; ++i) {
      writers.emplace_back([&] { EXPECT_TRUE(Cache().Store(key_, image, nobody_cancels_)); });
    }
    for (std::thread& writer : writers) writer.join();
    const auto found = Cache().Find(key_, std::ssize(image));
    ASSERT_TRUE(found);
    EXPECT_EQ(Read(*found, std::ssize(image)), image);
    EXPECT_THAT(FilesLeft(), testing::ElementsAre(key_.FileName()));
  }
}

// Runs `body` in a child process; its raw wait status.
template <typename Body>
int InChild(const Body& body, std::chrono::microseconds kill_after = std::chrono::hours(1)) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  if (kill_after < std::chrono::hours(1)) {
    std::this_thread::sleep_for(kill_after);
    kill(child, SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST_F(PreparedCacheTest, KilledWhileWriting_LeavesNoFileOrAGoodOne) {
  const std::vector<std::byte> image = Image(24 << 20);
  for (int round = 0; round < 12; ++round) {
    std::filesystem::remove_all(folder_);
    const auto store = [&] {
      if (!Cache().Store(key_, image, nobody_cancels_)) _exit(1);
    };
    InChild(store, std::chrono::microseconds(round * 1500));
    if (const auto found = Cache().Find(key_, std::ssize(image))) {
      EXPECT_EQ(Read(*found, std::ssize(image)), image);
    }
    // The next writer cleans up behind it, whatever it writes.
    ASSERT_TRUE(Cache().Store(PreparedKey::Of("next"), Image(5000), nobody_cancels_));
    for (const std::string& name : FilesLeft()) EXPECT_THAT(name, testing::EndsWith(".weights"));
  }
}

TEST_F(PreparedCacheTest, FullDisk_IsAnErrorAndLeavesNothing) {
  const std::vector<std::byte> image = Image(4 << 20);
  const int status = InChild([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{3 << 20, 3 << 20};  // ends within the image
    setrlimit(RLIMIT_FSIZE, &limit);
    const Status stored = Cache().Store(key_, image, nobody_cancels_);
    _exit(!stored && stored.error().code == ErrorCode::kResourceExhausted ? 7 : 1);
  });
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_THAT(FilesLeft(), testing::IsEmpty());
}

TEST_F(PreparedCacheTest, FolderThatCannotBeMade_IsAnError) {
  std::ofstream(folder_) << "a file";
  const Status status = Cache().Store(key_, Image(5000), nobody_cancels_);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kIo);
}

TEST_F(PreparedCacheTest, Writer_StoresInTheBackgroundOrGivesUp) {
  const std::vector<std::byte> image = Image(1 << 20);
  PreparedWriter writer({.folder = folder_}, key_, image);
  ASSERT_TRUE(writer.Join());
  EXPECT_TRUE(Cache().Find(key_, std::ssize(image)));
  {
    const PreparedWriter given_up({.folder = folder_}, PreparedKey::Of("other"), image);
  }
  for (const std::string& name : FilesLeft()) EXPECT_THAT(name, testing::EndsWith(".weights"));
}

}  // namespace
}  // namespace autoglm
