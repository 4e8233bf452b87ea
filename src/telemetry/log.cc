#include "telemetry/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <future>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <shared_mutex>
#include <thread>
#include <utility>

#include "base/check.h"

namespace autoglm {
namespace {

constexpr size_t kMaxQueueSize = 1 << 20;  // lines, about 0.4 KB each
constexpr std::chrono::seconds kStopTimeout{1};
constexpr int kOff = 100;  // above every level

std::atomic<int> g_level{kOff};
std::atomic<bool> g_is_json{true};
std::atomic<int64_t> g_num_dropped{0};  // but for those the running writer's queue counts

// Writes lines as they are; spdlog's own sinks would buffer, or lock around a stream that other code uses too.
class FdSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit FdSink(int fd) : fd_(fd) {}
  ~FdSink() override {
    if (fd_ != STDERR_FILENO) close(fd_);
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    std::string_view left(message.payload.data(), message.payload.size());
    while (!left.empty()) {
      const ssize_t num_written = write(fd_, left.data(), left.size());
      if (num_written > 0) {
        left.remove_prefix(static_cast<size_t>(num_written));
      } else if (errno != EINTR) {
        g_num_dropped.fetch_add(1);
        return;
      }
    }
  }
  void flush_() override {}

  const int fd_;
};

// A reader that goes away must cost a line, not the process.
void BlockSigpipe() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

struct Writer {
  Writer(int fd, size_t queue_size)
      : sink(std::make_shared<FdSink>(fd)),
        pool(std::make_shared<spdlog::details::thread_pool>(queue_size, 1, BlockSigpipe)),
        logger(std::make_shared<spdlog::async_logger>("", sink, pool, spdlog::async_overflow_policy::overrun_oldest)) {
    logger->set_level(spdlog::level::trace);
  }

  int64_t num_overrun() const { return static_cast<int64_t>(pool->overrun_counter()); }

  const std::shared_ptr<FdSink> sink;
  const std::shared_ptr<spdlog::details::thread_pool> pool;
  const std::shared_ptr<spdlog::async_logger> logger;
};

// Shared by callers while they push a line, exclusive while the writer is exchanged: both take microseconds, the pipe or
// disk behind the queue is never waited for.
std::shared_mutex g_mutex;
std::unique_ptr<Writer> g_writer;

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

// RFC 3339, UTC, milliseconds.
std::string Timestamp() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                     utc.tm_min, utc.tm_sec, ms % 1000);
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
  std::string line = fmt::format(R"({{"ts":"{}","level":"{}","event":{})", Timestamp(), LevelName(level), Quoted(event));
  for (const LogField& field : fields) {
    const auto* text = std::get_if<std::string_view>(&field.value);
    line += ',';
    line += Quoted(field.name);
    line += ':';
    line += text != nullptr ? Quoted(*text) : NumberText(field.value);
  }
  line += "}\n";
  return line;
}

std::string TextLine(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  std::string line = fmt::format("{} {:<7} {}", Timestamp(), LevelName(level), QuotedIfNeeded(event));
  for (const LogField& field : fields) {
    const auto* text = std::get_if<std::string_view>(&field.value);
    line += ' ';
    line += QuotedIfNeeded(field.name);
    line += '=';
    line += text != nullptr ? QuotedIfNeeded(*text) : NumberText(field.value);
  }
  line += '\n';
  return line;
}

}  // namespace

Status StartLogging(const LogOptions& options) {
  if (options.queue_size < 1 || options.queue_size > kMaxQueueSize) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("The log queue must hold 1 to {} lines.", kMaxQueueSize));
  }
  int fd = STDERR_FILENO;
  if (!options.file.empty()) {
    fd = open(options.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) return Fail(ErrorCode::kIo, fmt::format("Cannot open log file {}: {}.", options.file, std::strerror(errno)));
  }
  try {
    auto writer = std::make_unique<Writer>(fd, options.queue_size);
    std::unique_lock lock(g_mutex);
    AUTOGLM_CHECK(g_writer == nullptr);
    g_writer = std::move(writer);
  } catch (const std::exception& error) {
    return Fail(ErrorCode::kInternal, fmt::format("Cannot start the log writer: {}.", error.what()));
  }
  g_is_json = options.json;
  g_level = static_cast<int>(options.level);
  return {};
}

void StopLogging() {
  g_level = kOff;
  std::unique_ptr<Writer> writer;
  {
    std::unique_lock lock(g_mutex);
    writer = std::move(g_writer);
    if (writer == nullptr) return;
    g_num_dropped += writer->num_overrun();
  }

  // Ending the pool writes what is queued, however long the file or pipe blocks; so it happens on a thread of its own that
  // is left behind when it takes too long.
  std::promise<void> stopped;
  const std::future<void> is_stopped = stopped.get_future();
  std::thread([last = std::move(writer), done = std::move(stopped)]() mutable {
    last.reset();
    done.set_value();
  }).detach();
  is_stopped.wait_for(kStopTimeout);
}

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (static_cast<int>(level) < g_level.load(std::memory_order_relaxed)) return;
  const std::string line = g_is_json ? JsonLine(level, event, fields) : TextLine(level, event, fields);
  std::shared_lock lock(g_mutex);
  if (g_writer != nullptr) g_writer->logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

int64_t NumDroppedLogLines() {
  std::shared_lock lock(g_mutex);
  return g_num_dropped + (g_writer != nullptr ? g_writer->num_overrun() : 0);
}

}  // namespace autoglm
