#include "http/response_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/beast/http/status.hpp>
#include <cctype>
#include <ctime>
#include <iterator>
#include <utility>

#include "http/header_names.h"

namespace autoglm::http {
namespace {

// Joining costs a copy; a buffer of its own costs an iovec. Beyond this size the copy is the dearer one.
constexpr size_t kJoinedPieceBytes = 16 << 10;

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// The encoder decides about these; a handler that passes them on from elsewhere must not contradict it.
bool IsFramingHeader(std::string_view name) {
  constexpr std::array<std::string_view, 4> kFraming = {"content-length", "transfer-encoding", "connection", "date"};
  return std::any_of(kFraming.begin(), kFraming.end(), [&](std::string_view f) { return EqualsIgnoreCase(name, f); });
}

// RFC 9110 section 5.6.7; not strftime, whose names follow the locale.
std::string FormatHttpDate(std::time_t now) {
  constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm utc{};
  gmtime_r(&now, &utc);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[static_cast<size_t>(utc.tm_wday)], utc.tm_mday,
                     kMonths[static_cast<size_t>(utc.tm_mon)], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

// The same for a second: the text is kept.
const std::string& HttpDate(std::time_t now) {
  thread_local std::time_t second = 0;
  thread_local std::string text;
  if (now != second || text.empty()) {
    text = FormatHttpDate(now);
    second = now;
  }
  return text;
}

bool StatusHasBody(int status) { return status >= 200 && status != 204 && status != 304; }

}  // namespace

void OutputPieces::Append(std::string_view bytes) {
  if (bytes.empty()) return;
  if (!pieces_.empty() && pieces_.back().size() + bytes.size() <= kJoinedPieceBytes) {
    pieces_.back().append(bytes);
  } else {
    pieces_.emplace_back(bytes);
  }
}

void OutputPieces::AppendMoved(std::string bytes) {
  if (bytes.size() <= kJoinedPieceBytes / 4) {
    Append(bytes);
  } else {
    pieces_.push_back(std::move(bytes));
  }
}

void ResponseEncoder::EncodeHead(Response response, BodyPart part, OutputPieces& out) {
  const bool status_has_body = StatusHasBody(response.status);
  is_chunked_ = part == BodyPart::kStreamed && status_has_body && !traits_.is_http_1_0;
  // An HTTP/1.0 stream has no other end mark than the end of the connection.
  if (part == BodyPart::kStreamed && traits_.is_http_1_0) traits_.keep_alive = false;
  has_body_ = status_has_body && !traits_.is_head_request;

  std::string head;
  head.reserve(kUsualHeadBytes);
  fmt::format_to(std::back_inserter(head), "HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status, ReasonPhrase(response.status),
                 HttpDate(std::time(nullptr)));
  for (const auto& [name, value] : response.headers) {
    if (!IsFramingHeader(name)) AppendHeaderLine(name, value, head);
  }
  head.append(response.lines.text());
  if (is_chunked_) head.append("Transfer-Encoding: chunked\r\n");
  if (part == BodyPart::kWhole && status_has_body) {
    fmt::format_to(std::back_inserter(head), "Content-Length: {}\r\n", response.body.size());
  }
  if (!traits_.keep_alive) {
    head.append("Connection: close\r\n");
  } else if (traits_.is_http_1_0) {
    head.append("Connection: keep-alive\r\n");
  }
  head.append("\r\n");
  out.Append(head);
  if (part == BodyPart::kWhole && has_body_) out.AppendMoved(std::move(response.body));
}

void ResponseEncoder::EncodeChunk(std::string data, OutputPieces& out) const {
  // An empty chunk would end the body.
  if (!has_body_ || data.empty()) return;
  if (is_chunked_) out.Append(fmt::format("{:x}\r\n", data.size()));
  out.AppendMoved(std::move(data));
  if (is_chunked_) out.Append("\r\n");
}

void ResponseEncoder::EncodeEnd(OutputPieces& out) const {
  if (has_body_ && is_chunked_) out.Append("0\r\n\r\n");
}

std::string_view ReasonPhrase(int status) {
  const auto known = boost::beast::http::int_to_status(static_cast<unsigned>(status));
  if (known == boost::beast::http::status::unknown) return "";
  const auto reason = boost::beast::http::obsolete_reason(known);
  return {reason.data(), reason.size()};
}

}  // namespace autoglm::http
