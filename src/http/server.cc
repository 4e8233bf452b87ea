#include "http/server.h"

#include <fmt/format.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <exception>
#include <future>
#include <optional>
#include <thread>

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
  std::vector<std::unique_ptr<IoThread>> io;
  std::vector<std::thread> threads;
  std::optional<tcp::acceptor> acceptor;           // on io[0]
  std::optional<asio::steady_timer> accept_timer;  // on io[0]
  size_t next_io = 0;
  uint16_t port = 0;

  Status Listen();
  void RunThreads();
  void Accept();
  void OnAccepted(error_code error, IoThread& target, tcp::socket socket);
  void Hand(IoThread& target, tcp::socket socket);
  void AcceptWaiting();
  IoThread& NextIo() { return *io[next_io++ % io.size()]; }
  bool IsOnIoThread() const { return this_threads_server == this; }

  static thread_local const Impl* this_threads_server;

  // Runs `task` on the acceptor's thread; waits for it unless that could never end.
  void OnAcceptorThread(const std::function<void()>& task);
  void ForEachConnection(void (Connection::*method)());
};

thread_local const Server::Impl* Server::Impl::this_threads_server = nullptr;

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, Handler handler) {
  if (options.num_io_threads < 1 || options.num_io_threads > kMaxIoThreads) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("The number of I/O threads must be 1 to {}.", kMaxIoThreads));
  }
  try {
    auto impl = std::make_unique<Impl>();
    impl->core.options = options;
    impl->core.handler = std::move(handler);
    for (int i = 0; i < options.num_io_threads; ++i) impl->io.push_back(std::make_unique<IoThread>());
    AUTOGLM_TRY_VOID(impl->Listen());
    std::unique_ptr<Server> server(new Server(std::move(impl)));
    server->impl_->RunThreads();
    return server;
  } catch (const std::exception& error) {
    return Fail(ErrorCode::kIo, ListenErrorMessage(options, error.what()));
  }
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
  impl_->ForEachConnection(&Connection::Close);
  // The threads return when the last coroutine has ended. From then on no exchange refers to anything of ours.
  for (const auto& io : impl_->io) io->work.reset();
  for (std::thread& thread : impl_->threads) thread.join();
}

uint16_t Server::port() const { return impl_->port; }
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
  error_code error;
  tcp::resolver resolver(io[0]->context);
  const auto found = resolver.resolve(options.host, std::to_string(options.port),
                                      tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error) return Fail(ErrorCode::kIo, ListenErrorMessage(options, error.message()));

  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor.emplace(io[0]->context);
  accept_timer.emplace(io[0]->context);
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && endpoint.address().is_v6()) acceptor->set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (!error) acceptor->non_blocking(true, error);
  if (!error) port = acceptor->local_endpoint(error).port();
  if (error) return Fail(ErrorCode::kIo, ListenErrorMessage(options, error.message()));
  return {};
}

void Server::Impl::RunThreads() {
  asio::post(io[0]->context, [this] { Accept(); });
  for (const auto& one : io) {
    threads.emplace_back([this, &context = one->context] {
      this_threads_server = this;
      context.run();
    });
  }
}

void Server::Impl::Accept() {
  if (!acceptor->is_open()) return;
  IoThread& target = NextIo();
  acceptor->async_accept(target.context,
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
  asio::post(target.context, [this, &target, admission, moved = std::move(socket)]() mutable {
    std::make_shared<Connection>(core, target, std::move(moved), admission)->Start();
  });
}

// What the kernel has accepted for us is ours to serve; closing the acceptor would reset it.
void Server::Impl::AcceptWaiting() {
  for (;;) {
    error_code error;
    IoThread& target = NextIo();
    tcp::socket socket = acceptor->accept(target.context, error);
    if (error == asio::error::connection_aborted) continue;
    if (error) return;
    Hand(target, std::move(socket));
  }
}

void Server::Impl::OnAcceptorThread(const std::function<void()>& task) {
  if (IsOnIoThread()) {
    asio::dispatch(io[0]->context, task);
    return;
  }
  // Without threads (a failed Start) nothing runs and there is nobody to wait for.
  if (threads.empty()) return;
  std::promise<void> done;
  asio::post(io[0]->context, [&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

void Server::Impl::ForEachConnection(void (Connection::*method)()) {
  for (const auto& one : io) {
    asio::post(one->context, [&io = *one, method] {
      // A copy: a connection that ends takes itself out of the set.
      for (Connection* connection : std::vector<Connection*>(io.connections.begin(), io.connections.end())) {
        (connection->*method)();
      }
    });
  }
}

}  // namespace autoglm::http
