#include "http/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <boost/asio/ip/address.hpp>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>

#include "http/tls_state.h"

namespace autoglm::http {
namespace {

using ContextPointer = std::unique_ptr<SSL_CTX, SslContextRelease>;

// Forward secrecy and authenticated encryption only; TLS 1.3 has nothing else.
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";
// The one protocol this server speaks.
constexpr unsigned char kAlpn[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

Status CheckReadable(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) {
    return Fail(ErrorCode::kNotFound, fmt::format("{}: there is no such file", file.string()));
  }
  if (!std::ifstream(file).good()) return Fail(ErrorCode::kIo, fmt::format("{}: cannot be read", file.string()));
  return {};
}

tl::unexpected<Error> Refuse(const std::filesystem::path& file, std::string_view what) {
  return Fail(ErrorCode::kInvalidArgument, fmt::format("{}: {} ({})", file.string(), what, TakeSslErrors()));
}

Result<ContextPointer> NewContext(const SSL_METHOD* method) {
  ContextPointer context(SSL_CTX_new(method));
  if (context == nullptr) return Fail(ErrorCode::kInternal, "TLS cannot be set up: " + TakeSslErrors());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context.get(), kCiphers);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  return context;
}

Status UseCertificate(SSL_CTX* context, const std::filesystem::path& certificate, const std::filesystem::path& key) {
  AUTOGLM_TRY_VOID(CheckReadable(certificate));
  AUTOGLM_TRY_VOID(CheckReadable(key));
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1)
    return Refuse(certificate, "is no certificate in PEM");
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return Refuse(key, "is no private key in PEM, or not that of the certificate");
  }
  if (SSL_CTX_check_private_key(context) != 1) return Refuse(key, "is not the certificate's key");
  return {};
}

Status TrustAuthorities(SSL_CTX* context, const std::filesystem::path& file) {
  AUTOGLM_TRY_VOID(CheckReadable(file));
  if (SSL_CTX_load_verify_locations(context, file.c_str(), nullptr) != 1) return Refuse(file, "holds no certificates in PEM");
  return {};
}

int ChooseAlpn(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in, unsigned in_length, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_length, kAlpn, sizeof(kAlpn), in, in_length) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

bool IsAddress(const std::string& host) {
  boost::system::error_code error;
  boost::asio::ip::make_address(host, error);
  return !error;
}

// For whom the other side's certificate must be.
bool ExpectName(SSL* ssl, const TlsContext::State& state, const std::string& host) {
  const std::string& name = state.server_name.empty() ? host : state.server_name;
  const bool is_address = IsAddress(name);
  if (!is_address && SSL_set_tlsext_host_name(ssl, name.c_str()) != 1) return false;
  if (!state.is_name_checked) return true;
  if (is_address) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1;
  return SSL_set1_host(ssl, name.c_str()) == 1;
}

}  // namespace

std::string TakeSslErrors() {
  const unsigned long first = ERR_get_error();
  ERR_clear_error();
  const char* reason = first == 0 ? nullptr : ERR_reason_error_string(first);
  return reason == nullptr ? "no reason given" : reason;
}

TlsContext::TlsContext(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<const TlsContext>> TlsContext::ForServer(const TlsServerOptions& options) {
  auto state = std::make_unique<State>();
  state->role = TlsRole::kServer;
  AUTOGLM_TRY(state->context, NewContext(TLS_server_method()));
  SSL_CTX* context = state->context.get();
  AUTOGLM_TRY_VOID(UseCertificate(context, options.certificate, options.key));
  SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_alpn_select_cb(context, ChooseAlpn, nullptr);
  // Sessions that are resumed must have been made under the same demands.
  SSL_CTX_set_session_id_context(context, kAlpn, sizeof(kAlpn));
  if (!options.client_ca.empty()) {
    AUTOGLM_TRY_VOID(TrustAuthorities(context, options.client_ca));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(options.client_ca.c_str()));
  }
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(state)));
}

Result<std::shared_ptr<const TlsContext>> TlsContext::ForClient(const TlsClientOptions& options) {
  auto state = std::make_unique<State>();
  AUTOGLM_TRY(state->context, NewContext(TLS_client_method()));
  SSL_CTX* context = state->context.get();
  state->server_name = options.server_name;
  state->is_name_checked = options.is_name_checked;
  SSL_CTX_set_alpn_protos(context, kAlpn, sizeof(kAlpn));
  if (options.is_name_checked) {
    if (options.ca.empty()) {
      SSL_CTX_set_default_verify_paths(context);
    } else {
      AUTOGLM_TRY_VOID(TrustAuthorities(context, options.ca));
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  }
  if (!options.certificate.empty()) AUTOGLM_TRY_VOID(UseCertificate(context, options.certificate, options.key));
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(state)));
}

std::unique_ptr<SSL, SslRelease> NewSsl(const TlsContext& context, int socket, const std::string& host) {
  const TlsContext::State& state = context.state();
  std::unique_ptr<SSL, SslRelease> ssl(SSL_new(state.context.get()));
  if (ssl == nullptr || SSL_set_fd(ssl.get(), socket) != 1) return nullptr;
  if (state.role == TlsRole::kServer) {
    SSL_set_accept_state(ssl.get());
  } else {
    SSL_set_connect_state(ssl.get());
    if (!ExpectName(ssl.get(), state, host)) return nullptr;
  }
  return ssl;
}

}  // namespace autoglm::http
