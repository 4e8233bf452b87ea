#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/console.h"
#include "telemetry/log.h"

namespace autoglm {

// What commands that serve until they are told to end have in common.

// kAuto: text where standard error is a terminal and no log file is named, JSON otherwise.
enum class LogFormat { kAuto, kText, kJson };

// The log while a server runs: what is queued is written on every way out.
class LoggingScope {
 public:
  // `file` empty: standard error. Errors: as StartLogging.
  static Result<std::unique_ptr<LoggingScope>> Start(const std::string& file, LogLevel level, LogFormat format,
                                                     const Console& console);
  ~LoggingScope() { StopLogging(); }
  LoggingScope(const LoggingScope&) = delete;
  LoggingScope& operator=(const LoggingScope&) = delete;

 private:
  LoggingScope() = default;
};

// A reader that goes away is an error of that write, not the end of the server; so is a file that may grow no further.
void IgnoreBrokenPipes();

// Signals that end a server. A shell ignores SIGINT for what it starts with "&": Ctrl-C is then meant for another program.
std::vector<int> EndingSignals();

}  // namespace autoglm
