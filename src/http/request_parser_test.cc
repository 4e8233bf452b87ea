#include "http/request_parser.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::http {
namespace {

using Stage = RequestParser::Stage;
constexpr RequestParser::Limits kLimits = {.header_bytes = 1000, .body_bytes = 100};

// The status of the rejection, or 0 when the bytes are accepted.
int RejectionStatus(std::string_view bytes) {
  RequestParser parser(kLimits);
  const auto fed = parser.Feed(bytes);
  return fed ? 0 : fed.error().status;
}

TEST(RequestParser, WholeRequest_IsTakenApart) {
  RequestParser parser(kLimits);
  const std::string bytes = "POST /v1/x?a=b HTTP/1.1\r\nHost: h\r\nX-Key: Value\r\nContent-Length: 3\r\n\r\nabc";
  ASSERT_EQ(parser.Feed(bytes).value(), bytes.size());
  ASSERT_EQ(parser.stage(), Stage::kComplete);
  EXPECT_TRUE(parser.keep_alive());
  const Request request = parser.TakeRequest();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/v1/x");
  EXPECT_EQ(request.query, "a=b");
  EXPECT_EQ(request.Header("x-key"), "Value");
  EXPECT_EQ(request.Header("absent"), "");
  EXPECT_EQ(request.body, "abc");
}

TEST(RequestParser, AnySplit_GivesTheSameRequest) {
  const std::string bytes =
      "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n";
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    RequestParser parser(kLimits);
    std::string waiting;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      waiting += bytes.substr(at, piece);
      const auto fed = parser.Feed(waiting);
      ASSERT_TRUE(fed.has_value()) << "pieces of " << piece << ": " << fed.error().message;
      waiting.erase(0, *fed);
    }
    ASSERT_EQ(parser.stage(), Stage::kComplete) << "pieces of " << piece;
    const Request request = parser.TakeRequest();
    EXPECT_EQ(request.body, "abcdefg");
    EXPECT_EQ(request.Header("trailer"), "") << "a trailer must not pass for a header";
  }
}

TEST(RequestParser, NextRequest_IsLeftInTheInput) {
  RequestParser parser(kLimits);
  const std::string first = "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n";
  EXPECT_EQ(parser.Feed("\r\n" + first + "GET /2 HTTP").value(), first.size() + 2);
  EXPECT_EQ(parser.stage(), Stage::kComplete);
  EXPECT_EQ(parser.TakeRequest().path, "/1");
}

TEST(RequestParser, AbsoluteTarget_LosesItsAuthority) {
  RequestParser parser(kLimits);
  ASSERT_TRUE(parser.Feed("GET http://host:1/p?q HTTP/1.1\r\nHost: h\r\n\r\n").has_value());
  const Request request = parser.TakeRequest();
  EXPECT_EQ(request.path, "/p");
  EXPECT_EQ(request.query, "q");
}

TEST(RequestParser, Http10_NeedsNoHostAndClosesUnlessAsked) {
  RequestParser parser(kLimits);
  ASSERT_TRUE(parser.Feed("GET / HTTP/1.0\r\n\r\n").has_value());
  EXPECT_TRUE(parser.is_http_1_0());
  EXPECT_FALSE(parser.keep_alive());
  RequestParser kept(kLimits);
  ASSERT_TRUE(kept.Feed("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").has_value());
  EXPECT_TRUE(kept.keep_alive());
}

TEST(RequestParser, Malformed_Is400) {
  for (const std::string bytes : {
           "\x16\x03\x01\x02",                                                                       // TLS
           "GET\r\n\r\n",                                                                            // no target
           "GET /\r\n\r\n",                                                                          // HTTP/0.9
           "GET / HTTP/2.0\r\nHost: h\r\n\r\n",                                                      // version
           "GET / FTP/1.1\r\nHost: h\r\n\r\n",                                                       // protocol
           "GET nopath HTTP/1.1\r\nHost: h\r\n\r\n",                                                 // target
           "G(T / HTTP/1.1\r\nHost: h\r\n\r\n",                                                      // method
           "GET / HTTP/1.1\r\n\r\n",                                                                 // no Host
           "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",                                           // two Hosts
           "GET / HTTP/1.1\r\nHost : a\r\n\r\n",                                                     // space before the colon
           "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",                                          // field without a colon
           "GET / HTTP/1.1\r\nHost: h\r\nA: \x01\r\n\r\n",                                           // control character
           "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",                                // length not a number
           "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",                               // negative length
           "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",           // two lengths
           "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",  // both framings
           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",  // and reversed
           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",                 // chunk size
           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",           // chunk too long
       }) {
    EXPECT_EQ(RejectionStatus(bytes), 400) << bytes;
  }
}

TEST(RequestParser, UnknownTransferCoding_Is501) {
  EXPECT_EQ(RejectionStatus("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), 501);
  EXPECT_EQ(RejectionStatus("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n"), 501);
}

TEST(RequestParser, TransferCodingInHttp10_IsMalformed) {
  EXPECT_EQ(RejectionStatus("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
}

TEST(RequestParser, CodedBody_Is415) {
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Encoding: ";
  EXPECT_EQ(RejectionStatus(head + "gzip\r\n\r\nabc"), 415);
  EXPECT_EQ(RejectionStatus(head + "Identity\r\n\r\nabc"), 0);
  EXPECT_EQ(RejectionStatus(head + "\r\n\r\nabc"), 0);
}

TEST(RequestParser, BodyOverTheLimit_Is413AsSoonAsItIsKnown) {
  EXPECT_EQ(RejectionStatus("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n"), 413);
  EXPECT_EQ(RejectionStatus("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\n"), 413);
  EXPECT_EQ(RejectionStatus("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n"), 413);
  EXPECT_EQ(RejectionStatus("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n"), 413);
  EXPECT_EQ(RejectionStatus("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n"), 0);
}

TEST(RequestParser, HeadOverTheLimit_Is431HoweverItIsSplit) {
  const std::string long_target = "GET /" + std::string(1000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n";
  std::string many_fields = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 200; ++i) many_fields += "a: b\r\n";
  many_fields += "\r\n";
  for (const std::string& bytes : {long_target, many_fields}) {
    for (const size_t piece : {size_t{1}, size_t{7}, bytes.size()}) {
      RequestParser parser(kLimits);
      std::string waiting;
      int status = 0;
      for (size_t at = 0; at < bytes.size() && status == 0; at += piece) {
        waiting += bytes.substr(at, piece);
        const auto fed = parser.Feed(waiting);
        fed ? static_cast<void>(waiting.erase(0, *fed)) : static_cast<void>(status = fed.error().status);
      }
      EXPECT_EQ(status, 431) << "pieces of " << piece;
    }
  }
}

TEST(RequestParser, Expectation_IsKnownAfterTheHead) {
  RequestParser parser(kLimits);
  ASSERT_TRUE(parser.Feed("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n").has_value());
  EXPECT_EQ(parser.stage(), Stage::kBody);
  EXPECT_TRUE(parser.expects_continue());
  EXPECT_EQ(RejectionStatus("POST / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\nContent-Length: 3\r\n\r\n"), 417);
}

}  // namespace
}  // namespace autoglm::http
