#include "http/transport.h"

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <climits>

namespace autoglm::http {
namespace asio = boost::asio;
using boost::system::error_code;
namespace {

constexpr int kMaxUnsentBytes = 128 << 10;

}  // namespace

bool Transport::Open(const TlsContext* tls, const std::string& host) {
  error_code error;
  socket_.set_option(asio::ip::tcp::no_delay(true), error);
  // What the other side cannot take yet waits here, where it is seen and bounded, and not in megabytes of the kernel's.
  setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kMaxUnsentBytes, sizeof(kMaxUnsentBytes));
  socket_.non_blocking(true, error);
  if (error) return false;
  is_established_ = tls == nullptr;
  if (tls == nullptr) return true;
  ssl_ = NewSsl(*tls, socket_.native_handle(), host);
  return ssl_ != nullptr;
}

IoStatus Transport::Handshake() {
  if (is_established_) return IoStatus::kDone;
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    is_established_ = true;
    return IoStatus::kDone;
  }
  // More telling than "certificate verify failed".
  const long verified = SSL_get_verify_result(ssl_.get());
  const IoStatus status = OfSsl(result);
  if (status == IoStatus::kFailed && verified != X509_V_OK) failure_ = X509_verify_cert_error_string(verified);
  return status == IoStatus::kEnded ? Failed("closed during the TLS handshake") : status;
}

IoStatus Transport::Read(std::span<char> into, size_t& num_read) {
  num_read = 0;
  if (ssl_ != nullptr) {
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), into.data(), into.size(), &num_read);
    return result == 1 ? IoStatus::kDone : OfSsl(result);
  }
  error_code error;
  num_read = socket_.read_some(asio::buffer(into.data(), into.size()), error);
  if (!error) return IoStatus::kDone;
  if (error == asio::error::would_block) return IoStatus::kNeedsReadable;
  if (error == asio::error::eof) return IoStatus::kEnded;
  return Failed(error.message());
}

IoStatus Transport::Write(std::span<const asio::const_buffer> buffers, size_t& num_written) {
  num_written = 0;
  if (ssl_ == nullptr) {
    error_code error;
    num_written = socket_.write_some(buffers, error);
    if (!error) return IoStatus::kDone;
    return error == asio::error::would_block ? IoStatus::kNeedsWritable : Failed(error.message());
  }
  for (const asio::const_buffer& buffer : buffers) {
    if (buffer.size() == 0) continue;
    ERR_clear_error();
    size_t num_of_buffer = 0;
    const int result = SSL_write_ex(ssl_.get(), buffer.data(), buffer.size(), &num_of_buffer);
    if (result != 1) return num_written > 0 ? IoStatus::kDone : OfSsl(result);
    num_written += num_of_buffer;
    if (num_of_buffer < buffer.size()) break;
  }
  return IoStatus::kDone;
}

IoStatus Transport::OfSsl(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return IoStatus::kNeedsReadable;
    case SSL_ERROR_WANT_WRITE:
      return IoStatus::kNeedsWritable;
    case SSL_ERROR_ZERO_RETURN:
      return IoStatus::kEnded;
    default:
      return Failed(TakeSslErrors());
  }
}

IoStatus Transport::Failed(std::string why) {
  failure_ = std::move(why);
  return IoStatus::kFailed;
}

void Transport::ShutdownSend() {
  if (ssl_ != nullptr && is_established_) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
}

void Transport::Close() {
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace autoglm::http
