#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "config/gateway_config.h"
#include "http/client.h"
#include "http/event_loop.h"

namespace autoglm::discovery {

// Called on the loop's thread; none may destroy the source.
struct SourceHooks {
  // All upstreams that there are, whenever they are others than before. A source that fails keeps the last list.
  std::function<void(std::vector<gateway::UpstreamConfig> upstreams)> on_change;
  // Once, until it is solved or another.
  std::function<void(const Error& problem)> on_problem;
};

// A place where upstreams are found: a file, DNS, Kubernetes. It looks on until it is destroyed, on the loop's thread.
class UpstreamSource {
 public:
  virtual ~UpstreamSource() = default;
};

// Errors: kInvalidArgument for what can never work. What may work later is told as a problem.
Result<std::unique_ptr<UpstreamSource>> StartSource(const gateway::DiscoveryConfig& config, http::EventLoop& loop,
                                                    http::Client& client, SourceHooks hooks);

}  // namespace autoglm::discovery
