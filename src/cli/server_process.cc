#include "cli/server_process.h"

#include <csignal>

#include "cli/signal_watcher.h"

namespace autoglm {

Result<std::unique_ptr<LoggingScope>> LoggingScope::Start(const std::string& file, LogLevel level, LogFormat format,
                                                          const Console& console) {
  const bool is_read_by_people = console.err_is_terminal && file.empty();
  const bool json = format == LogFormat::kAuto ? !is_read_by_people : format == LogFormat::kJson;
  AUTOGLM_TRY_VOID(StartLogging({.level = level, .json = json, .file = file}));
  return std::unique_ptr<LoggingScope>(new LoggingScope());
}

void IgnoreBrokenPipes() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

std::vector<int> EndingSignals() {
  std::vector<int> signals = {SIGTERM};
  if (!IsIgnored(SIGINT)) signals.push_back(SIGINT);
  return signals;
}

}  // namespace autoglm
