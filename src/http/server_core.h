#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <unordered_set>
#include <vector>

#include "http/server.h"

namespace autoglm::http {

class Connection;

// One I/O thread's own things; only that thread touches them (other threads may post to `context`).
struct IoThread {
  static constexpr size_t kScratchBytes = 64 << 10;

  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{context.get_executor()};
  std::unordered_set<Connection*> connections;
  // Sockets are read into here, so that an idle connection owns no buffer.
  std::vector<char> scratch = std::vector<char>(kScratchBytes);
};

// What all connections of a server share. Outlives them.
struct ServerCore {
  ServerOptions options;
  Server::Handler handler;
  std::atomic<int64_t> num_connections{0};
  std::atomic<int64_t> arriving_body_bytes{0};
  std::atomic<bool> is_draining{false};  // no new connections, answers close theirs
  std::atomic<bool> is_closing{false};   // the server is being destroyed
};

// What one body that is on its way takes of ServerOptions::max_arriving_body_bytes; given back at the end.
class BodyShare {
 public:
  explicit BodyShare(ServerCore& core) : core_(core) {}
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;
  ~BodyShare() { core_.arriving_body_bytes.fetch_sub(num_bytes_); }

  // False where all bodies together are too many now.
  bool GrowTo(int64_t num_bytes) {
    const int64_t num_new = num_bytes - num_bytes_;
    num_bytes_ = num_bytes;
    const int64_t total = core_.arriving_body_bytes.fetch_add(num_new) + num_new;
    return total <= core_.options.max_arriving_body_bytes || total == num_bytes;
  }

 private:
  ServerCore& core_;
  int64_t num_bytes_ = 0;
};

}  // namespace autoglm::http
