#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <unordered_set>
#include <utility>
#include <vector>

#include "http/event_loop_core.h"
#include "http/server.h"

namespace autoglm::http {

class Connection;

// What a server has on one loop; only that loop's thread touches it.
struct IoThread {
  explicit IoThread(EventLoop& own_loop, Server::Handler own_handler) : loop(own_loop), handler(std::move(own_handler)) {}

  boost::asio::io_context& context() const { return loop.core().context; }
  std::vector<char>& scratch() const { return loop.core().scratch; }

  EventLoop& loop;
  const Server::Handler handler;
  std::unordered_set<Connection*> connections;
};

// What all connections of a server share. Outlives them.
struct ServerCore {
  ServerOptions options;
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
