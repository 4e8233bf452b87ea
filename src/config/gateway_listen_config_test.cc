#include "config/gateway_listen_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/gateway_yaml.h"

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using testing::StartsWith;

TEST(GatewayListenConfig, Addresses_AreTextOrMaps) {
  EXPECT_EQ(ReadBeforeRoutes("listen: '[::1]:80'\n").listen, (ListenConfig{.host = "::1", .port = 80, .tls = {}}));
  const GatewayConfig config = ReadBeforeRoutes(
      "listen:\n"
      "  address: 0.0.0.0:443\n"
      "  tls: {certificate: cert.pem, key: key.pem, client_ca: ca.pem}\n"
      "admin: {tls: {certificate: a.pem, key: b.pem}}\n");
  EXPECT_EQ(config.listen.host, "0.0.0.0");
  EXPECT_EQ(config.listen.port, 443);
  EXPECT_EQ(config.listen.tls, (http::TlsServerOptions{.certificate = "cert.pem", .key = "key.pem", .client_ca = "ca.pem"}));
  EXPECT_EQ(config.admin->port, 8001);
  EXPECT_EQ(config.admin->tls->key, "b.pem");
}

TEST(GatewayListenConfig, BadAddresses_AreRefused) {
  EXPECT_EQ(Refusal("listen: 8000\n"),
            "gateway.yaml:1: listen: must be an address and a port, such as 127.0.0.1:8000 or [::1]:8000, not '8000'");
  EXPECT_EQ(Refusal("listen:\n  address: a:99999\n"),
            "gateway.yaml:2: address: must be an address and a port, such as 127.0.0.1:8000 or [::1]:8000, not 'a:99999'");
  EXPECT_EQ(Refusal("listen: [127.0.0.1:80]\n"), "gateway.yaml:1: listen: must be one plain value");
  EXPECT_EQ(Refusal("listen: {port: 80}\n"), "gateway.yaml:1: port: unknown key; known are address, tls");
  EXPECT_EQ(Refusal("listen:\n  tls: {key: a}\n"), "gateway.yaml:2: tls: needs 'certificate' and 'key'");
}

TEST(GatewayListenConfig, AdminPort_CanBeLeftOut) {
  EXPECT_FALSE(ReadBeforeRoutes("admin: off\n").admin);
  EXPECT_EQ(ReadBeforeRoutes("admin: 127.0.0.1:9\n").admin->port, 9);
}

TEST(GatewayListenConfig, AdminPort_AsksForATokenWhereOthersReachIt) {
  EXPECT_EQ(ReadBeforeRoutes("admin: 0.0.0.0:9\nadmin_token: secret\n").admin_token, "secret");
  EXPECT_EQ(Refusal("region: eu\nadmin: 0.0.0.0:9\n"),
            "gateway.yaml:2: admin: needs 'admin_token' where other machines can reach it");
}

TEST(GatewayListenConfig, AdminPort_IsAnother) {
  EXPECT_THAT(Refusal("listen: 127.0.0.1:9\nadmin: 127.0.0.1:9\n"),
              StartsWith("gateway.yaml:2: admin: must not be where 'listen' is"));
  EXPECT_THAT(Refusal("listen: 127.0.0.1:8001\n"), StartsWith("gateway.yaml:1: admin: must not be where 'listen' is"));
  EXPECT_EQ(ReadBeforeRoutes("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n").admin->port, 0);
}

TEST(GatewayListenConfig, Limits_AreCountsSizesAndTimes) {
  const LimitConfig limits =
      ReadBeforeRoutes(
          "limits: {max_connections: 10, max_body: 1M, max_arriving_bodies: 2M, max_header: 8K, header_timeout: 1s,\n"
          "         body_timeout: 2s, idle_timeout: 3s, write_timeout: 4s}\n")
          .limits;
  EXPECT_EQ(limits, (LimitConfig{.max_connections = 10,
                                 .max_body_bytes = 1 << 20,
                                 .max_arriving_body_bytes = 2 << 20,
                                 .max_header_bytes = 8 << 10,
                                 .header_timeout = 1s,
                                 .body_timeout = 2s,
                                 .idle_timeout = 3s,
                                 .write_timeout = 4s}));
}

TEST(GatewayListenConfig, BadLimits_AreRefused) {
  EXPECT_EQ(Refusal("limits: {max_connections: 0}\n"),
            "gateway.yaml:1: max_connections: must be a whole number from 1 to 1000000, not '0'");
  EXPECT_EQ(Refusal("limits: {max_body: 0}\n"), "gateway.yaml:1: max_body: must be at least one byte");
  EXPECT_EQ(Refusal("limits: {max_body: big}\n"), "gateway.yaml:1: max_body: must be a size such as 512M or 2G, not 'big'");
  EXPECT_EQ(Refusal("\nlimits:\n  max_body: 2G\n"),
            "gateway.yaml:2: limits: max_body must not be larger than max_arriving_bodies");
  EXPECT_EQ(Refusal("limits: {body_timeout: 0}\n"),
            "gateway.yaml:1: body_timeout: must be a time such as 250ms, 2s or 5m, from 1ms to 1h, not '0'");
  EXPECT_EQ(Refusal("limits: 5\n"), "gateway.yaml:1: limits: must be lines such as 'key: value'");
}

}  // namespace
}  // namespace autoglm::gateway
