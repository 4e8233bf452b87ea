#include "discovery/dns_source.h"

#include <utility>

namespace autoglm::discovery {

DnsSource::DnsSource(Look look, const gateway::DiscoveryConfig& config, http::EventLoop& loop, SourceHooks hooks)
    : look_(std::move(look)), like_(config.like), interval_(config.dns_interval), loop_(loop), report_(std::move(hooks)) {
  LookUpNow();
}

void DnsSource::LookUpNow() {
  call_.emplace(loop_, look_, [this](const Result<std::vector<FoundEndpoint>>& found) { On(found); });
}

void DnsSource::On(const Result<std::vector<FoundEndpoint>>& found) {
  call_.reset();
  timer_ = loop_.CallAfter(interval_, [this] { LookUpNow(); });
  if (!found) return report_.Failed(found.error());
  report_.Works();
  report_.Found(UpstreamsAt(*found, like_));
}

}  // namespace autoglm::discovery
