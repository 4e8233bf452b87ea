#include "cli/url_fetch.h"

#include <fmt/format.h>

#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "base/text_file.h"
#include "http/client.h"
#include "http/event_loop.h"

namespace autoglm {
namespace {

struct Target {
  http::Origin origin;
  std::string path;
};

Result<Target> ParseTarget(const std::string& url) {
  const size_t host = url.find("://");
  const size_t path = host == std::string::npos ? host : url.find_first_of("/?", host + 3);
  Target target;
  AUTOGLM_TRY(target.origin, http::Origin::Parse(url.substr(0, path)));
  target.path = path == std::string::npos ? "/" : url.substr(path);
  if (target.path.starts_with('?')) target.path.insert(0, "/");
  if (http::Origin::IsHttps(url)) {
    AUTOGLM_TRY(target.origin.tls, http::TlsContext::ForClient({}));
  }
  return target;
}

bool IsUrl(const std::string& text) { return text.starts_with("http://") || text.starts_with("https://"); }

}  // namespace

Result<std::string> FetchUrl(const UrlRequest& request) {
  AUTOGLM_TRY(const Target target, ParseTarget(request.url));
  http::ClientRequest out{.target = target.path, .timeouts = {.connect = request.timeout, .total = request.timeout}};
  out.headers.Add("Accept", "*/*");
  if (!request.bearer_token.empty()) out.headers.Add("Authorization", "Bearer " + request.bearer_token);

  std::promise<Result<http::Client::Answer>> promise;
  http::LoopThread thread;
  std::optional<http::Client> client;
  std::unique_ptr<http::ClientCall> call;
  thread.RunAndWait([&] {
    client.emplace(thread.loop());
    call = client->Fetch(target.origin, std::move(out), request.max_bytes,
                         [&promise](Result<http::Client::Answer> answer) { promise.set_value(std::move(answer)); });
  });
  const Result<http::Client::Answer> answer = promise.get_future().get();
  thread.RunAndWait([&] {
    call.reset();
    client.reset();
  });

  if (!answer) return Fail(answer.error().code, fmt::format("{}: {}", request.url, answer.error().message));
  if (answer->head.status / 100 == 2) return answer->body;
  return Fail(ErrorCode::kUnavailable, fmt::format("{} answers {}", request.url, answer->head.status));
}

Result<std::string> FetchUrlOrFile(const std::string& url_or_path, const std::string& bearer_token) {
  if (!IsUrl(url_or_path)) return ReadTextFile(url_or_path);
  return FetchUrl({.url = url_or_path, .bearer_token = bearer_token});
}

std::string UrlOf(std::string_view server, std::string_view path) {
  while (server.ends_with('/')) server.remove_suffix(1);
  return std::string(server).append(path);
}

std::string PercentEncoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                          c == '.' || c == '~';
    encoded += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

}  // namespace autoglm
