#include "hub/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <mutex>
#include <regex>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace autoglm {
namespace {

constexpr long kConnectTimeoutSeconds = 20;
constexpr long kStalledSeconds = 60;  // without a single byte
constexpr long kRedirectsMax = 10;

// <https://host/next>; rel="next"
std::string NextOf(std::string_view link) {
  static const std::regex kNext(R"re(<([^>]*)>\s*;[^,]*rel="?next"?)re");
  std::match_results<std::string_view::const_iterator> match;
  return std::regex_search(link.begin(), link.end(), match, kNext) ? match[1].str() : std::string();
}

// The value of a header line, where it is that header.
std::string_view HeaderValue(std::string_view line, std::string_view name) {
  if (line.size() <= name.size() || line[name.size()] != ':') return {};
  for (size_t i = 0; i < name.size(); ++i) {
    if ((line[i] | 0x20) != name[i]) return {};
  }
  line.remove_prefix(name.size() + 1);
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  return line;
}

// One transfer, as its callbacks see it.
struct Transfer {
  CURL* curl = nullptr;
  int64_t body_max = 0;
  std::string body;
  std::string link;
  int64_t range_begin = 0;
  bool is_too_large = false;

  const HttpClient::Sink* sink = nullptr;  // null: a document
  bool has_begun = false;
  bool is_stopped = false;

  int64_t status() const {
    long code = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    return code;
  }
};

int OnProgress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& is_cancelled = *static_cast<const std::function<bool()>*>(context);
  return is_cancelled && is_cancelled() ? 1 : 0;
}

size_t OnHeader(char* data, size_t size, size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::string_view line(data, size * count);
  if (line.starts_with("HTTP/")) {  // of the next answer, after a redirect
    transfer.link.clear();
    transfer.range_begin = 0;
  }
  if (const std::string_view link = HeaderValue(line, "link"); !link.empty()) transfer.link = link;
  if (const std::string_view range = HeaderValue(line, "content-range"); range.starts_with("bytes ")) {
    transfer.range_begin = std::strtoll(std::string(range.substr(6)).c_str(), nullptr, 10);
  }
  return size * count;
}

size_t OnBytes(char* data, size_t size, size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const size_t num_bytes = size * count;
  if (transfer.sink == nullptr) {
    transfer.is_too_large = static_cast<int64_t>(transfer.body.size() + num_bytes) > transfer.body_max;
    if (transfer.is_too_large) return 0;
    transfer.body.append(data, num_bytes);
    return num_bytes;
  }
  if (transfer.status() >= 300) return num_bytes;  // an explanation nobody reads
  const bool goes_on = (std::exchange(transfer.has_begun, true) ||
                        transfer.sink->begin(transfer.status(), transfer.status() == 206 ? transfer.range_begin : 0)) &&
                       transfer.sink->bytes(std::as_bytes(std::span(data, num_bytes)));
  transfer.is_stopped = !goes_on;
  return goes_on ? num_bytes : 0;
}

}  // namespace

struct HttpClient::Impl {
  explicit Impl(std::string agent) : user_agent(std::move(agent)) {
    static std::once_flag once;
    std::call_once(once, [] { AUTOGLM_CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == 0); });
    curl = curl_easy_init();
    AUTOGLM_CHECK(curl != nullptr);
  }
  ~Impl() { curl_easy_cleanup(curl); }

  void Prepare(const std::string& url, const std::string& bearer_token, Transfer& transfer) {
    curl_easy_reset(curl);
    transfer.curl = curl;
    const bool is_plain = url.starts_with("http://");
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_USERAGENT, user_agent.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, is_plain ? "http,https" : "https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, kRedirectsMax);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectTimeoutSeconds);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kStalledSeconds);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, OnHeader);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, OnBytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, OnProgress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &is_cancelled);
    error[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    if (bearer_token.empty()) return;
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, bearer_token.c_str());
  }

  std::string Problem(CURLcode code) const { return error[0] != '\0' ? error : curl_easy_strerror(code); }

  const std::string user_agent;
  std::function<bool()> is_cancelled;
  CURL* curl = nullptr;
  char error[CURL_ERROR_SIZE] = {};
};

HttpClient::HttpClient(std::string user_agent) : impl_(std::make_unique<Impl>(std::move(user_agent))) {}
HttpClient::~HttpClient() = default;

void HttpClient::SetCancelCheck(std::function<bool()> is_cancelled) { impl_->is_cancelled = std::move(is_cancelled); }

Result<HttpDocument> HttpClient::Get(const std::string& url, const std::string& bearer_token, int64_t max_bytes) {
  Transfer transfer{.body_max = max_bytes};
  impl_->Prepare(url, bearer_token, transfer);
  const CURLcode code = curl_easy_perform(impl_->curl);
  if (transfer.is_too_large) {
    return Fail(ErrorCode::kPayloadTooLarge, fmt::format("the answer of {} is larger than {} bytes", url, max_bytes));
  }
  if (code != CURLE_OK) return Fail(ErrorCode::kUnavailable, fmt::format("{}: {}", url, impl_->Problem(code)));
  return HttpDocument{.status = transfer.status(), .body = std::move(transfer.body), .next_url = NextOf(transfer.link)};
}

HttpDownload HttpClient::Download(const std::string& url, const std::string& bearer_token, int64_t offset, const Sink& sink) {
  Transfer transfer{.sink = &sink};
  impl_->Prepare(url, bearer_token, transfer);
  const std::string range = fmt::format("{}-", offset);
  if (offset > 0) curl_easy_setopt(impl_->curl, CURLOPT_RANGE, range.c_str());
  const CURLcode code = curl_easy_perform(impl_->curl);
  HttpDownload end{
      .status = transfer.status(), .first_byte = transfer.range_begin, .is_complete = code == CURLE_OK, .problem = {}};
  if (!end.is_complete) end.problem = transfer.is_stopped ? "stopped" : impl_->Problem(code);
  return end;
}

}  // namespace autoglm
