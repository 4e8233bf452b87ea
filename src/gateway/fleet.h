#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "discovery/registered_upstreams.h"
#include "gateway/gateway_state.h"
#include "gateway/route.h"
#include "http/client.h"
#include "http/event_loop.h"

namespace autoglm::gateway {

// Keeps routes' upstreams and what is known of them up to date: discovery, registration, probes, reports. All of it happens on a
// thread of its own.
class Fleet {
 public:
  explicit Fleet(uint64_t seed);
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  http::LoopThread& thread() { return thread_; }

  // The routes at work from now on. Those that were there before keep their probes and what was found for them.
  // Errors: of discovery that can never work, and of lists of registered upstreams that cannot be read; the routes are taken all
  // the same.
  Status SetRoutes(const GatewayState& state);

  // Upstreams that registered themselves for a route. nullptr where there is no such route. After a change, Refresh.
  discovery::RegisteredUpstreams* Registered(std::string_view route);
  void Refresh(std::string_view route);

 private:
  class WatchedRoute;
  Result<discovery::RegisteredUpstreams*> OpenRegistered(const std::string& route, const std::filesystem::path& folder);

  const uint64_t seed_;
  std::map<std::string, std::unique_ptr<WatchedRoute>, std::less<>> routes_;  // on the thread
  std::mutex mutex_;                                                          // of the next
  std::map<std::string, std::unique_ptr<discovery::RegisteredUpstreams>, std::less<>> registered_;
  std::optional<http::Client> client_;
  http::LoopThread thread_;
};

}  // namespace autoglm::gateway
