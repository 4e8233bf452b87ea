#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "base/random.h"

namespace autoglm {

// Names for requests and answers, and seeds. Any thread.
class IdSource {
 public:
  explicit IdSource(uint64_t seed) : random_(seed) {}

  std::string NextHex();   // 32 digits
  int64_t NextSeed();      // [0, 2^53): exact in every reader of JSON
  std::string NextUuid();  // "01234567-89ab-cdef-0123-456789abcdef"

 private:
  std::mutex mutex_;
  Random random_;
};

// Whether a client's x-request-id may be repeated in headers and logs: 1 to 128 printable ASCII characters.
bool IsValidRequestId(std::string_view id);

}  // namespace autoglm
