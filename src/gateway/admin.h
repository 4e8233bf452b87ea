#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/server.h"

namespace autoglm::gateway {

class Gateway;

// The gateway's own port, for operators: metrics, status, why a request would go where, registration of upstreams, draining and
// reload. docs/gateway.md lists the paths.
class Admin {
 public:
  static Result<std::unique_ptr<Admin>> Start(const http::ServerOptions& options, Gateway& gateway);

  uint16_t port() const { return server_->port(); }
  int listening_socket() const { return server_->listening_socket(); }

 private:
  explicit Admin(Gateway& gateway) : gateway_(gateway) {}

  http::Response Answer(const http::Request& request);
  bool MayEnter(const http::Request& request) const;
  http::Response Metrics(const http::Request& request) const;
  http::Response Summary() const;
  http::Response Slo() const;
  http::Response Status() const;
  http::Response Explain(const http::Request& request) const;
  http::Response Reload();
  http::Response Drain(const http::Request& request, bool is_draining);
  http::Response Workers(const http::Request& request);
  std::string RouteOf(const http::Request& request) const;

  Gateway& gateway_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace autoglm::gateway
