#pragma once

#include <cstdint>
#include <string>

#include "auth/policy.h"

namespace autoglm {

// Who a request comes from, and what that one may do.
struct Principal {
  std::string key_id;  // of a key in the database "key-...", of one in a file "file:NAME", of a token "jwt:SUBJECT"; open: empty
  std::string name;    // for people
  Policy policy;
  // Equal for all keys of a tenant and after a restart, and never from anything a request says: whoever could choose it could
  // ask the prefix cache what others wrote. 0 is the salt of open servers only.
  uint64_t cache_salt = 0;
};

}  // namespace autoglm
