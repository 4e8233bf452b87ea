#include "cli/serve_command.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <fstream>
#include <future>
#include <mutex>
#include <optional>
#include <regex>
#include <sstream>
#include <thread>

#include "support/test_paths.h"

namespace autoglm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// An output stream that another thread can wait on.
class WatchedOutput : public std::stringbuf {
 public:
  // Waits until the output matches and returns the first group; nullopt where the writer closed it before.
  std::optional<std::string> WaitFor(const std::regex& pattern) {
    std::unique_lock lock(mutex_);
    std::smatch match;
    changed_.wait(lock, [&] { return closed_ || std::regex_search(flushed_, match, pattern); });
    return match.empty() ? std::nullopt : std::optional(match[1].str());
  }
  void Close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  std::string text() {
    const std::lock_guard lock(mutex_);
    return flushed_;
  }

 protected:
  int sync() override {
    const std::lock_guard lock(mutex_);
    flushed_ = str();
    changed_.notify_all();
    return 0;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string flushed_;
  bool closed_ = false;
};

// RunServe on a thread of its own, ended by signals as an operator would.
class RunningServer {
 public:
  explicit RunningServer(const ServeConfig& config) {
    result_ = std::async(std::launch::async, [this, config] {
      std::istringstream in;
      std::ostream out(&out_), err(&err_);
      Console console{.in = in, .out = out, .err = err};
      Result<int> exit_code = RunServe(config, console);
      err.flush();
      out_.Close();
      return exit_code;
    });
    const std::optional<std::string> port = out_.WaitFor(std::regex("Listening on http://127.0.0.1:(\\d+)"));
    if (port) port_ = std::stoi(*port);
  }

  int port() const { return port_; }
  std::string out() { return out_.text(); }
  std::string err() { return err_.text(); }
  Result<int> Wait() { return result_.get(); }
  Result<int> Stop() {
    kill(getpid(), SIGTERM);
    return Wait();
  }

  // A connected socket, to be closed by the caller.
  int Connect() const {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }
  // The raw answer to one request.
  std::string Request(const std::string& request) const {
    const int fd = Connect();
    EXPECT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL), std::ssize(request));
    std::string answer;
    char buffer[4096];
    for (ssize_t n = 0; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;) answer.append(buffer, static_cast<size_t>(n));
    close(fd);
    return answer;
  }
  std::string Get(const std::string& path) const {
    return Request("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  }
  std::string Post(const std::string& path, const std::string& body) const {
    return Request("POST " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " +
                   std::to_string(body.size()) + "\r\n\r\n" + body);
  }

 private:
  WatchedOutput out_, err_;
  std::future<Result<int>> result_;
  int port_ = 0;
};

std::filesystem::path LogFile() { return std::filesystem::path(testing::TempDir()) / "serve_command_test.log"; }

ServeConfig TinyModelConfig() {
  std::filesystem::remove(LogFile());
  ServeConfig config;
  config.models = {{.path = GoldenFile("gguf/llama.gguf")}};
  config.port = 0;
  config.threads = 1;
  config.kv_memory_bytes = 1 << 20;
  config.log_file = LogFile().string();
  return config;
}

std::string ReadLog() {
  std::ifstream in(LogFile());
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(ServeCommand, AnswersAndEndsCleanlyAtSigterm) {
  RunningServer server(TinyModelConfig());
  ASSERT_GT(server.port(), 0) << server.Wait().error().message;
  EXPECT_THAT(server.Get("/ready"), HasSubstr(" 200 "));
  EXPECT_THAT(server.Post("/v1/chat/completions",
                          R"({"model": "default", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4})"),
              AllOf(HasSubstr(" 200 "), HasSubstr("\"usage\"")));
  EXPECT_EQ(server.Stop(), 0);
  EXPECT_THAT(server.out(), AllOf(HasSubstr("  model      llama (llama, "), HasSubstr("  compute    1 thread, "),
                                  HasSubstr("KV memory  1020.0 KiB for 2720 tokens"), HasSubstr("curl http://127.0.0.1:")));
  EXPECT_THAT(ReadLog(), testing::ContainsRegex("\"event\": ?\"integrity_check\".*\"ok\": ?true"));
}

TEST(ServeCommand, ServesUnderTheNamesGiven) {
  ServeConfig config = TinyModelConfig();
  config.served_model_names = {"parrot", "bird"};
  RunningServer server(config);
  ASSERT_GT(server.port(), 0);
  EXPECT_THAT(server.Get("/v1/models"), AllOf(HasSubstr("\"parrot\""), HasSubstr("\"bird\"")));
  EXPECT_EQ(server.Stop(), 0);
}

// A port of this machine that somebody else listens on.
class TakenPort {
 public:
  TakenPort() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(fd_, 1), 0);
    socklen_t size = sizeof(address);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    number_ = ntohs(address.sin_port);
  }
  ~TakenPort() { close(fd_); }

  int number() const { return number_; }

 private:
  int fd_;
  int number_ = 0;
};

TEST(ServeCommand, PortInUseIsAnErrorThatNamesIt) {
  const TakenPort taken;
  ServeConfig config = TinyModelConfig();
  config.port = taken.number();
  RunningServer server(config);
  const Result<int> exit_code = server.Wait();
  ASSERT_FALSE(exit_code);
  EXPECT_THAT(exit_code.error().message, HasSubstr(std::to_string(taken.number())));
  EXPECT_EQ(server.out(), "");
}

TEST(ServeCommand, LogFileThatCannotBeOpenedIsAnError) {
  ServeConfig config = TinyModelConfig();
  config.log_file = "/nowhere/autoglm.log";
  RunningServer server(config);
  const Result<int> exit_code = server.Wait();
  ASSERT_FALSE(exit_code);
  EXPECT_THAT(exit_code.error().message, HasSubstr("/nowhere/autoglm.log"));
}

// A long stream in flight: SIGTERM drains, a second one does not wait for it.
TEST(ServeCommand, SecondSignalEndsAtOnce) {
  RunningServer server(TinyModelConfig());
  ASSERT_GT(server.port(), 0);
  const int fd = server.Connect();
  const std::string body = R"({"model": "default", "prompt": "a", "max_tokens": 400, "ignore_eos": true, "stream": true})";
  const std::string request =
      "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  ASSERT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL), std::ssize(request));
  kill(getpid(), SIGTERM);
  kill(getpid(), SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
  close(fd);
  EXPECT_THAT(ReadLog(), testing::ContainsRegex("\"event\": ?\"integrity_check\".*\"ok\": ?true"));
}

TEST(ServeCommand, MissingModelIsAnError) {
  ServeConfig config = TinyModelConfig();
  config.models = {{.path = "/nowhere/model.gguf"}};
  RunningServer server(config);
  const Result<int> exit_code = server.Wait();
  ASSERT_FALSE(exit_code);
  EXPECT_THAT(exit_code.error().message, HasSubstr("/nowhere/model.gguf"));
}

}  // namespace
}  // namespace autoglm
