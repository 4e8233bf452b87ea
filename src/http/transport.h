#pragma once

#include <openssl/ssl.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "http/tls_state.h"

namespace autoglm::http {

// How a step on a socket that never blocks went.
enum class IoStatus {
  kDone,
  kNeedsReadable,  // nothing done: wait until the socket can be read
  kNeedsWritable,  // until it can be written
  kEnded,          // the other side has closed its sending side
  kFailed,         // reset, or TLS broken
};

// Bytes over TCP, plain or by TLS. Never waits: whoever calls waits for the socket.
class Transport {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  explicit Transport(Socket socket) : socket_(std::move(socket)) {}

  Socket& socket() { return socket_; }
  const Socket& socket() const { return socket_; }

  // Of a connected socket: no delay, no blocking, and TLS where there is a context. False where that cannot be.
  bool Open(const TlsContext* tls, const std::string& host);
  // Until it says kDone, nothing can be read or written. At once without TLS.
  IoStatus Handshake();

  IoStatus Read(std::span<char> into, size_t& num_read);
  // Of the buffers together, as much as goes.
  IoStatus Write(std::span<const boost::asio::const_buffer> buffers, size_t& num_written);
  // There may be more to read though the socket has nothing: TLS reads whole records.
  bool has_buffered_input() const { return ssl_ != nullptr && SSL_pending(ssl_.get()) > 0; }

  // What went wrong, for people; after kFailed.
  const std::string& failure() const { return failure_; }

  // No more will be sent.
  void ShutdownSend();
  void Close();

 private:
  IoStatus OfSsl(int result);
  IoStatus Failed(std::string why);

  Socket socket_;
  std::unique_ptr<SSL, SslRelease> ssl_;  // null: plain
  bool is_established_ = false;
  std::string failure_;
};

}  // namespace autoglm::http
