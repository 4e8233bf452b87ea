#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace autoglm {

// A GET of a small document, for commands that ask a server. `bearer_token` empty: none. Waits, at most for `timeout`.
struct UrlRequest {
  std::string url;  // http:// or https://, with path and query
  std::string bearer_token;
  std::chrono::milliseconds timeout{10'000};
  int64_t max_bytes = 64 << 20;
};

// Errors: kInvalidArgument for what is no URL; kUnavailable where nobody answers, or with a status other than 2xx, which the
// message has; kPayloadTooLarge.
Result<std::string> FetchUrl(const UrlRequest& request);

// The same, or of a file where it is no URL. Errors: as FetchUrl and ReadTextFile.
Result<std::string> FetchUrlOrFile(const std::string& url_or_path, const std::string& bearer_token);

// Of a server's address, with a slash at its end or without, and a path that begins with one.
std::string UrlOf(std::string_view server, std::string_view path);
// As a value of a query: "a b" becomes "a%20b".
std::string PercentEncoded(std::string_view text);

}  // namespace autoglm
