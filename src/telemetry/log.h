#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace autoglm {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogField {
  std::string_view name;
  std::variant<std::string_view, int64_t, double, bool> value;
};

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  bool json = true;          // one JSON object a line; false = "time level event key=value ..." for people
  std::string file;          // empty = standard error
  size_t queue_size = 8192;  // lines waiting for the writer; beyond it the oldest are dropped and counted
};

// Starts the background writer, which must not be running. Before it (and in tests) Log writes nothing. Errors: kIo (the
// file cannot be opened), kInvalidArgument (a queue size out of bounds).
Status StartLogging(const LogOptions& options);
// Writes what is queued, waiting at most a second, and stops the writer.
void StopLogging();

// Never blocks and never waits for the disk. `event` is a short snake_case name; values are escaped.
void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

class ActiveRequest;

// While it lives, lines that this thread logs carry the request's trace_id and span_id. Scopes nest; null: none.
class ScopedLogTrace {
 public:
  explicit ScopedLogTrace(const ActiveRequest* request);
  ~ScopedLogTrace();
  ScopedLogTrace(const ScopedLogTrace&) = delete;
  ScopedLogTrace& operator=(const ScopedLogTrace&) = delete;

 private:
  const ActiveRequest* const before_;
};

// Lines lost because the writer could not keep up, or because the file or pipe refused them.
int64_t NumDroppedLogLines();

}  // namespace autoglm
