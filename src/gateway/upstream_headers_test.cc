#include "gateway/upstream_headers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

http::Request ARequest(std::vector<std::pair<std::string, std::string>> headers) {
  http::Request request;
  request.headers = std::move(headers);
  request.peer = "10.0.0.7:5000";
  return request;
}

std::string Lines(const http::Request& request, const UpstreamConfig& upstream = {}, bool trusts_forwarded = false) {
  return UpstreamHeaders(request, upstream, {.request_id = "id-1", .client_scheme = "http", .trusts_forwarded = trusts_forwarded})
      .text();
}

TEST(UpstreamHeaders, WhatIsOfTheConnection_StaysThere) {
  const std::string lines = Lines(ARequest({{"connection", "close, X-Private"},
                                            {"x-private", "1"},
                                            {"transfer-encoding", "chunked"},
                                            {"content-length", "5"},
                                            {"te", "trailers"},
                                            {"upgrade", "h2c"},
                                            {"keep-alive", "5"},
                                            {"x-kept", "yes"}}));
  EXPECT_THAT(lines, HasSubstr("x-kept: yes\r\n"));
  for (const char* name : {"x-private", "transfer-encoding", "content-length", "te:", "upgrade", "keep-alive", "connection"}) {
    EXPECT_THAT(lines, Not(HasSubstr(name)));
  }
}

TEST(UpstreamHeaders, TheTraceGoesOn_FromTheAttempt) {
  const http::Request request = ARequest({{"traceparent", "00-1-2-3"},
                                          {"tracestate", "old"},
                                          {"b3", "x"},
                                          {"x-b3-traceid", "y"},
                                          {"x-trace-id", "z"},
                                          {"x-span-id", "w"}});
  ForwardedFacts facts{.request_id = "id-1", .client_scheme = "http", .trace = {1, 2}, .span = {3}, .tracestate = "vendor=1"};
  std::string lines = UpstreamHeaders(request, {}, facts).text();
  EXPECT_THAT(lines, HasSubstr("traceparent: 00-00000000000000010000000000000002-0000000000000003-00\r\n"));
  EXPECT_THAT(lines, HasSubstr("tracestate: vendor=1\r\n"));
  EXPECT_THAT(lines, HasSubstr("x-span-id: 0000000000000003\r\n"));
  EXPECT_THAT(lines, Not(HasSubstr("b3")));
  EXPECT_THAT(lines, Not(HasSubstr("old")));
  facts.speaks_b3 = true;
  facts.is_sampled = true;
  lines = UpstreamHeaders(request, {}, facts).text();
  EXPECT_THAT(lines, HasSubstr("b3: 00000000000000010000000000000002-0000000000000003-1\r\n"));
}

TEST(UpstreamHeaders, EveryConnectionHeader_Counts) {
  const std::string lines = Lines(ARequest({{"connection", "close"}, {"connection", "a,\tx-private"}, {"x-private", "1"}}));
  EXPECT_THAT(lines, Not(HasSubstr("x-private")));
}

TEST(UpstreamHeaders, NamesWithUnderscores_AreNoWayAround) {
  const std::string lines = Lines(ARequest({{"x_forwarded_for", "6.6.6.6"},
                                            {"transfer_encoding", "6.6.6.6"},
                                            {"content_length", "6.6.6.6"},
                                            {"x_autoglm_resume", "6.6.6.6"},
                                            {"x_kept", "yes"}}));
  EXPECT_THAT(lines, Not(HasSubstr("6.6.6.6")));
  EXPECT_THAT(lines, HasSubstr("x_kept: yes\r\n"));
}

TEST(UpstreamHeaders, LinesOfAProxyThatIsTrusted_AreAllKept) {
  const http::Request request = ARequest({{"x-forwarded-for", "1.2.3.4"}, {"x-forwarded-for", "10.1.1.1"}});
  EXPECT_THAT(Lines(request, {}, true), HasSubstr("x-forwarded-for: 1.2.3.4, 10.1.1.1, 10.0.0.7\r\n"));
}

TEST(UpstreamHeaders, Credentials_GoOnlyWhereTheyAreMeantFor) {
  const http::Request request = ARequest({{"authorization", "Bearer client"}, {"x-api-key", "client"}});
  EXPECT_THAT(Lines(request), Not(HasSubstr("client")));
  UpstreamConfig own_key;
  own_key.api_key = "upstreams";
  own_key.passes_authorization = true;
  EXPECT_THAT(Lines(request, own_key), HasSubstr("authorization: Bearer upstreams\r\n"));
  EXPECT_THAT(Lines(request, own_key), Not(HasSubstr("client")));
  UpstreamConfig passing;
  passing.passes_authorization = true;
  EXPECT_THAT(Lines(request, passing), HasSubstr("authorization: Bearer client\r\n"));
}

TEST(UpstreamHeaders, OurEnginesAreToldTenantsApart_AndClientsCannotChooseOne) {
  const http::Request request = ARequest({{"x-autoglm-tenant", "other"}});
  UpstreamConfig ours;
  ours.engine = EngineKind::kAutoglm;
  EXPECT_THAT(UpstreamHeaders(request, ours, {.cache_salt = 0x12}).text(),
              AllOf(HasSubstr("x-autoglm-tenant: 0000000000000012\r\n"), Not(HasSubstr("other"))));
  EXPECT_THAT(UpstreamHeaders(request, ours, {}).text(), Not(HasSubstr("x-autoglm-tenant")));
  EXPECT_THAT(UpstreamHeaders(request, {}, {.cache_salt = 0x12}).text(), Not(HasSubstr("x-autoglm-tenant")));
  ours.passes_authorization = true;
  EXPECT_THAT(UpstreamHeaders(request, ours, {.cache_salt = 0x12}).text(), Not(HasSubstr("x-autoglm-tenant")));
}

TEST(UpstreamHeaders, ClientsCannotSayWhoTheyAreBehind) {
  const http::Request request =
      ARequest({{"x-forwarded-for", "1.2.3.4"}, {"x-real-ip", "1.2.3.4"}, {"forwarded", "for=1.2.3.4"}, {"host", "gate"}});
  const std::string lines = Lines(request);
  EXPECT_THAT(lines, Not(HasSubstr("1.2.3.4")));
  EXPECT_THAT(lines, HasSubstr("x-forwarded-for: 10.0.0.7\r\n"));
  EXPECT_THAT(lines, HasSubstr("x-forwarded-host: gate\r\n"));
  EXPECT_THAT(Lines(request, {}, true), HasSubstr("x-forwarded-for: 1.2.3.4, 10.0.0.7\r\n"));
}

TEST(UpstreamHeaders, RequestId_IsTheGateways) {
  const std::string lines = Lines(ARequest({{"x-request-id", "clients"}}));
  EXPECT_THAT(lines, HasSubstr("x-request-id: id-1\r\n"));
  EXPECT_THAT(lines, Not(HasSubstr("clients")));
}

TEST(ClientHeaders, WhatIsTheGatewaysToSay_IsNotTheUpstreams) {
  const auto headers =
      ClientHeaders({{"x-gateway-route", "faked"}, {"x-request-id", "theirs"}, {"server", "x"}, {"content-type", "text/plain"}});
  ASSERT_EQ(headers.size(), 1);
  EXPECT_EQ(headers.front().first, "content-type");
}

}  // namespace
}  // namespace autoglm::gateway
