#include "telemetry/line_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <future>
#include <thread>
#include <utility>

namespace autoglm {
namespace {

constexpr size_t kMaxQueueSize = 1 << 20;  // lines, about 0.4 KB each
constexpr std::chrono::seconds kStopTimeout{1};

// A pipe that nobody reads is an error at once, and not a wait for a reader.
int OpenFile(const LineWriterOptions& options) {
  const int fd = open(options.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, options.mode);
  if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  return fd;
}

// Writes lines as they are; spdlog's own sinks would buffer, or lock around a stream that other code uses too.
class FdSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  FdSink(int fd, LineWriterOptions options) : fd_(fd), options_(std::move(options)) {}
  ~FdSink() override {
    if (fd_ != STDERR_FILENO) close(fd_);
  }

  int64_t num_failed() const { return num_failed_; }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    FollowRotation();
    std::string_view left(message.payload.data(), message.payload.size());
    while (!left.empty()) {
      const ssize_t num_written = write(fd_, left.data(), left.size());
      if (num_written > 0) {
        left.remove_prefix(static_cast<size_t>(num_written));
      } else if (errno != EINTR) {
        num_failed_.fetch_add(1);
        return;
      }
    }
  }
  void flush_() override {}

  // A call to the system a line, which is less than writing it costs. Where no new file can be opened, the old one goes on.
  void FollowRotation() {
    struct stat named{};
    struct stat opened{};
    if (options_.file.empty() || fstat(fd_, &opened) != 0) return;
    const bool is_there = stat(options_.file.c_str(), &named) == 0;
    if (is_there && named.st_dev == opened.st_dev && named.st_ino == opened.st_ino) return;
    const int fd = OpenFile(options_);
    if (fd < 0) return;
    close(fd_);
    fd_ = fd;
  }

  int fd_;
  const LineWriterOptions options_;
  std::atomic<int64_t> num_failed_{0};
};

// A reader that goes away must cost a line, not the process.
void BlockSigpipe() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

}  // namespace

struct LineWriter::State {
  State(int fd, const LineWriterOptions& options)
      : sink(std::make_shared<FdSink>(fd, options)),
        pool(std::make_shared<spdlog::details::thread_pool>(options.queue_size, 1, BlockSigpipe)),
        logger(std::make_shared<spdlog::async_logger>("", sink, pool, spdlog::async_overflow_policy::overrun_oldest)) {
    logger->set_level(spdlog::level::trace);
  }

  const std::shared_ptr<FdSink> sink;
  std::shared_ptr<spdlog::details::thread_pool> pool;  // nullptr: closed
  std::shared_ptr<spdlog::async_logger> logger;
  int64_t num_overrun = 0;  // once closed
};

LineWriter::LineWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<LineWriter>> LineWriter::Open(const LineWriterOptions& options) {
  if (options.queue_size < 1 || options.queue_size > kMaxQueueSize) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("The log queue must hold 1 to {} lines.", kMaxQueueSize));
  }
  const int fd = options.file.empty() ? STDERR_FILENO : OpenFile(options);
  if (fd < 0) return Fail(ErrorCode::kIo, fmt::format("Cannot open log file {}: {}.", options.file, std::strerror(errno)));
  try {
    return std::unique_ptr<LineWriter>(new LineWriter(std::make_unique<State>(fd, options)));
  } catch (const std::exception& error) {
    return Fail(ErrorCode::kInternal, fmt::format("Cannot start the log writer: {}.", error.what()));
  }
}

LineWriter::~LineWriter() { Close(); }

void LineWriter::Write(std::string_view line) {
  state_->logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

// Ending the pool writes what is queued, however long the file or pipe blocks; so it happens on a thread of its own that is left
// behind when it takes too long.
void LineWriter::Close() {
  if (state_->pool == nullptr) return;
  state_->num_overrun = static_cast<int64_t>(state_->pool->overrun_counter());
  std::promise<void> stopped;
  const std::future<void> is_stopped = stopped.get_future();
  std::thread([logger = std::move(state_->logger), pool = std::move(state_->pool), done = std::move(stopped)]() mutable {
    logger.reset();
    pool.reset();
    done.set_value();
  }).detach();
  is_stopped.wait_for(kStopTimeout);
}

int64_t LineWriter::num_dropped() const {
  const int64_t num_overrun =
      state_->pool == nullptr ? state_->num_overrun : static_cast<int64_t>(state_->pool->overrun_counter());
  return num_overrun + state_->sink->num_failed();
}

}  // namespace autoglm
