#include "config/host_port.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

TEST(ParseHostPort, TakesNamesAndAddresses) {
  EXPECT_EQ(ParseHostPort("127.0.0.1:8000"), (HostPort{.host = "127.0.0.1", .port = 8000}));
  EXPECT_EQ(ParseHostPort("[::1]:0"), (HostPort{.host = "::1", .port = 0}));
  EXPECT_EQ(ParseHostPort("my_host-1.example.org:65535"), (HostPort{.host = "my_host-1.example.org", .port = 65'535}));
  EXPECT_EQ(ParseHostPort("redis", 6379), (HostPort{.host = "redis", .port = 6379}));
  EXPECT_EQ(ParseHostPort("[fe80::1]", 6379), (HostPort{.host = "fe80::1", .port = 6379}));
  EXPECT_EQ(ParseHostPort("redis:1", 6379), (HostPort{.host = "redis", .port = 1}));
}

TEST(ParseHostPort, RefusesWhatIsNoAddressWithAPort) {
  for (const std::string text :
       {"",      ":80",   "host",      "host:",   "host:x", "host:65536",   "host:-1",  "host: 80", "::1:80",         "[::1",
        "[::1]", "[]:80", "[host]:80", "[::1]80", "a b:80", "user@host:80", "host/:80", "-host:80", "http://host:80", "*:80"}) {
    const Result<HostPort> parts = ParseHostPort(text);
    ASSERT_FALSE(parts) << text;
    EXPECT_EQ(parts.error().message, "must be an address and a port, such as 127.0.0.1:8000 or [::1]:8000, not '" + text + "'");
  }
  EXPECT_FALSE(ParseHostPort(std::string(254, 'a') + ":80"));
}

TEST(ParseServerUrl, LeavesOutSlashesAtTheEnd) {
  EXPECT_EQ(ParseServerUrl("http://127.0.0.1:8081"), "http://127.0.0.1:8081");
  EXPECT_EQ(ParseServerUrl("http://host//"), "http://host");
  EXPECT_EQ(ParseServerUrl("https://[::1]:8443/"), "https://[::1]:8443");
  EXPECT_TRUE(IsHttpsUrl("https://host"));
  EXPECT_FALSE(IsHttpsUrl("http://host"));
}

TEST(ParseServerUrl, RefusesPathsUsersAndOtherSchemes) {
  for (const std::string text : {"", "host:80", "http://", "http:///", "https://", "HTTP://host", "ftp://host", "http://host/v1",
                                 "http://host?a", "http://host#a", "http://user:hunter2@host", "http://host:0",
                                 "http://host:99999", "http://ho st", "http://host\r\nx", "unix:/run/socket"}) {
    const Result<std::string> url = ParseServerUrl(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().message, "must be a URL such as http://127.0.0.1:8081 or https://host, without user, path and query");
  }
}

TEST(IsLoopback, KnowsTheAddressesOfThisMachineOnly) {
  for (const char* host : {"localhost", "127.0.0.1", "127.1.2.3", "::1"}) EXPECT_TRUE(IsLoopback(host)) << host;
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "12.7.0.1", "example.org", "127.evil.org", "127.0.0.1.evil.org"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

}  // namespace
}  // namespace autoglm
