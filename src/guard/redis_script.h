#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "guard/redis_connection.h"

namespace autoglm::guard {

// A Lua script that Redis runs as a whole, called by its hash, and by its text where Redis does not know it (yet, or any more).
// Immutable: any thread.
class RedisScript {
 public:
  explicit RedisScript(std::string_view text);

  // For the greeting of a connection. Else the first calls overtake each other: what Redis does not know goes there twice.
  RedisConnection::Command LoadCommand() const { return {"SCRIPT", "LOAD", text_}; }

  // As RedisConnection::Send.
  [[nodiscard]] bool Run(RedisConnection& connection, const std::vector<std::string>& keys, std::vector<std::string> arguments,
                         RedisConnection::Done done) const;

 private:
  const std::string text_;
  const std::string sha1_;
};

}  // namespace autoglm::guard
