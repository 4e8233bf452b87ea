#include "gateway/mirror_sender.h"

#include <utility>

#include "gateway/continuation.h"
#include "gateway/upstream_headers.h"

namespace autoglm::gateway {

// Takes itself out of the list when it is over.
class MirrorSender::Copy final : public http::ResponseReceiver {
 public:
  Copy(std::list<std::unique_ptr<Copy>>& copies, std::shared_ptr<Route> route, routing::Attempt routed)
      : copies_(copies), route_(std::move(route)), routed_(std::move(routed)), begun_(Clock::Real().Now()) {}

  void Begin(http::Client& client, const Upstream& upstream, http::ClientRequest request) {
    call_ = client.Send(upstream.origin, std::move(request), *this);
  }

  void OnHead(http::ResponseHead head) override { status_ = head.status; }
  void OnBody(std::string_view) override {
    if (!std::exchange(has_first_byte_, true)) routed_.OnFirstByte(Clock::Real().Now() - begun_);
  }
  void OnEnd() override { Leave(status_ < 500 ? routing::Outcome::kAnswered : routing::Outcome::kFailed); }
  void OnFailure(const http::ClientError&) override { Leave(routing::Outcome::kUnreachable); }

 private:
  void Leave(routing::Outcome outcome) {
    route_->metrics().ForUpstream(routed_.upstream()).requests.Count(status_);
    routed_.Finish(outcome);
    // Destroys this.
    copies_.remove_if([this](const auto& copy) { return copy.get() == this; });
  }

  std::list<std::unique_ptr<Copy>>& copies_;
  const std::shared_ptr<Route> route_;
  routing::Attempt routed_;
  const TimePoint begun_;
  bool has_first_byte_ = false;
  int status_ = 0;
  std::unique_ptr<http::ClientCall> call_;
};

MirrorSender::MirrorSender() = default;
MirrorSender::~MirrorSender() = default;

void MirrorSender::Send(http::Client& client, const std::shared_ptr<Route>& route, const AdmittedRequest& original) {
  if (copies_.size() >= kMaxCopies) return;
  const http::Request& request = *original.request;
  auto chosen = route->pool().Choose({.model = original.scan.model, .session = original.session});
  if (!chosen) return;
  const auto upstream = route->Find(chosen->upstream());
  if (upstream == nullptr) return;
  const TimeoutConfig& timeouts = route->config().timeouts;
  http::ClientRequest copy{.method = request.method, .target = request.path};
  if (!request.query.empty()) copy.target.append("?").append(request.query);
  copy.headers = UpstreamHeaders(request, upstream->config, {.request_id = original.request_id, .client_scheme = "http"});
  copy.headers.Add("x-gateway-mirror", "1");
  copy.body = {original.request, &request.body};
  if (!route->config().rewrite_model.empty() && original.scan.model_value.length > 0) {
    copy.body = std::make_shared<const std::string>(
        EditBody(request.body, {{.at = original.scan.model_value, .text = JsonText(route->config().rewrite_model)}}));
  }
  copy.timeouts = {.connect = timeouts.connect,
                   .first_byte = timeouts.first_token,
                   .between_bytes = timeouts.between_tokens,
                   .total = timeouts.total};
  copies_.push_back(std::make_unique<Copy>(copies_, route, *std::move(chosen)));
  copies_.back()->Begin(client, *upstream, std::move(copy));
}

}  // namespace autoglm::gateway
