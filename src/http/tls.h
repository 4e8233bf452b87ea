#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"

namespace autoglm::http {

// Files are PEM.
struct TlsServerOptions {
  std::filesystem::path certificate;  // with the chain behind it
  std::filesystem::path key;
  std::filesystem::path client_ca;  // clients must show a certificate that one of these signed; empty: they need none

  bool operator==(const TlsServerOptions&) const = default;
};

struct TlsClientOptions {
  std::filesystem::path ca;           // who signs upstreams' certificates; empty: the system's
  std::filesystem::path certificate;  // shown to upstreams that ask for one (mTLS); empty: none
  std::filesystem::path key;
  std::string server_name;      // that the certificate must be for, and for SNI; empty: the origin's host
  bool is_name_checked = true;  // false: any certificate will do. For tests.

  bool operator==(const TlsClientOptions&) const = default;
};

// Certificates and what is asked of the other side, read once: TLS 1.2 and 1.3. Immutable: any thread.
class TlsContext {
 public:
  // Errors: kNotFound, kIo, kInvalidArgument for what is no certificate or key, or not of each other; all with the file's name.
  static Result<std::shared_ptr<const TlsContext>> ForServer(const TlsServerOptions& options);
  static Result<std::shared_ptr<const TlsContext>> ForClient(const TlsClientOptions& options);
  ~TlsContext();

  struct State;
  const State& state() const { return *state_; }

 private:
  explicit TlsContext(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace autoglm::http
