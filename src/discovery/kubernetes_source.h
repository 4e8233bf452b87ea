#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"
#include "discovery/endpoint_slices.h"
#include "discovery/kubernetes_service.h"
#include "discovery/source_report.h"
#include "discovery/upstream_source.h"

namespace autoglm::discovery {

struct KubernetesTimes {
  std::chrono::seconds watch{120};  // then it is asked anew: a connection that died silently is noticed
  std::chrono::milliseconds list_timeout{10'000};
  std::chrono::milliseconds first_retry{200};  // doubles with each failure, less a random part
  std::chrono::milliseconds longest_retry{30'000};
};

// The endpoints of a Kubernetes service: lists its EndpointSlices, then watches them. An orderly end of a watch goes on where it
// was; whatever else happens, all are listed anew after a while. The token is read for each request, since the cluster changes
// it.
class KubernetesSource final : public UpstreamSource, private http::ResponseReceiver {
 public:
  KubernetesSource(KubernetesService service, gateway::UpstreamConfig like, http::EventLoop& loop, http::Client& client,
                   SourceHooks hooks, const KubernetesTimes& times = {});

 private:
  void List();
  void OnList(const Result<http::Client::Answer>& answer);
  void Watch();
  void ListLater();
  void Failed(std::string_view action, const Error& error);

  Status BeginCall(std::string target, http::ClientRequest& request);

  // Of a watch.
  void OnHead(http::ResponseHead head) override;
  void OnBody(std::string_view bytes) override;
  void OnEnd() override;
  void OnFailure(const http::ClientError& error) override;
  Result<EndpointSlices::WatchEvent> ApplyLine(std::string_view line);

  KubernetesService service_;
  const gateway::UpstreamConfig like_;
  const KubernetesTimes times_;
  http::EventLoop& loop_;
  http::Client& client_;
  SourceReport report_;
  EndpointSlices slices_;
  Random random_;

  int num_failures_ = 0;  // one after the other
  TimePoint watch_begun_;
  std::string line_;  // that has come in part
  http::EventLoop::Timer timer_;
  std::unique_ptr<http::ClientCall> call_;
};

}  // namespace autoglm::discovery
