#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "http/tls.h"

namespace autoglm::http {

struct SslContextRelease {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct SslRelease {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

enum class TlsRole { kServer, kClient };

struct TlsContext::State {
  TlsRole role = TlsRole::kClient;
  std::unique_ptr<SSL_CTX, SslContextRelease> context;
  std::string server_name;  // of clients; empty: the origin's host
  bool is_name_checked = true;
};

// One connection's side, on a socket that is connected. `host` is looked at by clients only. Null where memory is out or the name
// is none.
std::unique_ptr<SSL, SslRelease> NewSsl(const TlsContext& context, int socket, const std::string& host);

// What OpenSSL's queue of errors says first; empties it.
std::string TakeSslErrors();

}  // namespace autoglm::http
