#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <tl/expected.hpp>

#include "http/http_error.h"
#include "http/server.h"

namespace autoglm::http {

// One HTTP/1.x request, fed in pieces of any size. Beast does the parsing, behind this interface because it compiles slowly.
class RequestParser {
 public:
  enum class Stage { kHead, kBody, kComplete };

  struct Limits {
    int64_t header_bytes;
    int64_t body_bytes;
  };

  explicit RequestParser(const Limits& limits);
  ~RequestParser();

  // Takes a prefix of `input` and returns its length; the rest must be offered again, with more behind it, or belongs to the
  // next request. Not to be called again after a rejection or once complete.
  tl::expected<size_t, Rejection> Feed(std::string_view input);

  Stage stage() const;

  // Valid once the stage is past kHead.
  int64_t num_body_bytes() const;  // so far, of the body
  bool expects_continue() const;   // the client waits for "100 Continue" before it sends the body
  bool keep_alive() const;
  bool is_http_1_0() const;

  // Valid when complete, once. Leaves `peer` and `accepted` to the caller.
  Request TakeRequest();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace autoglm::http
