#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/event_loop.h"
#include "http/header_lines.h"
#include "http/tls.h"

namespace autoglm::http {

// Whom to connect to.
struct Origin {
  std::string host;  // a name, or an address without brackets
  uint16_t port = 80;
  std::string authority;                  // "host:port", as in a Host header; the scheme's own port is left out
  std::shared_ptr<const TlsContext> tls;  // null: plain HTTP

  // Of "http://host[:port]" or https, with nothing behind but a slash. An origin of https needs its context set afterwards.
  // Errors: kInvalidArgument.
  static Result<Origin> Parse(std::string_view url);
  static bool IsHttps(std::string_view url);
};

// Zero: none.
struct ClientTimeouts {
  std::chrono::milliseconds connect{2'000};  // name, TCP and TLS
  // Of the body (servers of streams send their head at once), from when the request is being sent.
  std::chrono::milliseconds first_byte{0};
  std::chrono::milliseconds between_bytes{0};  // of the body
  std::chrono::milliseconds total{0};          // from Send to the last byte
};

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";                 // path and query, as they are sent
  HeaderLines headers;                      // beside Host, Content-Length and Connection
  std::shared_ptr<const std::string> body;  // null: none
  ClientTimeouts timeouts;
};

struct ResponseHead {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case; framing and hop-by-hop ones are left out

  // Empty where absent.
  std::string_view Header(std::string_view lower_case_name) const;
};

enum class ClientFailure {
  kConnect,         // nobody listens, no such name, TLS does not agree: the request was not sent
  kConnectTimeout,  // so too
  kClosedIdle,      // a connection kept from before was closed before a byte of the answer came: it may not have been read
  kClosed,          // closed or reset before the answer's head was complete
  kCut,             // closed or reset within the body
  kFirstByteTimeout,
  kBetweenBytesTimeout,
  kTotalTimeout,
  kMalformed,  // what came is no HTTP, or a head that is too large
};
std::string_view ClientFailureName(ClientFailure failure);
// The upstream cannot have seen the request.
bool WasNeverSent(ClientFailure failure);

struct ClientError {
  ClientFailure failure = ClientFailure::kConnect;
  std::string message;
};

// What comes back, on the loop's thread, never from within Client::Send: OnHead, any number of OnBody, OnEnd; or OnFailure
// instead of what is missing. After OnEnd or OnFailure nothing comes. A receiver may destroy its call from any of these.
class ResponseReceiver {
 public:
  virtual ~ResponseReceiver() = default;
  virtual void OnHead(ResponseHead head) = 0;
  virtual void OnBody(std::string_view bytes) = 0;  // without the chunks' framing; valid during the call
  virtual void OnEnd() = 0;
  virtual void OnFailure(const ClientError& error) = 0;
};

// When a call came how far; zero: not yet.
struct CallTimes {
  std::chrono::steady_clock::time_point connected;  // and the request begins to be sent
  std::chrono::steady_clock::time_point sent;       // all of it
};

// A request on its way. Destroyed before its end, it is cancelled: the connection is closed, which tells the server.
class ClientCall {
 public:
  virtual ~ClientCall() = default;
  // No more OnBody until Resume; for a reader that is slower than the server. The time between does not count as silence.
  virtual void Pause() = 0;
  virtual void Resume() = 0;
  virtual bool was_connection_reused() const = 0;
  virtual CallTimes times() const = 0;
};

struct ClientOptions {
  size_t max_idle_per_origin = 1024;
  std::chrono::milliseconds idle_timeout{50'000};   // below the 60 to 75 s of usual servers
  std::chrono::milliseconds name_lifetime{10'000};  // that a resolved name is kept
  int64_t max_head_bytes = 64 << 10;
};

// HTTP/1.1 requests over kept connections, one at a time on each. On its loop's thread only, destruction included.
//
// A kept connection that the server has closed in the meantime is noticed before it is used where its end has arrived; otherwise
// the call fails with kClosedIdle. Nothing is sent twice here: that is for the caller to decide, who knows what it means.
class Client {
 public:
  explicit Client(EventLoop& loop, ClientOptions options = {});
  // Calls must be gone before.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] std::unique_ptr<ClientCall> Send(const Origin& origin, ClientRequest request, ResponseReceiver& receiver);

  // For small answers: calls back once with all of it. Errors: kUnavailable with ClientError's message, kPayloadTooLarge beyond
  // `max_body_bytes`. Destroying what is returned cancels, and no call comes.
  struct Answer {
    ResponseHead head;
    std::string body;
  };
  [[nodiscard]] std::unique_ptr<ClientCall> Fetch(const Origin& origin, ClientRequest request, int64_t max_body_bytes,
                                                  std::function<void(Result<Answer>)> done);

  // Idle connections are closed: to an origin that is gone, or was found unwell.
  void CloseIdle(const Origin& origin);
  int64_t num_idle() const;

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

}  // namespace autoglm::http
