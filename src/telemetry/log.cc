#include "telemetry/log.h"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <shared_mutex>
#include <utility>

#include "base/check.h"
#include "telemetry/active_request.h"
#include "telemetry/line_writer.h"
#include "telemetry/utc_time.h"

namespace autoglm {
namespace {

constexpr int kOff = 100;  // above every level

std::atomic<int> g_level{kOff};
std::atomic<bool> g_is_json{true};
std::atomic<int64_t> g_num_dropped{0};  // but for those the running writer counts

// Shared by callers while they push a line, exclusive while the writer is exchanged: both take microseconds, the pipe or
// disk behind the queue is never waited for.
std::shared_mutex g_mutex;
std::unique_ptr<LineWriter> g_writer;

thread_local const ActiveRequest* t_request = nullptr;  // whose lines this thread writes

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "";
}

// Invalid UTF-8 becomes U+FFFD, so that every line is valid JSON whatever a client sent.
std::string Quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// In a line for people only what could be mistaken is quoted.
std::string QuotedIfNeeded(std::string_view text) {
  std::string quoted = Quoted(text);
  const bool is_plain = !text.empty() && quoted.size() == text.size() + 2 && quoted.compare(1, text.size(), text) == 0 &&
                        text.find_first_of(" =") == std::string_view::npos;
  return is_plain ? std::string(text) : quoted;
}

// Numbers and booleans are written alike in both forms; JSON has no NaN or infinity, they become null.
std::string NumberText(const std::variant<std::string_view, int64_t, double, bool>& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return fmt::format("{}", *integer);
  if (const auto* real = std::get_if<double>(&value)) return nlohmann::json(*real).dump();
  return std::get<bool>(value) ? "true" : "false";
}

std::string JsonLine(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  std::string line = fmt::format(R"({{"ts":"{}","level":"{}","event":{})", FormatUtc(std::chrono::system_clock::now()),
                                 LevelName(level), Quoted(event));
  for (const LogField& field : fields) {
    const auto* text = std::get_if<std::string_view>(&field.value);
    line += ',';
    line += Quoted(field.name);
    line += ':';
    line += text != nullptr ? Quoted(*text) : NumberText(field.value);
  }
  if (t_request != nullptr) {
    line += fmt::format(R"(,"trace_id":"{}","span_id":"{}")", t_request->trace().Hex(), t_request->span().Hex());
  }
  line += "}\n";
  return line;
}

std::string TextLine(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  std::string line =
      fmt::format("{} {:<7} {}", FormatUtc(std::chrono::system_clock::now()), LevelName(level), QuotedIfNeeded(event));
  for (const LogField& field : fields) {
    const auto* text = std::get_if<std::string_view>(&field.value);
    line += ' ';
    line += QuotedIfNeeded(field.name);
    line += '=';
    line += text != nullptr ? QuotedIfNeeded(*text) : NumberText(field.value);
  }
  if (t_request != nullptr) line += fmt::format(" trace_id={}", t_request->trace().Hex());
  line += '\n';
  return line;
}

}  // namespace

Status StartLogging(const LogOptions& options) {
  AUTOGLM_TRY(std::unique_ptr<LineWriter> writer, LineWriter::Open({.file = options.file, .queue_size = options.queue_size}));
  {
    const std::unique_lock lock(g_mutex);
    AUTOGLM_CHECK(g_writer == nullptr);
    g_writer = std::move(writer);
  }
  g_is_json = options.json;
  g_level = static_cast<int>(options.level);
  return {};
}

void StopLogging() {
  g_level = kOff;
  std::unique_ptr<LineWriter> writer;
  {
    const std::unique_lock lock(g_mutex);
    writer = std::move(g_writer);
  }
  if (writer == nullptr) return;
  writer->Close();
  g_num_dropped += writer->num_dropped();
}

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (static_cast<int>(level) < g_level.load(std::memory_order_relaxed)) return;
  const std::string line = g_is_json ? JsonLine(level, event, fields) : TextLine(level, event, fields);
  std::shared_lock lock(g_mutex);
  if (g_writer != nullptr) g_writer->Write(line);
}

ScopedLogTrace::ScopedLogTrace(const ActiveRequest* request) : before_(std::exchange(t_request, request)) {}
ScopedLogTrace::~ScopedLogTrace() { t_request = before_; }

int64_t NumDroppedLogLines() {
  std::shared_lock lock(g_mutex);
  return g_num_dropped + (g_writer != nullptr ? g_writer->num_dropped() : 0);
}

}  // namespace autoglm
