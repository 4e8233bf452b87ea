#include "discovery/kubernetes_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text_file.h"
#include "http/tls.h"
#include "json/fields.h"

namespace autoglm::discovery {
namespace {

constexpr int64_t kListBytesMax = 64 << 20;
constexpr size_t kLineBytesMax = 8 << 20;  // an object of etcd has at most 1.5 MiB
constexpr int64_t kTokenBytesMax = 64 << 10;
constexpr JsonLimits kJsonLimits = {.max_bytes = kListBytesMax, .max_values = 4 << 20};
constexpr int kOkStatus = 200;
constexpr int kGoneStatus = 410;
constexpr std::chrono::seconds kUsualWatch{1};  // one that ends sooner is a failure: the next would, too

// The message of a Status object, or the body's beginning.
std::string ReasonIn(const std::string& body) {
  constexpr size_t kMostBytes = 200;
  const Result<Json> json = ParseJson(body);
  const Result<JsonFields> fields = json ? JsonFields::Of(*json) : tl::unexpected(json.error());
  const auto message = fields ? fields->String("message") : tl::unexpected(fields.error());
  return message && *message ? **message : body.substr(0, kMostBytes);
}

}  // namespace

KubernetesSource::KubernetesSource(KubernetesService service, gateway::UpstreamConfig like, http::EventLoop& loop,
                                   http::Client& client, SourceHooks hooks, const KubernetesTimes& times)
    : service_(std::move(service)),
      like_(std::move(like)),
      times_(times),
      loop_(loop),
      client_(client),
      report_(std::move(hooks)),
      slices_(service_.port_name),
      random_(static_cast<uint64_t>(Clock::Real().Now().time_since_epoch().count())) {
  timer_ = loop_.CallAfter(std::chrono::milliseconds(0), [this] { List(); });
}

Status KubernetesSource::BeginCall(std::string target, http::ClientRequest& request) {
  if (service_.is_https && service_.api_server.tls == nullptr) {
    AUTOGLM_TRY(service_.api_server.tls, http::TlsContext::ForClient({.ca = service_.ca_file}));
  }
  request.target = std::move(target);
  request.headers.Add("accept", "application/json");
  if (service_.token_file.empty()) return {};
  AUTOGLM_TRY(std::string token, ReadTextFile(service_.token_file, kTokenBytesMax));
  token.erase(token.find_last_not_of(" \r\n") + 1);
  request.headers.Add("authorization", "Bearer " + token);
  return {};
}

void KubernetesSource::List() {
  http::ClientRequest request{.timeouts = {.total = times_.list_timeout}};
  if (const Status status = BeginCall(service_.ListTarget(), request); !status) return Failed("list", status.error());
  call_ = client_.Fetch(service_.api_server, std::move(request), kListBytesMax,
                        [this](const Result<http::Client::Answer>& answer) { OnList(answer); });
}

void KubernetesSource::OnList(const Result<http::Client::Answer>& answer) {
  call_.reset();
  if (!answer) return Failed("list", answer.error());
  if (answer->head.status != kOkStatus) {
    return Failed("list", {.code = ErrorCode::kUnavailable,
                           .message = fmt::format("status {}: {}", answer->head.status, ReasonIn(answer->body))});
  }
  const Result<Json> list = ParseJson(answer->body, kJsonLimits);
  if (!list) return Failed("list", list.error());
  if (const Status status = slices_.Replace(*list); !status) return Failed("list", status.error());
  report_.Found(UpstreamsAt(slices_.Endpoints(), like_));
  Watch();
}

void KubernetesSource::Watch() {
  constexpr std::chrono::seconds kGrace{15};  // the server ends it; if it does not, it is gone
  http::ClientRequest request{.timeouts = {.first_byte = times_.list_timeout, .total = times_.watch + kGrace}};
  const Status status = BeginCall(service_.WatchTarget(slices_.resource_version(), times_.watch.count()), request);
  if (!status) return Failed("watch", status.error());
  line_.clear();
  watch_begun_ = Clock::Real().Now();
  call_ = client_.Send(service_.api_server, std::move(request), *this);
}

void KubernetesSource::ListLater() {
  call_.reset();
  const int num_doublings = std::min(num_failures_++, 20);
  const Duration longest = std::min<Duration>(times_.longest_retry, times_.first_retry * (int64_t{1} << num_doublings));
  timer_ = loop_.CallAfter(DurationFromSeconds(Seconds(longest) * (1 + random_.NextDouble()) / 2), [this] { List(); });
}

void KubernetesSource::Failed(std::string_view action, const Error& error) {
  service_.api_server.tls = nullptr;  // perhaps its authority was changed
  report_.Failed({.code = error.code,
                  .message = fmt::format("cannot {} the EndpointSlices of {}/{} at {}: {}", action, service_.namespace_name,
                                         service_.service, service_.api_server.authority, error.message)});
  ListLater();
}

// --- a watch

void KubernetesSource::OnHead(http::ResponseHead head) {
  if (head.status == kOkStatus) return report_.Works();
  if (head.status == kGoneStatus) return ListLater();
  Failed("watch", {.code = ErrorCode::kUnavailable, .message = fmt::format("status {}", head.status)});
}

void KubernetesSource::OnBody(std::string_view bytes) {
  const size_t num_searched = line_.size();
  line_.append(bytes);
  size_t begin = 0;
  bool has_changed = false;
  for (size_t end = line_.find('\n', num_searched); end != std::string::npos; end = line_.find('\n', begin)) {
    const auto event = ApplyLine(std::string_view(line_).substr(begin, end - begin));
    if (!event) return Failed("watch", event.error());
    if (*event == EndpointSlices::WatchEvent::kGone) return ListLater();
    has_changed |= *event == EndpointSlices::WatchEvent::kChange;
    begin = end + 1;
  }
  line_.erase(0, begin);
  if (begin > 0) num_failures_ = 0;
  if (line_.size() > kLineBytesMax) {
    return Failed("watch", {.code = ErrorCode::kPayloadTooLarge, .message = "an event is too large"});
  }
  if (has_changed) report_.Found(UpstreamsAt(slices_.Endpoints(), like_));
}

Result<EndpointSlices::WatchEvent> KubernetesSource::ApplyLine(std::string_view line) {
  AUTOGLM_TRY(const Json event, ParseJson(line, kJsonLimits));
  return slices_.Apply(event);
}

void KubernetesSource::OnEnd() {
  call_.reset();
  if (Clock::Real().Now() - watch_begun_ < kUsualWatch) return ListLater();
  num_failures_ = 0;
  Watch();
}

// Of no interest where listing works again.
void KubernetesSource::OnFailure(const http::ClientError& /*error*/) { ListLater(); }

}  // namespace autoglm::discovery
