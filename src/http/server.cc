#include "http/server.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <optional>
#include <utility>

#include "base/check.h"
#include "http/connection.h"
#include "http/server_core.h"
#include "telemetry/log.h"

namespace autoglm::http {
namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

namespace {

constexpr int kMaxIoThreads = 256;
// Clients beyond max_connections that may wait for their 503; the ones beyond are closed without a word.
constexpr int64_t kMaxRefusals = 256;
// Out of file descriptors: the acceptor stays readable, so it must pause or spin.
constexpr std::chrono::milliseconds kAcceptPause{100};

std::string ListenErrorMessage(const ServerOptions& options, std::string_view reason) {
  return fmt::format("Cannot listen on {}:{}: {}. Choose another --host or --port, or stop what uses it.", options.host,
                     options.port, reason);
}

}  // namespace

std::string_view Request::Header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return value;
  }
  return {};
}

struct Server::Impl {
  ServerCore core;
  std::vector<std::unique_ptr<LoopThread>> threads;  // of its own; empty where it runs on others' loops
  std::vector<std::unique_ptr<IoThread>> io;
  std::optional<tcp::acceptor> acceptor;           // on io[0]
  std::optional<asio::steady_timer> accept_timer;  // on io[0]
  size_t next_io = 0;
  uint16_t port = 0;

  Status Listen();
  Status Adopt(int listening_socket);
  error_code Bind(const tcp::endpoint& endpoint);
  void Accept();
  void OnAccepted(error_code error, IoThread& target, tcp::socket socket);
  void Hand(IoThread& target, tcp::socket socket);
  void AcceptWaiting();
  IoThread& NextIo() { return *io[next_io++ % io.size()]; }
  bool IsOnIoThread() const;

  // Runs `task` on the acceptor's thread; waits for it unless that could never end.
  void OnAcceptorThread(const std::function<void()>& task);
  void ForEachConnection(void (Connection::*method)());
  void WaitForConnectionsToEnd();
};

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, const Handler& handler) {
  if (options.num_io_threads < 1 || options.num_io_threads > kMaxIoThreads) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("The number of I/O threads must be 1 to {}.", kMaxIoThreads));
  }
  std::vector<std::unique_ptr<LoopThread>> threads;
  std::vector<EventLoop*> loops;
  for (int i = 0; i < options.num_io_threads; ++i) {
    threads.push_back(std::make_unique<LoopThread>());
    loops.push_back(&threads.back()->loop());
  }
  AUTOGLM_TRY(std::unique_ptr<Server> server, Start(options, loops, std::vector<Handler>(loops.size(), handler)));
  server->impl_->threads = std::move(threads);
  return server;
}

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, const std::vector<EventLoop*>& loops,
                                              std::vector<Handler> handlers) {
  AUTOGLM_CHECK(!loops.empty() && loops.size() == handlers.size());
  auto impl = std::make_unique<Impl>();
  impl->core.options = options;
  for (size_t i = 0; i < loops.size(); ++i) impl->io.push_back(std::make_unique<IoThread>(*loops[i], std::move(handlers[i])));
  AUTOGLM_TRY_VOID(impl->Listen());
  std::unique_ptr<Server> server(new Server(std::move(impl)));
  asio::post(server->impl_->io[0]->context(), [impl = server->impl_.get()] { impl->Accept(); });
  return server;
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  AUTOGLM_CHECK(!impl_->IsOnIoThread());
  impl_->core.is_closing = true;
  impl_->core.is_draining = true;
  impl_->OnAcceptorThread([this] {
    error_code ignored;
    impl_->acceptor->close(ignored);
    impl_->accept_timer->cancel();
  });
  // Behind what the cancelled acceptor and timer have still to say.
  impl_->OnAcceptorThread([] {});
  impl_->ForEachConnection(&Connection::Close);
  impl_->WaitForConnectionsToEnd();
  impl_->OnAcceptorThread([this] {
    impl_->acceptor.reset();
    impl_->accept_timer.reset();
  });
}

uint16_t Server::port() const { return impl_->port; }
int Server::listening_socket() const { return impl_->acceptor->native_handle(); }
int64_t Server::num_connections() const { return impl_->core.num_connections; }

void Server::StopAccepting() {
  if (impl_->core.is_draining.exchange(true)) return;
  impl_->OnAcceptorThread([this] {
    impl_->AcceptWaiting();
    error_code ignored;
    impl_->acceptor->close(ignored);
    impl_->accept_timer->cancel();
  });
  impl_->ForEachConnection(&Connection::OnDrain);
}

Status Server::Impl::Listen() {
  const ServerOptions& options = core.options;
  acceptor.emplace(io[0]->context());
  accept_timer.emplace(io[0]->context());
  if (options.listening_socket) return Adopt(*options.listening_socket);

  error_code error;
  tcp::resolver resolver(io[0]->context());
  const auto found = resolver.resolve(options.host, std::to_string(options.port),
                                      tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (!error) error = Bind(found.begin()->endpoint());
  if (error) return Fail(ErrorCode::kIo, ListenErrorMessage(options, error.message()));
  return {};
}

error_code Server::Impl::Bind(const tcp::endpoint& endpoint) {
  error_code error;
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && endpoint.address().is_v6()) acceptor->set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (!error) acceptor->non_blocking(true, error);
  if (!error) port = acceptor->local_endpoint(error).port();
  return error;
}

Status Server::Impl::Adopt(int listening_socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  error_code error;
  if (getsockname(listening_socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return Fail(ErrorCode::kIo, fmt::format("The socket {} that was handed over cannot be used.", listening_socket));
  }
  acceptor->assign(address.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), listening_socket, error);
  if (!error) acceptor->non_blocking(true, error);
  if (!error) port = acceptor->local_endpoint(error).port();
  if (error) return Fail(ErrorCode::kIo, fmt::format("The socket that was handed over cannot be used: {}.", error.message()));
  return {};
}

bool Server::Impl::IsOnIoThread() const {
  return std::ranges::any_of(io, [](const auto& one) { return one->loop.IsOnThread(); });
}

void Server::Impl::Accept() {
  if (!acceptor->is_open()) return;
  IoThread& target = NextIo();
  acceptor->async_accept(target.context(),
                         [this, &target](error_code error, tcp::socket socket) { OnAccepted(error, target, std::move(socket)); });
}

void Server::Impl::OnAccepted(error_code error, IoThread& target, tcp::socket socket) {
  if (!error) {
    Hand(target, std::move(socket));
  } else if (acceptor->is_open() && error != asio::error::connection_aborted) {
    Log(LogLevel::kWarning, "http_accept_failed", {{"reason", std::string_view(error.message())}});
    accept_timer->expires_after(kAcceptPause);
    accept_timer->async_wait([this](error_code) { Accept(); });
    return;
  }
  Accept();
}

void Server::Impl::Hand(IoThread& target, tcp::socket socket) {
  if (core.is_closing) return;
  const int64_t num_before = core.num_connections.fetch_add(1);
  if (num_before >= core.options.max_connections + kMaxRefusals) {
    core.num_connections.fetch_sub(1);
    return;
  }
  const bool is_full = num_before >= core.options.max_connections;
  const auto admission = is_full ? Connection::Admission::kRefuse : Connection::Admission::kServe;
  asio::post(target.context(), [this, &target, admission, moved = std::move(socket)]() mutable {
    std::make_shared<Connection>(core, target, std::move(moved), admission)->Start();
  });
}

// What the kernel has accepted for us is ours to serve; closing the acceptor would reset it.
void Server::Impl::AcceptWaiting() {
  for (;;) {
    error_code error;
    IoThread& target = NextIo();
    tcp::socket socket = acceptor->accept(target.context(), error);
    if (error == asio::error::connection_aborted) continue;
    if (error) return;
    Hand(target, std::move(socket));
  }
}

void Server::Impl::OnAcceptorThread(const std::function<void()>& task) {
  if (IsOnIoThread()) {
    asio::dispatch(io[0]->context(), task);
    return;
  }
  std::promise<void> done;
  asio::post(io[0]->context(), [&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

void Server::Impl::ForEachConnection(void (Connection::*method)()) {
  for (const auto& one : io) {
    asio::post(one->context(), [&io = *one, method] {
      // A copy: a connection that ends takes itself out of the set.
      for (Connection* connection : std::vector<Connection*>(io.connections.begin(), io.connections.end())) {
        (connection->*method)();
      }
    });
  }
}

// Their coroutines end on their own once their sockets are closed.
void Server::Impl::WaitForConnectionsToEnd() {
  for (const auto& one : io) {
    bool is_empty = false;
    while (!is_empty) {
      std::promise<void> looked;
      asio::post(one->context(), [&] {
        is_empty = one->connections.empty();
        looked.set_value();
      });
      looked.get_future().wait();
    }
  }
}

}  // namespace autoglm::http
