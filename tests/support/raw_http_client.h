#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace autoglm::testing {

struct RawResponse {
  int status = 0;                              // 0: the connection ended before a whole answer came
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// A blocking HTTP client that sends exactly the bytes it is given, for tests of what a well-behaved client never does.
// No call waits longer than ten seconds.
class RawHttpClient {
 public:
  explicit RawHttpClient(uint16_t port, int receive_buffer_bytes = 0) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    AUTOGLM_CHECK(fd_ >= 0);
    if (receive_buffer_bytes > 0) {
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
    }
    const timeval timeout{.tv_sec = 10, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    is_connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  RawHttpClient(RawHttpClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), is_connected_(other.is_connected_), input_(std::move(other.input_)) {}
  RawHttpClient(const RawHttpClient&) = delete;
  RawHttpClient& operator=(const RawHttpClient&) = delete;
  ~RawHttpClient() { Close(); }

  bool is_connected() const { return is_connected_; }

  // False when the server has closed.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  void CloseSendingSide() { shutdown(fd_, SHUT_WR); }
  // Closes with a RST instead of a FIN.
  void Reset() {
    const linger hard{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    Close();
  }

  // The next answer of this connection. An answer to HEAD has no body whatever its headers say.
  RawResponse ReadResponse() { return ReadResponseWithBody(true); }
  RawResponse ReadHeadResponse() { return ReadResponseWithBody(false); }

  // Reads until `text` has come; false when the connection ends before.
  bool ReadUntil(std::string_view text) {
    while (input_.find(text) == std::string::npos) {
      if (!ReadMore()) return false;
    }
    return true;
  }

  // Everything up to the end of the connection, with what was read and not yet used.
  std::string ReadToEnd() {
    while (ReadMore()) {
    }
    return std::exchange(input_, {});
  }

  // Waits up to `patience` for something to read.
  bool HasInput(std::chrono::milliseconds patience) {
    if (!input_.empty()) return true;
    pollfd poll_fd{.fd = fd_, .events = POLLIN, .revents = 0};
    return poll(&poll_fd, 1, static_cast<int>(patience.count())) > 0;
  }

  bool IsClosedByServer() { return ReadToEnd().empty() && !is_timed_out_; }

 private:
  bool ReadMore() {
    char buffer[65536];
    const ssize_t num_read = recv(fd_, buffer, sizeof(buffer), 0);
    is_timed_out_ = num_read < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    if (num_read <= 0) return false;
    input_.append(buffer, static_cast<size_t>(num_read));
    return true;
  }

  std::optional<std::string> TakeLine() {
    if (!ReadUntil("\r\n")) return std::nullopt;
    const size_t end = input_.find("\r\n");
    std::string line = input_.substr(0, end);
    input_.erase(0, end + 2);
    return line;
  }

  std::optional<std::string> TakeBytes(size_t num_bytes) {
    while (input_.size() < num_bytes) {
      if (!ReadMore()) return std::nullopt;
    }
    std::string bytes = input_.substr(0, num_bytes);
    input_.erase(0, num_bytes);
    return bytes;
  }

  bool TakeChunks(std::string& body) {
    for (;;) {
      const auto size_line = TakeLine();
      if (!size_line) return false;
      const size_t size = std::strtoul(size_line->c_str(), nullptr, 16);
      const auto chunk = TakeBytes(size + 2);
      if (!chunk) return false;
      if (size == 0) return true;
      body += chunk->substr(0, size);
    }
  }

  RawResponse ReadResponseWithBody(bool has_body) {
    RawResponse response;
    const auto status_line = TakeLine();
    if (!status_line || status_line->size() < 12) return {};
    response.status = std::atoi(status_line->c_str() + 9);
    for (;;) {
      const auto line = TakeLine();
      if (!line) return {};
      if (line->empty()) break;
      const size_t colon = line->find(": ");
      if (colon == std::string::npos) return {};
      std::string name = line->substr(0, colon);
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
      response.headers[name] = line->substr(colon + 2);
    }
    if (!has_body || response.status == 100 || response.status == 204) return response;
    if (response.headers.contains("transfer-encoding")) {
      if (!TakeChunks(response.body)) return {};
    } else if (response.headers.contains("content-length")) {
      auto body = TakeBytes(std::strtoul(response.headers["content-length"].c_str(), nullptr, 10));
      if (!body) return {};
      response.body = *std::move(body);
    } else {
      response.body = ReadToEnd();
    }
    return response;
  }

  int fd_ = -1;
  bool is_connected_ = false;
  bool is_timed_out_ = false;
  std::string input_;
};

}  // namespace autoglm::testing
