#include "guard/audit_log.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <iterator>
#include <string>
#include <utility>

#include "json/json.h"
#include "telemetry/utc_time.h"

namespace autoglm::guard {
namespace {

constexpr size_t kQueueSize = 16'384;  // a second of a busy gateway, some 8 MB
// Of paths and the like, which clients make as long as they like: the queue is counted in lines.
constexpr size_t kMaxTextBytes = 256;

}  // namespace

Result<std::unique_ptr<AuditLog>> AuditLog::Open(const std::filesystem::path& file) {
  AUTOGLM_TRY(std::unique_ptr<LineWriter> writer,
              LineWriter::Open({.file = file.string(), .mode = 0600, .queue_size = kQueueSize}));
  return std::unique_ptr<AuditLog>(new AuditLog(std::move(writer)));
}

std::string AuditLog::LineOf(const AuditRecord& record) {
  std::string line = fmt::format(R"({{"time":"{}")", FormatUtc(record.time));
  const std::array<std::pair<std::string_view, std::string_view>, 9> texts = {{{"request_id", record.request_id},
                                                                               {"peer", record.peer},
                                                                               {"key", record.key_id},
                                                                               {"tenant", record.tenant},
                                                                               {"method", record.method},
                                                                               {"path", record.path},
                                                                               {"model", record.model},
                                                                               {"refusal", record.refusal},
                                                                               {"upstream", record.upstream}}};
  for (const auto& [name, text] : texts) {
    if (text.empty()) continue;
    fmt::format_to(std::back_inserter(line), R"(,"{}":")", name);
    AppendJsonEscaped(line, text.substr(0, kMaxTextBytes));
    line += '"';
  }
  fmt::format_to(
      std::back_inserter(line),
      R"(,"status":{},"input_tokens":{},"output_tokens":{},"request_bytes":{},"response_bytes":{},"duration_ms":{:.3f}}})",
      record.status, record.input_tokens, record.output_tokens, record.request_bytes, record.response_bytes,
      Seconds(record.duration) * 1000);
  line += '\n';
  return line;
}

}  // namespace autoglm::guard
