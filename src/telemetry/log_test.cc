#include "telemetry/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace autoglm {
namespace {

using namespace std::string_literals;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class LogTest : public ::testing::Test {
 protected:
  LogTest() {
    folder_ = std::filesystem::temp_directory_path() / ("autoglm_log_test_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    options_.file = (folder_ / "log").string();
  }
  ~LogTest() override {
    StopLogging();
    std::filesystem::remove_all(folder_);
  }

  // What was logged since StartLogging, with the writer stopped.
  std::vector<std::string> StopAndReadLines() {
    StopLogging();
    std::ifstream file(options_.file);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

  std::filesystem::path folder_;
  LogOptions options_;
};

TEST_F(LogTest, JsonLine_HasTimeLevelEventAndFields) {
  ASSERT_TRUE(StartLogging(options_).has_value());
  Log(LogLevel::kWarning, "queue_full", {{"model", "smol"}, {"waiting", int64_t{7}}, {"share", 0.5}, {"draining", false}});
  const auto lines = StopAndReadLines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], MatchesRegex(R"(\{"ts":"20[0-9][0-9]-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+\.[0-9][0-9][0-9]Z",.*)"));
  EXPECT_THAT(lines[0],
              EndsWith(R"("level":"warning","event":"queue_full","model":"smol","waiting":7,"share":0.5,"draining":false})"));
}

TEST_F(LogTest, HostileText_StaysOneValidJsonLine) {
  ASSERT_TRUE(StartLogging(options_).has_value());
  const std::string hostile = "quote\" back\\ line\n\x01 nul\0 bad\xff\xc3 ok\xc3\xa9"s;
  Log(LogLevel::kInfo, "hostile", {{"text", hostile}, {"infinite", std::numeric_limits<double>::infinity()}});
  const auto lines = StopAndReadLines();
  ASSERT_EQ(lines.size(), 1u);
  const auto json = nlohmann::json::parse(lines[0]);
  const std::string text = json["text"];
  EXPECT_THAT(text, HasSubstr("\x01 nul\0 bad"s));
  EXPECT_THAT(text, HasSubstr("quote\" back\\ line\n"));
  EXPECT_THAT(text, HasSubstr("bad\xef\xbf\xbd\xef\xbf\xbd ok\xc3\xa9")) << "invalid bytes become U+FFFD";
  EXPECT_TRUE(json["infinite"].is_null());
}

TEST_F(LogTest, TextLine_QuotesOnlyWhatIsAmbiguous) {
  options_.json = false;
  ASSERT_TRUE(StartLogging(options_).has_value());
  Log(LogLevel::kInfo, "started", {{"host", "127.0.0.1"}, {"name", "two words"}, {"port", int64_t{80}}, {"empty", ""}});
  const auto lines = StopAndReadLines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], EndsWith(R"(Z info    started host=127.0.0.1 name="two words" port=80 empty="")"));
}

TEST_F(LogTest, LevelBelowTheOption_IsNotWritten) {
  options_.level = LogLevel::kWarning;
  ASSERT_TRUE(StartLogging(options_).has_value());
  Log(LogLevel::kInfo, "quiet");
  Log(LogLevel::kError, "loud");
  const auto lines = StopAndReadLines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], HasSubstr("loud"));
}

TEST_F(LogTest, WithoutAWriter_LogWritesNothing) {
  Log(LogLevel::kError, "nobody_listens");
  StopLogging();
  EXPECT_FALSE(std::filesystem::exists(options_.file));
}

TEST_F(LogTest, FileThatCannotBeOpened_IsAnError) {
  options_.file = (folder_ / "absent" / "log").string();
  const Status status = StartLogging(options_);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kIo);
  EXPECT_THAT(status.error().message, HasSubstr(options_.file));
}

TEST_F(LogTest, QueueOutOfBounds_IsAnError) {
  options_.queue_size = 0;
  EXPECT_EQ(StartLogging(options_).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(LogTest, ManyThreads_WriteWholeLines) {
  options_.queue_size = 1 << 16;
  ASSERT_TRUE(StartLogging(options_).has_value());
  const int64_t dropped_before = NumDroppedLogLines();
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int64_t t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int64_t i = 0; i < 1000; ++i) Log(LogLevel::kInfo, "line", {{"thread", t}, {"number", i}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto lines = StopAndReadLines();
  EXPECT_EQ(lines.size(), 4000u);
  for (const std::string& line : lines) EXPECT_TRUE(nlohmann::json::accept(line)) << line;
  EXPECT_EQ(NumDroppedLogLines(), dropped_before);
}

// A named pipe that nobody reads: the writer thread blocks in write(2) once the pipe is full.
class FullPipeTest : public LogTest {
 protected:
  FullPipeTest() {
    mkfifo(options_.file.c_str(), 0600);
    read_fd_ = open(options_.file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    fcntl(read_fd_, F_SETPIPE_SZ, 4096);
    fcntl(read_fd_, F_SETFL, 0);
  }
  ~FullPipeTest() override {
    if (read_fd_ >= 0) close(read_fd_);
  }

  std::string ReadToEnd() {
    std::string all;
    char buffer[4096];
    for (ssize_t n; (n = read(read_fd_, buffer, sizeof(buffer))) > 0;) all.append(buffer, static_cast<size_t>(n));
    return all;
  }

  int read_fd_ = -1;
};

TEST_F(FullPipeTest, CallersGoOn_OldestLinesAreDroppedAndCounted) {
  options_.queue_size = 10;
  ASSERT_TRUE(StartLogging(options_).has_value());
  const int64_t dropped_before = NumDroppedLogLines();
  constexpr int64_t kNumLines = 500;
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < kNumLines; ++i) Log(LogLevel::kInfo, "line", {{"number", i}});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5)) << "a caller waited for the pipe";
  const int64_t num_dropped = NumDroppedLogLines() - dropped_before;
  EXPECT_GT(num_dropped, 0);

  std::thread stopper(StopLogging);
  std::istringstream written(ReadToEnd());
  stopper.join();
  std::vector<int64_t> numbers;
  for (std::string line; std::getline(written, line);) numbers.push_back(nlohmann::json::parse(line)["number"]);
  EXPECT_EQ(std::ssize(numbers) + num_dropped, kNumLines) << "every line is either written or counted";
  EXPECT_EQ(numbers.back(), kNumLines - 1) << "the newest lines are the ones worth keeping";
}

TEST_F(FullPipeTest, StopLogging_WaitsAtMostASecond) {
  ASSERT_TRUE(StartLogging(options_).has_value());
  for (int64_t i = 0; i < 500; ++i) Log(LogLevel::kInfo, "line", {{"number", i}});
  const auto begin = std::chrono::steady_clock::now();
  StopLogging();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
  ReadToEnd();  // lets the writer that was left behind end
}

TEST_F(FullPipeTest, ReaderThatGoesAway_CostsLinesAndNotTheProcess) {
  ASSERT_TRUE(StartLogging(options_).has_value());
  const int64_t dropped_before = NumDroppedLogLines();
  close(std::exchange(read_fd_, -1));
  for (int64_t i = 0; i < 5; ++i) Log(LogLevel::kInfo, "line", {{"number", i}});
  StopLogging();
  EXPECT_EQ(NumDroppedLogLines(), dropped_before + 5);
}

}  // namespace
}  // namespace autoglm
