#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "discovery/blocking_call.h"
#include "discovery/dns_lookup.h"
#include "discovery/source_report.h"
#include "discovery/upstream_source.h"

namespace autoglm::discovery {

// Asks DNS at an interval. A name that has no servers any more keeps the last list: a record that was lost is likelier than a
// service that was given up, and servers that are really gone fail their probes.
class DnsSource final : public UpstreamSource {
 public:
  using Look = std::function<Result<std::vector<FoundEndpoint>>()>;  // blocks, on any thread

  DnsSource(Look look, const gateway::DiscoveryConfig& config, http::EventLoop& loop, SourceHooks hooks);

 private:
  void LookUpNow();
  void On(const Result<std::vector<FoundEndpoint>>& found);

  const Look look_;
  const gateway::UpstreamConfig like_;
  const std::chrono::milliseconds interval_;
  http::EventLoop& loop_;
  SourceReport report_;
  std::optional<BlockingCall<Result<std::vector<FoundEndpoint>>>> call_;
  http::EventLoop::Timer timer_;
};

}  // namespace autoglm::discovery
