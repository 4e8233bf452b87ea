#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "auth/wall_time.h"
#include "base/clock.h"
#include "base/result.h"
#include "telemetry/line_writer.h"

namespace autoglm::guard {

// What is kept of one request: who, what and how it ended, and nothing of what was said. Views must last for the call.
struct AuditRecord {
  WallTime time;  // when it arrived
  std::string_view request_id;
  std::string_view peer;
  std::string_view key_id;  // never the key
  std::string_view tenant;
  std::string_view method;
  std::string_view path;  // without its query, which may hold anything
  std::string_view model;
  int status = 0;
  std::string_view refusal;   // why it did not pass; empty: it did
  std::string_view upstream;  // that answered; empty: none was asked
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  int64_t request_bytes = 0;
  int64_t response_bytes = 0;
  Duration duration{};
};

// A JSON line a request, in a file of mode 0600 that may be rotated by renaming it. Any thread; adding never blocks: where the
// disk does not keep up, the oldest lines that wait are dropped and counted.
class AuditLog {
 public:
  // Errors: as LineWriter.
  static Result<std::unique_ptr<AuditLog>> Open(const std::filesystem::path& file);

  void Add(const AuditRecord& record) { writer_->Write(LineOf(record)); }
  int64_t num_dropped() const { return writer_->num_dropped(); }
  // Since it was asked last.
  int64_t TakeNumDropped() {
    const int64_t total = num_dropped();
    return total - num_taken_.exchange(total);
  }

  // With its line break. Fields of text that are empty are left out.
  static std::string LineOf(const AuditRecord& record);

 private:
  explicit AuditLog(std::unique_ptr<LineWriter> writer) : writer_(std::move(writer)) {}

  const std::unique_ptr<LineWriter> writer_;
  std::atomic<int64_t> num_taken_{0};
};

}  // namespace autoglm::guard
