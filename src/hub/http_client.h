#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace autoglm {

// A GET of a whole small document.
struct HttpDocument {
  int64_t status = 0;
  std::string body;
  std::string next_url;  // of the next page, from the Link header; empty for the last
};

// How a download ended.
struct HttpDownload {
  int64_t status = 0;
  int64_t first_byte = 0;    // where the bytes that came belong: 0 where the server did not heed the range
  bool is_complete = false;  // the connection delivered all it had announced
  std::string problem;       // why not
};

// HTTP and HTTPS for fetching models, on libcurl: redirects, proxies, the system's certificates. One thread at a time.
//
// A bearer token goes to the host of the URL alone, never along with a redirect to another one. An http:// URL may redirect to
// both, an https:// URL only to https://.
class HttpClient {
 public:
  // `user_agent` as in "autoglm/0.1.0".
  explicit HttpClient(std::string user_agent);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Asked about once a second during every transfer, also while nothing comes; true ends it.
  void SetCancelCheck(std::function<bool()> is_cancelled);
  // Errors: kUnavailable where no answer comes; kPayloadTooLarge beyond `max_bytes`. A status of 400 and more is no error here.
  Result<HttpDocument> Get(const std::string& url, const std::string& bearer_token, int64_t max_bytes);

  // Called with the status and the place of the first byte, then with the bytes as they come; false stops the download.
  struct Sink {
    std::function<bool(int64_t status, int64_t first_byte)> begin;
    std::function<bool(std::span<const std::byte>)> bytes;
  };
  // From byte `offset` on. `bytes` is only called where the status is below 300.
  HttpDownload Download(const std::string& url, const std::string& bearer_token, int64_t offset, const Sink& sink);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace autoglm
