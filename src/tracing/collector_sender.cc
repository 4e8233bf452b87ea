#include "tracing/collector_sender.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "config/tracing_config.h"

namespace autoglm {
namespace {

constexpr int kMaxTries = 4;
constexpr std::chrono::milliseconds kFirstPause{200};
constexpr std::chrono::milliseconds kPatience{5'000};
constexpr int64_t kMaxAnswerBytes = 64 << 10;

// OTLP: these may be tried again; Zipkin's collector answers 500 while its storage is away.
bool MayBeTriedAgain(int status) { return status == 429 || status >= 500; }

}  // namespace

Result<CollectorAddress> CollectorAddress::Parse(std::string_view url) {
  const std::string_view origin = OriginOfUrl(url);
  CollectorAddress address;
  AUTOGLM_TRY(address.origin, http::Origin::Parse(origin));
  if (http::Origin::IsHttps(url)) {
    AUTOGLM_TRY(address.origin.tls, http::TlsContext::ForClient({}));
  }
  address.path = url.substr(origin.size());
  while (address.path.ends_with('/')) address.path.pop_back();
  return address;
}

CollectorSender::CollectorSender(http::EventLoop& loop, CollectorAddress address)
    : loop_(loop), address_(std::move(address)), client_(loop, {.max_idle_per_origin = 2}) {}

CollectorSender::~CollectorSender() { call_.reset(); }

void CollectorSender::Send(Post post) {
  AUTOGLM_CHECK(!is_busy());
  current_ = std::make_unique<Post>(std::move(post));
  body_ = std::make_shared<const std::string>(std::move(current_->body));
  num_tries_ = 0;
  Try();
}

void CollectorSender::Try() {
  ++num_tries_;
  http::ClientRequest request{.method = "POST", .target = address_.path + current_->path};
  request.headers.Add("content-type", current_->content_type);
  for (const auto& [name, value] : address_.headers) request.headers.Add(name, value);
  request.body = body_;
  request.timeouts.total = kPatience;
  call_ = client_.Fetch(address_.origin, std::move(request), kMaxAnswerBytes,
                        [this](Result<http::Client::Answer> answer) { OnAnswer(std::move(answer)); });
}

void CollectorSender::OnAnswer(Result<http::Client::Answer> answer) {
  if (answer && answer->head.status >= 200 && answer->head.status < 300) return Finish(Outcome::kTaken);
  last_failure_ = answer ? fmt::format("{} answered {}", authority(), answer->head.status) : answer.error().message;
  if (answer && !MayBeTriedAgain(answer->head.status)) return Finish(Outcome::kRefused);
  if (num_tries_ >= kMaxTries) return Finish(Outcome::kGivenUp);
  pause_ = loop_.CallAfter(kFirstPause * (1 << (num_tries_ - 1)), [this] { Try(); });
}

void CollectorSender::Finish(Outcome outcome) {
  const std::unique_ptr<Post> post = std::move(current_);
  body_.reset();
  post->done(outcome);
}

}  // namespace autoglm
