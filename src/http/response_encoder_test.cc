#include "http/response_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "http/http_error.h"

namespace autoglm::http {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string Joined(const OutputPieces& out) {
  std::string joined;
  for (const std::string& piece : out.pieces()) joined += piece;
  return joined;
}

std::string EncodeWhole(ResponseEncoder::Traits traits, Response response) {
  OutputPieces out;
  ResponseEncoder(traits).EncodeHead(std::move(response), BodyPart::kWhole, out);
  return Joined(out);
}

TEST(ResponseEncoder, WholeBody_HasItsLength) {
  const std::string bytes = EncodeWhole({}, {404, {{"X-A", "b"}}, "hello"});
  EXPECT_THAT(bytes, StartsWith("HTTP/1.1 404 Not Found\r\nDate: "));
  EXPECT_THAT(bytes, HasSubstr(" GMT\r\nX-A: b\r\nContent-Length: 5\r\n\r\n"));
  EXPECT_THAT(bytes, EndsWith("\r\n\r\nhello"));
  EXPECT_THAT(bytes, Not(HasSubstr("Connection")));
}

TEST(ResponseEncoder, LinesThatArePutTogether_FollowTheHeaders) {
  Response response{.status = 200, .headers = {{"a", "b"}}, .body = "x"};
  response.lines.Add("x-id", "1");
  response.lines.Add("x-utf8",
                     "Gr\xC3\xBC\xC3\x9F"
                     "e \xFF\x80");
  EXPECT_THAT(EncodeWhole({}, response), HasSubstr("\r\na: b\r\nx-id: 1\r\nx-utf8: Gr\xC3\xBC\xC3\x9F"
                                                   "e \xFF\x80\r\nContent-Length: 1\r\n"));
}

// Wherever in a word of eight bytes it stands.
TEST(HeaderLines, LineBreaks_BecomeSpaces) {
  for (const char bad : {'\r', '\n', '\0'}) {
    for (size_t at = 0; at < 20; ++at) {
      std::string value(20, 'v');
      value[at] = bad;
      HeaderLines lines;
      lines.Add("name", value);
      value[at] = ' ';
      EXPECT_EQ(lines.text(), "name: " + value + "\r\n") << at;
    }
  }
}

TEST(ResponseEncoder, Stream_IsChunked) {
  ResponseEncoder encoder({});
  OutputPieces out;
  encoder.EncodeHead({}, BodyPart::kStreamed, out);
  encoder.EncodeChunk("0123456789abcdef", out);
  encoder.EncodeChunk("", out);
  encoder.EncodeEnd(out);
  EXPECT_THAT(Joined(out), EndsWith("Transfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"));
  EXPECT_TRUE(encoder.keeps_alive());
}

TEST(ResponseEncoder, StreamToHttp10_EndsWithTheConnection) {
  ResponseEncoder encoder({.is_http_1_0 = true, .keep_alive = true});
  OutputPieces out;
  encoder.EncodeHead({}, BodyPart::kStreamed, out);
  encoder.EncodeChunk("abc", out);
  encoder.EncodeEnd(out);
  EXPECT_THAT(Joined(out), EndsWith("Connection: close\r\n\r\nabc"));
  EXPECT_FALSE(encoder.keeps_alive());
}

TEST(ResponseEncoder, Http10KeepAlive_IsConfirmed) {
  EXPECT_THAT(EncodeWhole({.is_http_1_0 = true, .keep_alive = true}, {}), HasSubstr("Connection: keep-alive\r\n"));
}

TEST(ResponseEncoder, HeadRequest_GetsLengthWithoutBody) {
  EXPECT_THAT(EncodeWhole({.is_head_request = true}, {200, {}, "hello"}), EndsWith("Content-Length: 5\r\n\r\n"));
}

TEST(ResponseEncoder, NoContent_HasNeitherLengthNorBody) {
  EXPECT_THAT(EncodeWhole({}, {204, {}, ""}), Not(HasSubstr("Content-Length")));
}

TEST(ResponseEncoder, HeaderValue_CannotBreakOut) {
  const std::string bytes = EncodeWhole({}, {200, {{"X-Id", "a\r\nSet-Cookie: b"}}, ""});
  EXPECT_THAT(bytes, HasSubstr("X-Id: a  Set-Cookie: b\r\n"));
}

TEST(ResponseEncoder, FramingHeadersOfTheHandler_AreNotRepeated) {
  const std::string bytes = EncodeWhole({}, {200, {{"content-length", "99"}, {"Transfer-Encoding", "chunked"}}, "x"});
  EXPECT_THAT(bytes, Not(HasSubstr("99")));
  EXPECT_THAT(bytes, Not(HasSubstr("chunked")));
}

TEST(OutputPieces, SmallPiecesJoin_LargeOnesMove) {
  OutputPieces out;
  for (int i = 0; i < 100; ++i) out.AppendMoved("token");
  EXPECT_EQ(out.pieces().size(), 1u);
  out.AppendMoved(std::string(1 << 20, 'x'));
  out.Append("end");
  EXPECT_EQ(out.pieces().size(), 3u);
}

TEST(RejectionResponse, IsOpenAisErrorForm) {
  const Response response = RejectionResponse({413, "request_too_large", "Too large."});
  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(response.body, R"({"error":{"message":"Too large.","type":"invalid_request_error","param":null,)"
                           R"("code":"request_too_large"}})");
}

}  // namespace
}  // namespace autoglm::http
