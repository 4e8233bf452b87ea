#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/event_loop.h"
#include "http/header_lines.h"
#include "http/tls.h"
#include "telemetry/request_delivery.h"

namespace autoglm::http {

struct Request {
  std::string method;                                        // "GET", "POST", ...
  std::string path;                                          // without the query
  std::string query;                                         // after '?', undecoded
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::string peer;  // "127.0.0.1:41234"
  // First byte of the request line; the ends of head and body.
  std::chrono::steady_clock::time_point accepted;
  std::chrono::steady_clock::time_point head_complete;
  std::chrono::steady_clock::time_point body_complete;

  // Empty where absent.
  std::string_view Header(std::string_view lower_case_name) const;
};

struct Response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;  // Content-Length and Connection are set by the server
  std::string body;
  HeaderLines lines = {};  // further headers, none of framing
};

// The way back to one client. Every method may be called from any thread, returns at once and never blocks; after the
// connection is gone they do nothing. Exactly one of Send or Start ... End per request, anything else is a CHECK; an
// exchange dropped without either answers 500, one dropped between Start and End cuts the connection.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual void Send(Response response) = 0;

  // A streamed body (chunked). Start sends the head; each Write is flushed as its own chunk.
  virtual void Start(Response head) = 0;
  virtual void Write(std::string data) = 0;
  virtual void End() = 0;

  // Bytes accepted by Write and not yet handed to the kernel. When a Write on top of a backlog
  // would pass ServerOptions::max_write_backlog_bytes, the client is too slow: the server closes the connection and reports it
  // gone.
  virtual int64_t backlog_bytes() const = 0;

  // Calls back once, on a server thread, when the client closes or resets its connection (shutting down only its sending
  // side counts as closing), reads too slowly, or the server is destroyed, before Send or End was called. Called at once
  // where that has already happened. The callback is let go of with the answer, so it may own the exchange.
  virtual void OnClientGone(std::function<void()> callback) = 0;

  // Calls back once, on the connection's thread, when the kernel has the last byte or the connection is gone; not at all where
  // the callback comes later than that. To be set before Send or Start.
  virtual void OnDelivered(std::function<void(const RequestDelivery&)> callback) = 0;
};

// A request that was refused before it reached the handler, because it is none or is too much. Views last for the call.
struct RefusedRequest {
  int status = 400;
  std::string_view code;  // one of few words of ours
  std::string_view peer;
};

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  // 0 = any free one, see Server::port
  // A listening socket that another process or server has handed over, instead of host and port; owned from here on.
  std::optional<int> listening_socket;
  std::shared_ptr<const TlsContext> tls;  // null: plain HTTP
  int num_io_threads = 1;                 // of a server that has its own
  int64_t max_body_bytes = 16 << 20;      // beyond: 413
  // Of all bodies that are on their way at a time; beyond: 503. One body alone always has room.
  int64_t max_arriving_body_bytes = 256 << 20;
  int64_t max_header_bytes = 64 << 10;  // beyond: 431
  int64_t max_connections = 4096;       // beyond: 503 and close
  int64_t max_write_backlog_bytes = 8 << 20;
  // From the first byte (or the accept) to the end of the headers; for a TLS handshake too.
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{60'000};
  std::chrono::milliseconds idle_timeout{75'000};   // between requests of a kept-alive connection
  std::chrono::milliseconds write_timeout{30'000};  // without any progress of a write
  // Called on an I/O thread for each.
  std::function<void(const RefusedRequest&)> on_refused = [](const RefusedRequest&) {};
};

// HTTP/1.1 and 1.0 on Boost.Asio coroutines with Beast's parser: one io_context per I/O thread, keep-alive, TCP_NODELAY;
// pipelined requests are served one after another. A HEAD request reaches the handler as GET and gets the head only.
//
// One acceptor hands its sockets to the I/O threads in turn. With an acceptor per thread (SO_REUSEPORT), closing one would
// reset the connections waiting in its queue, and long streams would spread by hash instead of evenly.
//
// Malformed requests, oversized heads and bodies, and timeouts are answered here in OpenAI's error form
// ({"error": {message, type, param, code}}) and never reach the handler.
class Server {
 public:
  // Runs on an I/O thread for every complete request; must return soon and may keep the exchange.
  using Handler = std::function<void(std::shared_ptr<const Request>, std::shared_ptr<Exchange>)>;

  // Binds and starts serving. Errors: kIo (address in use, no permission: the message names host and port).
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options, const Handler& handler);
  // On loops of others, which run and outlive the server: connections are dealt out to them, and what comes on a loop goes to
  // its own handler, so that everything about a request may stay on one thread.
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options, const std::vector<EventLoop*>& loops,
                                               std::vector<Handler> handlers);
  // Closes every connection and waits for the handlers that run. Not on a loop's thread.
  ~Server();

  uint16_t port() const;
  // The listening socket, to be duplicated for somebody who goes on with it.
  int listening_socket() const;
  int64_t num_connections() const;

  // Stops accepting; open exchanges go on, idle connections close, answers get "Connection: close". Connections that were
  // already waiting to be accepted are served. The port is free when this returns (at once if called on an I/O thread,
  // where it must not wait, shortly after). May be called more than once.
  void StopAccepting();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace autoglm::http
