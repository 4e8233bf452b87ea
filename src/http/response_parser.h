#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "http/client.h"

namespace autoglm::http {

// One HTTP/1.x response, fed in pieces of any size; interim responses (1xx) before it are passed over. Beast does the parsing,
// behind this interface because it compiles slowly.
class ResponseParser {
 public:
  enum class RequestKind { kOrdinary, kHead };  // the answer to HEAD has no body, whatever its head says

  ResponseParser(int64_t max_head_bytes, RequestKind kind);
  ~ResponseParser();
  ResponseParser(ResponseParser&&) noexcept;
  ResponseParser& operator=(ResponseParser&&) noexcept;

  // Takes a prefix of `input` and returns its length; the rest must be offered again, with more behind it. Stops behind a head,
  // so that it can be taken before there is any body. The error is for people.
  tl::expected<size_t, std::string> Feed(std::string_view input);
  // The connection has ended. False where that is no end of this response.
  bool FeedEnd();

  bool has_head() const;
  bool is_complete() const;
  // The connection may carry another request, once this is complete.
  bool keep_alive() const;

  // Once, when it is there.
  ResponseHead TakeHead();
  // Of the body, what came since it was last taken.
  const std::string& body() const;
  void ClearBody();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace autoglm::http
