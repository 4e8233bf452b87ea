#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"

namespace autoglm::testing {

// A server that answers every request with the same bytes, right or wrong. One connection at a time, on 127.0.0.1.
class RawHttpServer {
 public:
  enum class Pieces { kWhole, kSingleBytes };

  RawHttpServer() : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    AUTOGLM_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    AUTOGLM_CHECK(listen(listener_, 16) == 0);
    socklen_t length = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  RawHttpServer(const RawHttpServer&) = delete;
  RawHttpServer& operator=(const RawHttpServer&) = delete;

  ~RawHttpServer() {
    shutdown(listener_, SHUT_RDWR);
    CloseConnections();
    thread_.join();
    close(listener_);
  }

  uint16_t port() const { return port_; }

  // From the next request on. The connection stays open.
  void Answer(std::string bytes, Pieces pieces = Pieces::kWhole) { SetAnswer({std::move(bytes), pieces, false}); }
  void AnswerAndClose(std::string bytes) { SetAnswer({std::move(bytes), Pieces::kWhole, true}); }

  void CloseConnections() {
    const std::lock_guard lock(mutex_);
    if (connection_ >= 0) shutdown(connection_, SHUT_RDWR);
  }

 private:
  struct Reply {
    std::string bytes;
    Pieces pieces = Pieces::kWhole;
    bool closes = false;
  };

  void SetAnswer(Reply reply) {
    const std::lock_guard lock(mutex_);
    reply_ = std::move(reply);
  }

  void Run() {
    for (;;) {
      const int accepted = accept(listener_, nullptr, nullptr);
      if (accepted < 0) return;
      SetConnection(accepted);
      while (ReadHead(accepted) && Send(accepted)) {
      }
      SetConnection(-1);
      close(accepted);
    }
  }

  void SetConnection(int connection) {
    const std::lock_guard lock(mutex_);
    connection_ = connection;
  }

  static bool ReadHead(int connection) {
    std::string head;
    char byte = 0;
    while (!head.ends_with("\r\n\r\n")) {
      if (recv(connection, &byte, 1, 0) != 1) return false;
      head.push_back(byte);
    }
    return true;
  }

  bool Send(int connection) {
    Reply reply;
    {
      const std::lock_guard lock(mutex_);
      reply = reply_;
    }
    const size_t step = reply.pieces == Pieces::kWhole ? reply.bytes.size() : 1;
    for (size_t at = 0; at < reply.bytes.size(); at += step) {
      if (send(connection, reply.bytes.data() + at, step, MSG_NOSIGNAL) < 0) return false;
    }
    return !reply.closes;
  }

  const int listener_;
  uint16_t port_ = 0;
  std::mutex mutex_;  // of the reply and the connection
  Reply reply_;
  int connection_ = -1;
  std::thread thread_;
};

}  // namespace autoglm::testing
