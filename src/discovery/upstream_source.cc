#include "discovery/upstream_source.h"

#include <utility>

#include "discovery/dns_source.h"
#include "discovery/file_source.h"
#include "discovery/kubernetes_source.h"

namespace autoglm::discovery {

Result<std::unique_ptr<UpstreamSource>> StartSource(const gateway::DiscoveryConfig& config, http::EventLoop& loop,
                                                    http::Client& client, SourceHooks hooks) {
  if (!config.file.empty()) return std::make_unique<FileSource>(config, loop, std::move(hooks));
  if (!config.dns.empty()) {
    AUTOGLM_TRY(const DnsQuery query, DnsQuery::Parse(config.dns));
    return std::make_unique<DnsSource>([query] { return LookUp(query); }, config, loop, std::move(hooks));
  }
  if (config.kubernetes) {
    AUTOGLM_TRY(KubernetesService service, KubernetesService::Of(*config.kubernetes, KubernetesEnvironment::OfProcess()));
    return std::make_unique<KubernetesSource>(std::move(service), config.like, loop, client, std::move(hooks));
  }
  return Fail(ErrorCode::kInvalidArgument, "a discovery needs one of file, dns and kubernetes");
}

}  // namespace autoglm::discovery
