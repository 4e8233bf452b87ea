#include "http/response_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <limits>
#include <utility>

#include "base/check.h"
#include "http/header_names.h"

namespace autoglm::http {
namespace beast_http = boost::beast::http;
using boost::system::error_code;

namespace {

// Beast's grammar, without the tree of fields that its own parsers build.
class Grammar final : public beast_http::basic_parser<false> {
 public:
  Grammar(int64_t max_head_bytes, ResponseParser::RequestKind kind) {
    header_limit(static_cast<uint32_t>(std::min<int64_t>(max_head_bytes, std::numeric_limits<uint32_t>::max())));
    body_limit(boost::none);
    skip(kind == ResponseParser::RequestKind::kHead);
  }

  ResponseHead head;
  std::string body;

 private:
  void on_request_impl(beast_http::verb, boost::beast::string_view, boost::beast::string_view, int, error_code&) override {}
  void on_response_impl(int code, boost::beast::string_view, int, error_code&) override { head.status = code; }

  void on_field_impl(beast_http::field, boost::beast::string_view name, boost::beast::string_view value, error_code&) override {
    std::string lower = LowerCase({name.data(), name.size()});
    if (!IsHopByHop(lower)) head.headers.emplace_back(std::move(lower), std::string(value.data(), value.size()));
  }

  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&, error_code&) override {}
  size_t on_body_impl(boost::beast::string_view text, error_code&) override { return Append(text); }
  void on_chunk_header_impl(uint64_t, boost::beast::string_view, error_code&) override {}
  size_t on_chunk_body_impl(uint64_t, boost::beast::string_view text, error_code&) override { return Append(text); }
  void on_finish_impl(error_code&) override {}

  size_t Append(boost::beast::string_view text) {
    body.append(text.data(), text.size());
    return text.size();
  }
};

bool IsInterim(int status) { return status >= 100 && status < 200 && status != 101; }

}  // namespace

struct ResponseParser::Impl {
  Impl(int64_t own_max_head_bytes, RequestKind own_kind) : max_head_bytes(own_max_head_bytes), kind(own_kind) { Begin(); }

  void Begin() {
    grammar.emplace(max_head_bytes, kind);
    has_head = false;
  }

  const int64_t max_head_bytes;
  const RequestKind kind;
  std::optional<Grammar> grammar;
  bool has_head = false;
  int num_interim = 0;
  int64_t num_head_bytes = 0;  // of interim responses too
};

ResponseParser::ResponseParser(int64_t max_head_bytes, RequestKind kind) : impl_(std::make_unique<Impl>(max_head_bytes, kind)) {}
ResponseParser::~ResponseParser() = default;
ResponseParser::ResponseParser(ResponseParser&&) noexcept = default;
ResponseParser& ResponseParser::operator=(ResponseParser&&) noexcept = default;

tl::expected<size_t, std::string> ResponseParser::Feed(std::string_view input) {
  constexpr int kMaxInterim = 16;
  size_t consumed = 0;
  while (consumed < input.size() && !is_complete()) {
    Grammar& grammar = *impl_->grammar;
    error_code error;
    grammar.eager(impl_->has_head);
    const size_t taken = grammar.put(boost::asio::buffer(input.data() + consumed, input.size() - consumed), error);
    consumed += taken;
    if (!impl_->has_head) impl_->num_head_bytes += static_cast<int64_t>(taken);
    if (impl_->num_head_bytes > impl_->max_head_bytes) return tl::unexpected(std::string("the head is too large"));
    if (error && error != beast_http::error::need_more) return tl::unexpected(error.message());
    const bool has_new_head = !impl_->has_head && grammar.is_header_done();
    if (has_new_head && IsInterim(grammar.head.status)) {
      if (++impl_->num_interim > kMaxInterim) return tl::unexpected(std::string("too many interim responses"));
      impl_->Begin();
      continue;
    }
    if (has_new_head) {
      impl_->has_head = true;
      break;
    }
    if (taken == 0) break;
  }
  return consumed;
}

bool ResponseParser::FeedEnd() {
  if (is_complete()) return true;
  if (!impl_->has_head) return false;
  error_code error;
  impl_->grammar->put_eof(error);
  return !error && is_complete();
}

bool ResponseParser::has_head() const { return impl_->has_head; }
bool ResponseParser::is_complete() const { return impl_->has_head && impl_->grammar->is_done(); }
bool ResponseParser::keep_alive() const { return impl_->grammar->keep_alive(); }

ResponseHead ResponseParser::TakeHead() {
  AUTOGLM_CHECK(impl_->has_head);
  return std::move(impl_->grammar->head);
}

const std::string& ResponseParser::body() const { return impl_->grammar->body; }
void ResponseParser::ClearBody() { impl_->grammar->body.clear(); }

}  // namespace autoglm::http
