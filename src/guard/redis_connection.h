#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/gateway_config.h"
#include "guard/redis_reply.h"
#include "http/event_loop.h"

namespace autoglm::guard {

// Commands to one Redis, one behind the other without waiting for answers, over a connection that is made anew when it is lost:
// soon at first, then ever more slowly, up to every five seconds. It is lost, too, when an answer takes longer than the
// configured timeout or is out of bounds. On its loop's thread only, construction and destruction included.
class RedisConnection {
 public:
  using Done = std::function<void(Result<RedisReply>)>;

  struct Events {
    std::function<void()> on_ready = [] {};
    std::function<void(const Error&)> on_lost = [](const Error&) {};  // after each attempt that fails
  };

  using Command = std::vector<std::string>;

  // `greeting` goes before everything else on every connection; what Redis says to it does not matter.
  RedisConnection(http::EventLoop& loop, gateway::RedisConfig config, Events events, std::vector<Command> greeting = {});
  // What was asked is not answered any more. May happen within Done or an event.
  ~RedisConnection();
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  // False where there is no connection, or too much is waiting for answers: `done` does not come then. Else it comes once, never
  // from within Send, with what Redis says (its errors are replies) or kUnavailable. What is sent while the first connection is
  // being made waits for that.
  [[nodiscard]] bool Send(std::span<const std::string_view> arguments, Done done);

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

}  // namespace autoglm::guard
