#include "http/request_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <new>
#include <utility>

#include "base/check.h"
#include "http/header_names.h"

namespace autoglm::http {
namespace beast_http = boost::beast::http;

namespace {

Rejection Malformed(std::string message) { return {400, "malformed_request", std::move(message)}; }

Rejection HeadTooLarge(int64_t max_bytes) {
  return {431, "headers_too_large",
          fmt::format("The request line and headers exceed {} bytes. Send fewer or shorter headers.", max_bytes)};
}

Rejection ToRejection(const boost::system::error_code& error, const RequestParser::Limits& limits) {
  if (error == beast_http::error::body_limit) {
    return {413, "request_too_large",
            fmt::format("The request body exceeds the limit of {} bytes. Send a smaller request.", limits.body_bytes)};
  }
  if (error == beast_http::error::header_limit) return HeadTooLarge(limits.header_bytes);
  return Malformed(fmt::format("The request is not valid HTTP/1.1: {}.", error.message()));
}

// "http://host/path" -> "/path": a proxy's form, which every server must accept (RFC 9112 section 3.2.2).
std::string_view StripAuthority(std::string_view target) {
  const size_t scheme_end = target.find("://");
  if (target.starts_with('/') || scheme_end == std::string_view::npos) return target;
  const size_t path = target.find('/', scheme_end + 3);
  return path == std::string_view::npos ? "/" : target.substr(path);
}

// More than any client has; what goes through them all for each request must not cost a request's time.
constexpr size_t kMaxHeaders = 256;

// Room behind a body, so that whoever scans it may read a little beyond its end.
constexpr size_t kBodyPaddingBytes = 64;

// Beast's grammar, without the tree of fields that its own parsers build.
class RequestGrammar final : public beast_http::basic_parser<true> {
 public:
  explicit RequestGrammar(const RequestParser::Limits& limits) {
    header_limit(static_cast<uint32_t>(limits.header_bytes));
    body_limit(static_cast<uint64_t>(limits.body_bytes));
    // One step a call: a head is looked at before anything behind it is read.
    eager(false);
  }

  Request request;
  int version = 11;  // 10 or 11

 private:
  using String = boost::beast::string_view;

  void on_request_impl(beast_http::verb, String method, String target, int http_version, boost::system::error_code&) override {
    request.method = std::string(method.data(), method.size());
    request.path = std::string(target.data(), target.size());  // all of it, until the head is complete
    version = http_version;
  }
  void on_response_impl(int, String, int, boost::system::error_code&) override {}
  void on_field_impl(beast_http::field, String name, String value, boost::system::error_code&) override {
    if (is_header_done()) return;  // a trailer
    request.headers.emplace_back(LowerCase({name.data(), name.size()}), std::string(value.data(), value.size()));
  }
  void on_header_impl(boost::system::error_code&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>& length, boost::system::error_code&) override {
    if (length) request.body.reserve(static_cast<size_t>(*length) + kBodyPaddingBytes);
  }
  size_t on_body_impl(String text, boost::system::error_code&) override { return Append(text); }
  void on_chunk_header_impl(uint64_t, String, boost::system::error_code&) override {}
  size_t on_chunk_body_impl(uint64_t, String text, boost::system::error_code&) override { return Append(text); }
  void on_finish_impl(boost::system::error_code&) override {}

  size_t Append(String text) {
    request.body.append(text.data(), text.size());
    return text.size();
  }
};

}  // namespace

struct RequestParser::Impl {
  explicit Impl(const Limits& l) : limits(l), parser(l) { parser.request.headers.reserve(kUsualHeaders); }

  static constexpr size_t kUsualHeaders = 16;

  Limits limits;
  RequestGrammar parser;
  int64_t head_bytes = 0;
  bool has_head = false;

  tl::expected<size_t, Rejection> Step(std::string_view input);
  tl::expected<void, Rejection> TakeHead();
  tl::expected<void, Rejection> CheckHead() const;
};

RequestParser::RequestParser(const Limits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;

tl::expected<size_t, Rejection> RequestParser::Feed(std::string_view input) {
  size_t consumed = 0;
  try {
    // A client may send empty lines before its request line (RFC 9112 section 2.2).
    if (impl_->head_bytes == 0) {
      while (input.substr(consumed).starts_with("\r\n")) consumed += 2;
    }
    while (consumed < input.size() && !impl_->parser.is_done()) {
      const auto step = impl_->Step(input.substr(consumed));
      if (!step) return tl::unexpected<Rejection>(step.error());
      if (*step == 0) break;
      consumed += *step;
    }
  } catch (const std::bad_alloc&) {
    return tl::unexpected<Rejection>({503, "out_of_memory", "The server has no memory for this request. Try again later."});
  }
  return consumed;
}

tl::expected<size_t, Rejection> RequestParser::Impl::Step(std::string_view input) {
  boost::system::error_code error;
  const size_t consumed = parser.put(boost::asio::buffer(input.data(), input.size()), error);
  if (error && error != beast_http::error::need_more) return tl::unexpected<Rejection>(ToRejection(error, limits));

  if (!has_head) {
    // Beast limits what it has not consumed yet; the limit is meant for the whole head.
    head_bytes += static_cast<int64_t>(consumed);
    const int64_t waiting = parser.is_header_done() ? 0 : static_cast<int64_t>(input.size() - consumed);
    if (head_bytes + waiting > limits.header_bytes) return tl::unexpected<Rejection>(HeadTooLarge(limits.header_bytes));
    if (parser.is_header_done()) {
      if (auto taken = TakeHead(); !taken) return tl::unexpected<Rejection>(taken.error());
    }
  }
  return consumed;
}

tl::expected<void, Rejection> RequestParser::Impl::TakeHead() {
  has_head = true;
  Request& request = parser.request;
  const std::string whole = std::move(request.path);
  const std::string_view target = StripAuthority(whole);
  const size_t question = target.find('?');
  request.path = std::string(target.substr(0, question));
  if (question != std::string_view::npos) request.query = std::string(target.substr(question + 1));
  return CheckHead();
}

// What Beast lets through and RFC 9112 does not.
tl::expected<void, Rejection> RequestParser::Impl::CheckHead() const {
  const Request& request = parser.request;
  if (request.headers.size() > kMaxHeaders) {
    return tl::unexpected<Rejection>(
        {431, "too_many_headers", fmt::format("The request has more than {} headers. Send fewer.", kMaxHeaders)});
  }
  const bool is_http_1_0 = parser.version < 11;
  const auto num_hosts = std::ranges::count(request.headers, "host", &std::pair<std::string, std::string>::first);
  if (num_hosts > 1 || (num_hosts == 0 && !is_http_1_0)) {
    return tl::unexpected<Rejection>(Malformed("A request needs exactly one Host header."));
  }
  if (!request.path.starts_with('/') && request.path != "*") {
    return tl::unexpected<Rejection>(Malformed("The request target must be a path that starts with a slash."));
  }
  for (const auto& [name, value] : request.headers) {
    // HTTP/1.0 knows none: whoever passed the request on has framed it by something else (RFC 9112 section 6.1).
    if (name == "transfer-encoding" && is_http_1_0) {
      return tl::unexpected<Rejection>(Malformed("An HTTP/1.0 request must not have a transfer encoding."));
    }
    // A coding that is not understood leaves the end of the body unknown: reading on would be request smuggling.
    if (name == "transfer-encoding" && LowerCase(value) != "chunked") {
      return tl::unexpected<Rejection>(
          {501, "unsupported_transfer_encoding", "The only transfer encoding this server reads is chunked."});
    }
    if (name == "expect" && LowerCase(value) != "100-continue") {
      return tl::unexpected<Rejection>(
          {417, "unsupported_expectation", "The only expectation this server meets is 100-continue."});
    }
  }
  const std::string content_coding = LowerCase(request.Header("content-encoding"));
  if (!content_coding.empty() && content_coding != "identity") {
    return tl::unexpected<Rejection>(
        {415, "unsupported_content_encoding", "This server reads plain bodies only. Send the request without Content-Encoding."});
  }
  return {};
}

RequestParser::Stage RequestParser::stage() const {
  if (!impl_->has_head) return Stage::kHead;
  return impl_->parser.is_done() ? Stage::kComplete : Stage::kBody;
}

int64_t RequestParser::num_body_bytes() const { return std::ssize(impl_->parser.request.body); }
bool RequestParser::expects_continue() const { return !is_http_1_0() && !impl_->parser.request.Header("expect").empty(); }
bool RequestParser::keep_alive() const { return impl_->parser.keep_alive(); }
bool RequestParser::is_http_1_0() const { return impl_->parser.version == 10; }

Request RequestParser::TakeRequest() {
  AUTOGLM_CHECK(stage() == Stage::kComplete);
  return std::move(impl_->parser.request);
}

}  // namespace autoglm::http
