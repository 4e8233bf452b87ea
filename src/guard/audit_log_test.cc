#include "guard/audit_log.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "json/json.h"
#include "support/temporary_folder.h"

namespace autoglm::guard {
namespace {

using namespace std::chrono_literals;

AuditRecord Record() {
  return {.time = WallTime(1'800'000'000'042ms),
          .request_id = "req-1",
          .peer = "10.0.0.7:4711",
          .key_id = "key-1",
          .tenant = "acme",
          .method = "POST",
          .path = "/v1/chat/completions",
          .model = "small",
          .status = 200,
          .upstream = "http://10.0.0.1:8000",
          .input_tokens = 12,
          .output_tokens = 34,
          .request_bytes = 567,
          .response_bytes = 890,
          .duration = 1'234'567us};
}

TEST(AuditLog, Line_HasWhoWhatAndHowItEnded) {
  EXPECT_EQ(AuditLog::LineOf(Record()),
            R"({"time":"2027-01-15T08:00:00.042Z","request_id":"req-1","peer":"10.0.0.7:4711","key":"key-1","tenant":"acme",)"
            R"("method":"POST","path":"/v1/chat/completions","model":"small","upstream":"http://10.0.0.1:8000","status":200,)"
            R"("input_tokens":12,"output_tokens":34,"request_bytes":567,"response_bytes":890,"duration_ms":1234.567})"
            "\n");
}

TEST(AuditLog, HostileText_StaysOneLineOfJson) {
  AuditRecord record = Record();
  record.model = "a\"b\\c\n\x01\xff{}";
  record.refusal = "the limit\r\nis reached";
  const std::string line = AuditLog::LineOf(record);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const Json json = *ParseJson(line);
  EXPECT_EQ(json["model"], "a\"b\\c\n\x01\uFFFD{}");
  EXPECT_EQ(json["refusal"], "the limit\r\nis reached");
}

TEST(AuditLog, ManyThreads_LoseNoLineAndMixNone) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "audit.log";
  constexpr int kThreads = 8;
  constexpr int kLines = 500;
  {
    const auto log = *AuditLog::Open(file);
    std::vector<std::thread> threads;
    threads.reserve(kThreads);
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < kLines; ++i) log->Add(Record());
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(log->num_dropped(), 0);
  }
  std::ifstream stream(file);
  int num_lines = 0;
  for (std::string line; std::getline(stream, line); ++num_lines) ASSERT_EQ(line + "\n", AuditLog::LineOf(Record()));
  EXPECT_EQ(num_lines, kThreads * kLines);
  EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms(0600));
}

TEST(AuditLog, FileThatCannotBeOpened_IsNamed) {
  EXPECT_EQ(AuditLog::Open("/nowhere/audit.log").error().code, ErrorCode::kIo);
  EXPECT_NE(AuditLog::Open("/nowhere/audit.log").error().message.find("/nowhere/audit.log"), std::string::npos);
}

}  // namespace
}  // namespace autoglm::guard
