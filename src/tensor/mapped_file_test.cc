#include "tensor/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace autoglm {
namespace {

using ::testing::HasSubstr;

static_assert(!std::is_copy_constructible_v<MappedFile>);

class MappedFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "mapped_file_test.XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path Write(const std::string& name, const std::string& content) {
    const auto path = folder_ / name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  static std::string Text(std::span<const std::byte> bytes) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  // Which pages of the mapping this process has in its page table, from /proc (bit 63 = present).
  static size_t NumResidentPages(std::span<const std::byte> bytes) {
    const auto page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    std::ifstream pagemap("/proc/self/pagemap", std::ios::binary);
    size_t num_resident = 0;
    for (size_t offset = 0; offset < bytes.size(); offset += page_bytes) {
      uint64_t entry = 0;
      pagemap.seekg(static_cast<std::streamoff>((reinterpret_cast<uintptr_t>(bytes.data()) + offset) / page_bytes * 8));
      pagemap.read(reinterpret_cast<char*>(&entry), sizeof(entry));
      num_resident += entry >> 63;
    }
    return num_resident;
  }

  std::filesystem::path folder_;
};

TEST_F(MappedFileTest, Open_ShowsTheBytesOfTheFile) {
  const auto file = MappedFile::Open(Write("a", "hello"));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(Text(file->bytes()), "hello");
}

TEST_F(MappedFileTest, Open_EmptyFileHasNoBytes) {
  const auto file = MappedFile::Open(Write("empty", ""));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE(file->bytes().empty());
  file->DropPages(file->bytes());
}

TEST_F(MappedFileTest, Open_BytesOutliveTheFilesName) {
  const auto path = Write("a", "still here");
  const auto file = MappedFile::Open(path);
  std::filesystem::remove(path);
  EXPECT_EQ(Text(file->bytes()), "still here");
}

TEST_F(MappedFileTest, Open_MissingFileIsNotFoundAndNamed) {
  for (const auto& path : {folder_ / "missing", Write("a", "x") / "below_a_file"}) {
    const auto file = MappedFile::Open(path);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, ErrorCode::kNotFound);
    EXPECT_THAT(file.error().message, HasSubstr(path.string()));
  }
}

TEST_F(MappedFileTest, Open_FolderIsRefused) {
  const auto file = MappedFile::Open(folder_);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(file.error().message, HasSubstr("is a folder"));
}

TEST_F(MappedFileTest, Open_PipeIsRefusedWithoutWaitingForItsWriter) {
  const auto path = folder_ / "pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const auto file = MappedFile::Open(path);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(MappedFileTest, Open_UnreadableFileGivesTheSystemsReason) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const auto path = Write("secret", "x");
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  const auto file = MappedFile::Open(path);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, ErrorCode::kIo);
  EXPECT_THAT(file.error().message, HasSubstr("Permission denied"));
}

TEST_F(MappedFileTest, Move_HandsTheMappingOver) {
  auto a = MappedFile::Open(Write("a", "first"));
  auto b = MappedFile::Open(Write("b", "second"));
  MappedFile moved(std::move(*a));
  EXPECT_TRUE(a->bytes().empty());
  EXPECT_EQ(Text(moved.bytes()), "first");
  moved = std::move(*b);
  EXPECT_EQ(Text(moved.bytes()), "second");
  MappedFile& itself = moved;
  moved = std::move(itself);
  EXPECT_EQ(Text(moved.bytes()), "second");
}

TEST_F(MappedFileTest, DropPages_AnyRangeIsReadAgainWhenTouched) {
  const std::string content = std::string(20000, 'x') + "end";
  const auto file = MappedFile::Open(Write("pages", content));
  for (size_t begin : {0u, 1u, 4095u, 4096u, 5000u, 20002u}) {
    for (size_t num_bytes : {0u, 1u, 4096u, 20003u}) {
      file->DropPages(file->bytes().subspan(begin, std::min(num_bytes, content.size() - begin)));
      ASSERT_EQ(Text(file->bytes()), content) << begin << " " << num_bytes;
    }
  }
}

TEST_F(MappedFileTest, DropPages_FreesTheRange) {
  const auto page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const std::string content = std::string(page_bytes * 64, 'x') + "end";
  const auto file = MappedFile::Open(Write("pages", content));
  ASSERT_EQ(Text(file->bytes()), content);
  if (NumResidentPages(file->bytes()) == 0) GTEST_SKIP() << "this system does not tell which pages are mapped";
  ASSERT_EQ(NumResidentPages(file->bytes()), 65u);

  file->DropPages(file->bytes().subspan(page_bytes * 60 + 7));
  EXPECT_EQ(NumResidentPages(file->bytes().first(page_bytes * 60)), 60u);
  file->DropPages(file->bytes());
  EXPECT_EQ(NumResidentPages(file->bytes()), 0u);
  EXPECT_EQ(Text(file->bytes()), content);
}

using MappedFileDeathTest = MappedFileTest;

TEST_F(MappedFileDeathTest, DropPages_RangeOutsideTheFileIsABug) {
  const auto file = MappedFile::Open(Write("a", "hello"));
  const std::vector<std::byte> elsewhere(8);
  EXPECT_DEATH(file->DropPages(elsewhere), "range.data");
}

}  // namespace
}  // namespace autoglm
