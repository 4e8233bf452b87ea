#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "support/temporary_folder.h"

namespace autoglm {

// Whether `condition` came true within ten seconds. For what other processes do; everything else has a clock of its own.
inline bool WaitFor(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// A redis-server of its own for a test, on a free port of this machine, that keeps nothing.
class RedisServer {
 public:
  static bool IsInstalled() { return std::system("command -v redis-server >/dev/null 2>&1") == 0; }

  explicit RedisServer(std::vector<std::string> arguments = {}) : arguments_(std::move(arguments)), port_(FreePort()) { Start(); }
  ~RedisServer() { Kill(); }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  uint16_t port() const { return port_; }

  void Start() {
    pid_ = fork();
    AUTOGLM_CHECK(pid_ >= 0);
    if (pid_ == 0) Execute();
    AUTOGLM_CHECK(WaitFor([this] { return !Ask("PING").empty(); }));
  }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  // It neither answers nor hangs up.
  void Freeze() const { kill(pid_, SIGSTOP); }
  void Thaw() const { kill(pid_, SIGCONT); }

  // The text, the error or the number that Redis answers; empty where it does not, or nil.
  std::string Ask(const std::string& command) const {
    const std::unique_ptr<redisContext, decltype(&redisFree)> context(redisConnect("127.0.0.1", port_), redisFree);
    if (context == nullptr || context->err != 0) return "";
    const std::unique_ptr<redisReply, decltype(&freeReplyObject)> reply(
        static_cast<redisReply*>(redisCommand(context.get(), command.c_str())), freeReplyObject);
    if (reply == nullptr) return "";
    if (reply->type == REDIS_REPLY_INTEGER) return std::to_string(reply->integer);
    return reply->str == nullptr ? "" : std::string(reply->str, reply->len);
  }

 private:
  static uint16_t FreePort() {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t num_bytes = sizeof(address);
    AUTOGLM_CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), num_bytes) == 0);
    AUTOGLM_CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &num_bytes) == 0);
    close(fd);
    return ntohs(address.sin_port);
  }

  [[noreturn]] void Execute() {
    std::vector<std::string> words = {"redis-server",
                                      "--port",
                                      std::to_string(port_),
                                      "--bind",
                                      "127.0.0.1",
                                      "--save",
                                      "",
                                      "--appendonly",
                                      "no",
                                      "--dir",
                                      folder_.path(),
                                      "--logfile",
                                      (folder_.path() / "log").string()};
    words.insert(words.end(), arguments_.begin(), arguments_.end());
    std::vector<char*> pointers;
    pointers.reserve(words.size() + 1);
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    execvp("redis-server", pointers.data());
    _exit(127);
  }

  const TemporaryFolder folder_;
  const std::vector<std::string> arguments_;
  const uint16_t port_;
  pid_t pid_ = -1;
};

}  // namespace autoglm
