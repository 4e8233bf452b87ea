#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct redisReader;

namespace autoglm::guard {

struct RedisReply {
  enum class Kind { kNil, kInteger, kText, kError, kList };
  Kind kind = Kind::kNil;
  int64_t integer = 0;
  std::string text;  // of kText and kError
  std::vector<RedisReply> list;

  bool operator==(const RedisReply&) const = default;
};

// Replies out of the bytes of a connection (RESP2), within bounds: what we ask for is answered in a few dozen bytes.
// After an error there is no telling where the next reply begins.
class RedisReplyParser {
 public:
  static constexpr size_t kMaxReplyBytes = 64 << 10;
  static constexpr int kMaxElements = 1024;

  RedisReplyParser();

  void Feed(std::string_view bytes);
  // nullopt until more bytes come. Errors: kInvalidArgument for what is no reply or exceeds the bounds.
  Result<std::optional<RedisReply>> Next();

 private:
  struct Releaser {
    void operator()(redisReader* reader) const;
  };

  std::unique_ptr<redisReader, Releaser> reader_;
  size_t num_fed_ = 0;  // since the last whole reply
};

}  // namespace autoglm::guard
