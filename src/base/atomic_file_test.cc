#include "base/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/temporary_folder.h"

namespace autoglm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string Content(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<std::string> Names(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

// No file of this process grows beyond `num_bytes`, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t num_bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_limit_);
    const rlimit limit{.rlim_cur = num_bytes, .rlim_max = old_limit_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_limit_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_limit_{};
  void (*old_handler_)(int);
};

TEST(AtomicFile, Commit_TheFileAppearsWhole) {
  const TemporaryFolder folder;
  const auto target = folder.path() / "a";
  auto file = AtomicFile::Create(target);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE(file->Write(Bytes("hello ")));
  EXPECT_FALSE(std::filesystem::exists(target));
  AtomicFile moved = *std::move(file);
  ASSERT_TRUE(moved.Write(Bytes("world")));
  EXPECT_EQ(moved.num_bytes(), 11);
  ASSERT_TRUE(moved.Commit());
  EXPECT_EQ(Content(target), "hello world");
  EXPECT_THAT(Names(folder.path()), ElementsAre("a"));
}

TEST(AtomicFile, Commit_ReplacesTheOldFile) {
  const TemporaryFolder folder;
  const auto target = folder.Write("a", "old");
  auto file = AtomicFile::Create(target);
  ASSERT_TRUE(file->Reserve(100));
  ASSERT_TRUE(file->Write(Bytes("new")));
  EXPECT_EQ(Content(target), "old");
  ASSERT_TRUE(file->Commit());
  EXPECT_EQ(Content(target), "new");
}

TEST(AtomicFile, WithoutCommit_NothingIsLeft) {
  const TemporaryFolder folder;
  const auto target = folder.Write("a", "old");
  {
    auto file = AtomicFile::Create(target);
    ASSERT_TRUE(file->Write(Bytes("half")));
  }
  EXPECT_EQ(Content(target), "old");
  EXPECT_THAT(Names(folder.path()), ElementsAre("a"));
}

TEST(AtomicFile, FullDisk_IsAnErrorAndNothingIsLeft) {
  const TemporaryFolder folder;
  {
    auto file = AtomicFile::Create(folder.path() / "a");
    const FileSizeLimit limit(1000);
    const Status reserved = file->Reserve(2000);
    if (!reserved) {
      EXPECT_THAT(reserved.error().message, HasSubstr("cannot reserve 2000 bytes for"));
    }
    const Status written = file->Write(std::vector<std::byte>(2000));
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::kIo);
    EXPECT_THAT(written.error().message, HasSubstr("cannot write " + (folder.path() / "a").string()));
  }
  EXPECT_THAT(Names(folder.path()), IsEmpty());
}

TEST(AtomicFile, Create_FolderThatDoesNotTakeFiles) {
  const auto missing = AtomicFile::Create("/nowhere/a");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("cannot create /nowhere/a"));
  const auto refused = AtomicFile::Create("/proc/a");
  ASSERT_FALSE(refused);
}

TEST(AtomicFile, Commit_FolderInTheTargetsPlaceIsAnError) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() / "a" / "b");
  {
    auto file = AtomicFile::Create(folder.path() / "a");
    const Status committed = file->Commit();
    ASSERT_FALSE(committed);
    EXPECT_EQ(committed.error().code, ErrorCode::kIo);
  }
  EXPECT_THAT(Names(folder.path()), ElementsAre("a"));
}

}  // namespace
}  // namespace autoglm
