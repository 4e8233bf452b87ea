#include "telemetry/line_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace autoglm {
namespace {

class LineWriterTest : public testing::Test {
 protected:
  LineWriterTest() {
    folder_ = std::filesystem::temp_directory_path() / ("autoglm_line_writer_test_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
  }
  ~LineWriterTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const char* name = "lines") const { return (folder_ / name).string(); }
  std::string Read(const char* name = "lines") const {
    std::ifstream stream(Path(name));
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }
  // Until the writer has written so much, however long that takes.
  void WaitForBytes(const char* name, uintmax_t num_bytes) const {
    std::error_code error;
    while (std::filesystem::file_size(Path(name), error) != num_bytes || error) std::this_thread::yield();
  }

  std::filesystem::path folder_;
};

TEST_F(LineWriterTest, Lines_AreAppendedInOrder) {
  std::ofstream(Path()) << "old\n";
  const auto writer = *LineWriter::Open({.file = Path()});
  for (int i = 0; i < 100; ++i) writer->Write(std::to_string(i) + "\n");
  writer->Close();
  EXPECT_TRUE(Read().starts_with("old\n0\n1\n2\n"));
  EXPECT_TRUE(Read().ends_with("98\n99\n"));
  EXPECT_EQ(writer->num_dropped(), 0);
}

TEST_F(LineWriterTest, RenamedFile_IsFollowedByANewOne) {
  const auto writer = *LineWriter::Open({.file = Path(), .mode = 0600});
  writer->Write("a\n");
  WaitForBytes("lines", 2);
  std::filesystem::rename(Path(), Path("lines.1"));
  writer->Write("b\n");
  WaitForBytes("lines", 2);
  std::filesystem::remove(Path());
  writer->Write("c\n");
  writer->Close();
  EXPECT_EQ(Read("lines.1"), "a\n");
  EXPECT_EQ(Read(), "c\n");
  EXPECT_EQ(std::filesystem::status(Path()).permissions(), std::filesystem::perms(0600));
}

TEST_F(LineWriterTest, FolderThatIsGone_CostsNothingUntilItIsBack) {
  std::filesystem::create_directory(folder_ / "sub");
  const auto writer = *LineWriter::Open({.file = Path("sub/lines")});
  std::filesystem::rename(folder_ / "sub", folder_ / "moved");
  writer->Write("a\n");
  WaitForBytes("moved/lines", 2);
  std::filesystem::create_directory(folder_ / "sub");
  writer->Write("b\n");
  writer->Close();
  EXPECT_EQ(Read("moved/lines"), "a\n");
  EXPECT_EQ(Read("sub/lines"), "b\n");
}

// A pipe that nobody reads takes 64 KiB, then its writer stands still.
TEST_F(LineWriterTest, ReaderThatStandsStill_BlocksNobodyAndDropsAreCounted) {
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  std::fstream reader(Path("pipe"), std::ios::in | std::ios::out);
  const auto writer = *LineWriter::Open({.file = Path("pipe"), .queue_size = 32});
  const std::string line(4096, 'x');
  for (int i = 0; i < 200; ++i) writer->Write(line);
  EXPECT_GE(writer->num_dropped(), 200 - 32 - 17);
  reader.close();  // what waits is refused now
  writer->Close();
  EXPECT_GE(writer->num_dropped(), 200 - 16);
}

}  // namespace
}  // namespace autoglm
