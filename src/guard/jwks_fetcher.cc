#include "guard/jwks_fetcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "auth/jwk_set.h"

namespace autoglm::guard {
namespace {

constexpr size_t kMaxWaiting = 1000;
constexpr http::ClientTimeouts kTimeouts{.connect = std::chrono::milliseconds(2'000), .total = std::chrono::milliseconds(10'000)};

struct Target {
  http::Origin origin;
  std::string path;
};

Result<Target> ParseUrl(const std::string& url, const http::TlsClientOptions& tls) {
  const size_t scheme = url.find("://");
  const size_t path = scheme == std::string::npos ? scheme : url.find_first_of("/?#", scheme + 3);
  AUTOGLM_TRY(http::Origin origin, http::Origin::Parse(url.substr(0, path)));
  if (http::Origin::IsHttps(url)) {
    AUTOGLM_TRY(origin.tls, http::TlsContext::ForClient(tls));
  }
  const std::string rest = path == std::string::npos ? "/" : url.substr(path, url.find('#', path) - path);
  const bool is_clean = std::ranges::all_of(rest, [](char c) { return c > ' ' && c < 0x7f; });
  if (!is_clean)
    return Fail(ErrorCode::kInvalidArgument, fmt::format("'{}' has a path with characters that must be escaped", url));
  return Target{.origin = std::move(origin), .path = rest.starts_with('/') ? rest : "/" + rest};
}

}  // namespace

struct JwksFetcher::Core : std::enable_shared_from_this<Core> {
  struct Waiting {
    http::EventLoop* loop;
    std::function<void()> done;
  };

  Core(http::EventLoop& own_loop, JwksFetcherOptions own_options, Target own_target, const Clock& own_clock, SetKeys own_set_keys,
       GuardHooks own_hooks)
      : loop(own_loop),
        options(std::move(own_options)),
        target(std::move(own_target)),
        clock(own_clock),
        set_keys(std::move(own_set_keys)),
        hooks(std::move(own_hooks)),
        client(std::in_place, loop) {}

  // Any thread; nullopt for who does not wait.
  bool FetchForUnknownKey(std::optional<Waiting> who);
  void Begin();
  void End(const Result<http::Client::Answer>& answer);
  Status Take(const Result<http::Client::Answer>& answer) const;
  void Close();

  http::EventLoop& loop;
  const JwksFetcherOptions options;
  const Target target;
  const Clock& clock;
  const SetKeys set_keys;
  const GuardHooks hooks;

  std::optional<http::Client> client;  // nullopt: closed
  std::unique_ptr<http::ClientCall> call;
  http::EventLoop::Timer next;
  std::string last_problem;

  std::mutex mutex;  // for all below
  bool is_fetching = true;
  TimePoint next_unknown{};
  std::vector<Waiting> waiting;
};

// Whoever comes while keys are being fetched is served by that: they are newer than the token's arrival, or nearly so.
bool JwksFetcher::Core::FetchForUnknownKey(std::optional<Waiting> who) {
  const std::lock_guard lock(mutex);
  const bool is_due = clock.Now() >= next_unknown;
  if ((!is_fetching && !is_due) || waiting.size() >= kMaxWaiting) return false;
  if (who) waiting.push_back(*std::move(who));
  if (std::exchange(is_fetching, true)) return true;
  loop.Post([self = shared_from_this()] { self->Begin(); });
  return true;
}

void JwksFetcher::Core::Begin() {
  if (!client) return;
  {
    const std::lock_guard lock(mutex);
    is_fetching = true;
    next_unknown = clock.Now() + options.unknown_interval;
  }
  next.Cancel();
  http::ClientRequest request{.target = target.path, .timeouts = kTimeouts};
  request.headers.Add("Accept", "application/json");
  call = client->Fetch(target.origin, std::move(request), kMaxJwksBytes,
                       [this](const Result<http::Client::Answer>& answer) { End(answer); });
}

Status JwksFetcher::Core::Take(const Result<http::Client::Answer>& answer) const {
  if (!answer) return Fail(answer.error().code, fmt::format("{}: {}", options.url, answer.error().message));
  if (answer->head.status != 200) {
    return Fail(ErrorCode::kUnavailable, fmt::format("{} answers {}", options.url, answer->head.status));
  }
  return set_keys(answer->body);
}

void JwksFetcher::Core::End(const Result<http::Client::Answer>& answer) {
  const Status status = Take(answer);
  const std::string problem = status ? "" : status.error().message;
  const bool is_new = std::exchange(last_problem, problem) != problem;
  if (is_new && !status) hooks.on_problem(status.error());
  if (is_new && status) hooks.on_recovery("jwks");
  next = loop.CallAfter(status ? options.refresh : std::min(options.refresh, options.retry), [this] { Begin(); });

  std::vector<Waiting> told;
  {
    const std::lock_guard lock(mutex);
    is_fetching = false;
    told.swap(waiting);
  }
  for (Waiting& one : told) one.loop->Post(std::move(one.done));
}

void JwksFetcher::Core::Close() {
  next.Cancel();
  call.reset();
  client.reset();
  const std::lock_guard lock(mutex);
  waiting.clear();
}

Result<std::unique_ptr<JwksFetcher>> JwksFetcher::Start(http::EventLoop& loop, JwksFetcherOptions options, const Clock& clock,
                                                        SetKeys set_keys, GuardHooks hooks) {
  AUTOGLM_TRY(Target target, ParseUrl(options.url, options.tls));
  const auto core =
      std::make_shared<Core>(loop, std::move(options), std::move(target), clock, std::move(set_keys), std::move(hooks));
  core->Begin();
  return std::unique_ptr<JwksFetcher>(new JwksFetcher(core));
}

JwksFetcher::~JwksFetcher() { core_->Close(); }

bool JwksFetcher::FetchForUnknownKey(http::EventLoop& loop, std::function<void()> done) {
  return core_->FetchForUnknownKey(Core::Waiting{.loop = &loop, .done = std::move(done)});
}

void JwksFetcher::FetchForUnknownKey() { (void)core_->FetchForUnknownKey(std::nullopt); }

}  // namespace autoglm::guard
