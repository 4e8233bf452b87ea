#include "http/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "http/client_connection.h"
#include "http/event_loop_core.h"
#include "http/header_names.h"

namespace autoglm::http {
namespace asio = boost::asio;
using boost::system::error_code;
using SteadyClock = std::chrono::steady_clock;

namespace {

constexpr std::chrono::seconds kSweepInterval{1};

class CallHandle final : public ClientCall {
 public:
  explicit CallHandle(std::shared_ptr<ClientConnection> connection)
      : connection_(std::move(connection)), call_(connection_->call()), was_reused_(connection_->was_used()) {}
  ~CallHandle() override { connection_->Cancel(call_); }

  void Pause() override { connection_->Pause(call_); }
  void Resume() override { connection_->Resume(call_); }
  bool was_connection_reused() const override { return was_reused_; }
  CallTimes times() const override { return connection_->TimesOf(call_); }

 private:
  const std::shared_ptr<ClientConnection> connection_;
  const uint64_t call_;
  const bool was_reused_;
};

class FetchCall final : public ClientCall, public ResponseReceiver {
 public:
  FetchCall(int64_t max_body_bytes, std::function<void(Result<Client::Answer>)> done)
      : max_body_bytes_(max_body_bytes), done_(std::move(done)) {}

  void Begin(std::unique_ptr<ClientCall> call) { call_ = std::move(call); }

  void Pause() override { call_->Pause(); }
  void Resume() override { call_->Resume(); }
  bool was_connection_reused() const override { return call_->was_connection_reused(); }
  CallTimes times() const override { return call_->times(); }

  void OnHead(ResponseHead head) override { answer_.head = std::move(head); }
  void OnBody(std::string_view bytes) override {
    if (static_cast<int64_t>(answer_.body.size() + bytes.size()) <= max_body_bytes_) {
      answer_.body.append(bytes);
      return;
    }
    call_.reset();
    Done(Fail(ErrorCode::kPayloadTooLarge, fmt::format("The answer is larger than {} bytes", max_body_bytes_)));
  }
  void OnEnd() override { Done(std::move(answer_)); }
  void OnFailure(const ClientError& error) override { Done(Fail(ErrorCode::kUnavailable, error.message)); }

 private:
  // May destroy this.
  void Done(Result<Client::Answer> answer) {
    const auto done = std::move(done_);
    done(std::move(answer));
  }

  const int64_t max_body_bytes_;
  std::function<void(Result<Client::Answer>)> done_;
  Client::Answer answer_;
  std::unique_ptr<ClientCall> call_;
};

}  // namespace

// --- the values

Result<Origin> Origin::Parse(std::string_view url) {
  const auto refuse = [url](std::string_view what) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("'{}' {}; expected http://HOST:PORT or https://HOST:PORT", url, what));
  };
  const bool is_https = IsHttps(url);
  constexpr std::string_view kHttp = "http://";
  if (!is_https && !LowerCase(url.substr(0, kHttp.size())).starts_with(kHttp)) return refuse("has no scheme that is known");
  std::string_view rest = url.substr(kHttp.size() + (is_https ? 1 : 0));
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#@ \t\r\n") != std::string_view::npos) return refuse("has more than a host and a port");

  Origin origin{.port = static_cast<uint16_t>(is_https ? 443 : 80)};
  const size_t bracket = rest.starts_with('[') ? rest.find(']') : std::string_view::npos;
  if (rest.starts_with('[') && bracket == std::string_view::npos) return refuse("has a bracket that is not closed");
  const size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const std::string_view name = rest.substr(0, colon);
  if (colon != std::string_view::npos) {
    const std::string_view port = rest.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), origin.port);
    if (error != std::errc() || end != port.data() + port.size() || origin.port == 0) return refuse("has no valid port");
  }
  origin.host = std::string(bracket == std::string_view::npos ? name : name.substr(1, bracket - 1));
  if (origin.host.empty()) return refuse("has no host");
  const bool is_usual_port = origin.port == (is_https ? 443 : 80);
  origin.authority = is_usual_port ? std::string(name) : fmt::format("{}:{}", name, origin.port);
  return origin;
}

bool Origin::IsHttps(std::string_view url) { return LowerCase(url.substr(0, 8)) == "https://"; }

std::string_view ResponseHead::Header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return value;
  }
  return {};
}

std::string_view ClientFailureName(ClientFailure failure) {
  switch (failure) {
    case ClientFailure::kConnect:
      return "connect";
    case ClientFailure::kConnectTimeout:
      return "connect_timeout";
    case ClientFailure::kClosedIdle:
      return "closed_idle";
    case ClientFailure::kClosed:
      return "closed";
    case ClientFailure::kCut:
      return "cut";
    case ClientFailure::kFirstByteTimeout:
      return "first_byte_timeout";
    case ClientFailure::kBetweenBytesTimeout:
      return "between_bytes_timeout";
    case ClientFailure::kTotalTimeout:
      return "total_timeout";
    case ClientFailure::kMalformed:
      return "malformed";
  }
  return "";
}

bool WasNeverSent(ClientFailure failure) {
  return failure == ClientFailure::kConnect || failure == ClientFailure::kConnectTimeout;
}

// --- the client

struct Client::Core {
  using Connections = std::vector<std::shared_ptr<ClientConnection>>;
  using Endpoints = std::vector<ClientConnection::Endpoint>;
  struct Name {
    std::vector<asio::ip::address> addresses;
    std::string failure;
    SteadyClock::time_point good_until{};
    bool is_being_resolved = false;
    Connections waiting;
  };

  Core(EventLoop& event_loop, ClientOptions client_options)
      : loop(event_loop.core()), options(client_options), resolver(loop.context), sweep_timer(loop.context) {
    hooks.on_idle = [this](const std::shared_ptr<ClientConnection>& connection) { Keep(connection); };
    hooks.on_closed = [this](ClientConnection& connection) { Forget(connection); };
  }

  std::shared_ptr<ClientConnection> TakeIdle(const Origin& origin);
  void Keep(const std::shared_ptr<ClientConnection>& connection);
  void Forget(ClientConnection& connection);
  void Resolve(const std::shared_ptr<ClientConnection>& connection);
  void OnResolved(const std::string& host, error_code error, const asio::ip::tcp::resolver::results_type& found);
  void ScheduleSweep();
  void Sweep();
  void CloseAll(Connections connections);

  EventLoop::Core& loop;
  const ClientOptions options;
  ClientConnection::Hooks hooks;
  std::unordered_map<std::string, Connections> idle;  // by authority; the last one was used last
  int64_t num_idle = 0;
  std::unordered_map<std::string, Name> names;
  asio::ip::tcp::resolver resolver;
  asio::steady_timer sweep_timer;
  bool is_sweeping = false;
};

Client::Client(EventLoop& loop, ClientOptions options) : core_(std::make_shared<Core>(loop, options)) {}

Client::~Client() {
  core_->resolver.cancel();
  core_->sweep_timer.cancel();
  for (auto& [authority, connections] : std::exchange(core_->idle, {})) core_->CloseAll(std::move(connections));
}

std::unique_ptr<ClientCall> Client::Send(const Origin& origin, ClientRequest request, ResponseReceiver& receiver) {
  const SteadyClock::time_point now = SteadyClock::now();
  std::shared_ptr<ClientConnection> connection = core_->TakeIdle(origin);
  const bool is_new = connection == nullptr;
  if (is_new) connection = std::make_shared<ClientConnection>(core_->loop, origin, core_->options.max_head_bytes, core_->hooks);
  connection->Begin(std::move(request), receiver, now);
  auto handle = std::make_unique<CallHandle>(connection);
  if (is_new) core_->Resolve(connection);
  return handle;
}

std::unique_ptr<ClientCall> Client::Fetch(const Origin& origin, ClientRequest request, int64_t max_body_bytes,
                                          std::function<void(Result<Answer>)> done) {
  auto fetch = std::make_unique<FetchCall>(max_body_bytes, std::move(done));
  fetch->Begin(Send(origin, std::move(request), *fetch));
  return fetch;
}

void Client::CloseIdle(const Origin& origin) {
  const auto found = core_->idle.find(origin.authority);
  if (found != core_->idle.end()) core_->CloseAll(std::exchange(found->second, {}));
}

int64_t Client::num_idle() const { return core_->num_idle; }

std::shared_ptr<ClientConnection> Client::Core::TakeIdle(const Origin& origin) {
  const auto found = idle.find(origin.authority);
  if (found == idle.end()) return nullptr;
  Connections& connections = found->second;
  // The one used last: its caches are warm, and those that are not needed grow old.
  for (size_t i = connections.size(); i-- > 0;) {
    if (connections[i]->origin().tls != origin.tls) continue;
    auto taken = std::move(connections[i]);
    connections.erase(connections.begin() + static_cast<std::ptrdiff_t>(i));
    --num_idle;
    return taken;
  }
  return nullptr;
}

void Client::Core::Keep(const std::shared_ptr<ClientConnection>& connection) {
  Connections& connections = idle[connection->origin().authority];
  connections.push_back(connection);
  ++num_idle;
  if (connections.size() > options.max_idle_per_origin) {
    const auto oldest = connections.front();
    oldest->Close();
  }
  if (!is_sweeping) ScheduleSweep();
}

void Client::Core::Forget(ClientConnection& connection) {
  const auto found = idle.find(connection.origin().authority);
  if (found == idle.end()) return;
  const auto is_it = [&connection](const auto& one) { return one.get() == &connection; };
  num_idle -= static_cast<int64_t>(std::erase_if(found->second, is_it));
}

void Client::Core::CloseAll(Connections connections) {
  num_idle -= static_cast<int64_t>(connections.size());
  for (const auto& connection : connections) connection->Close();
}

void Client::Core::ScheduleSweep() {
  is_sweeping = true;
  sweep_timer.expires_after(kSweepInterval);
  sweep_timer.async_wait([this](error_code error) {
    if (!error) Sweep();
  });
}

void Client::Core::Sweep() {
  const auto oldest = SteadyClock::now() - options.idle_timeout;
  for (auto& [authority, connections] : idle) {
    const auto is_old = [oldest](const auto& connection) { return connection->idle_since() < oldest; };
    Connections old;
    std::ranges::copy_if(connections, std::back_inserter(old), is_old);
    num_idle -= static_cast<int64_t>(std::erase_if(connections, is_old));
    for (const auto& connection : old) connection->Close();
  }
  std::erase_if(idle, [](const auto& entry) { return entry.second.empty(); });
  is_sweeping = !idle.empty();
  if (is_sweeping) ScheduleSweep();
}

// --- names

void Client::Core::Resolve(const std::shared_ptr<ClientConnection>& connection) {
  const Origin& origin = connection->origin();
  error_code error;
  const auto address = asio::ip::make_address(origin.host, error);
  if (!error) return connection->Connect({{address, origin.port}}, "");

  Name& name = names[origin.host];
  if (SteadyClock::now() < name.good_until) {
    Endpoints endpoints;
    for (const auto& known : name.addresses) endpoints.emplace_back(known, origin.port);
    return connection->Connect(std::move(endpoints), "");
  }
  name.waiting.push_back(connection);
  if (std::exchange(name.is_being_resolved, true)) return;
  resolver.async_resolve(origin.host, "", [this, host = origin.host](error_code failure, const auto& found) {
    if (failure != asio::error::operation_aborted) OnResolved(host, failure, found);
  });
}

void Client::Core::OnResolved(const std::string& host, error_code error, const asio::ip::tcp::resolver::results_type& found) {
  Name& name = names[host];
  name.is_being_resolved = false;
  name.addresses.clear();
  for (const auto& entry : found) name.addresses.push_back(entry.endpoint().address());
  if (!error) name.good_until = SteadyClock::now() + options.name_lifetime;
  for (const auto& connection : std::exchange(name.waiting, {})) {
    Endpoints endpoints;
    for (const auto& address : name.addresses) endpoints.emplace_back(address, connection->origin().port);
    connection->Connect(std::move(endpoints), error.message());
  }
}

}  // namespace autoglm::http
