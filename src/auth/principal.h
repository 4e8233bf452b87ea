#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "auth/policy.h"
#include "base/result.h"

namespace autoglm {

// Who a request comes from, and what that one may do.
struct Principal {
  std::string key_id;  // of a key in the database "key-...", of one in a file "file:NAME", of a token "jwt:SUBJECT"; open: empty
  std::string name;    // for people
  Policy policy;
  // Equal for all keys of a tenant and after a restart, and never from anything a request says: whoever could choose it could
  // ask the prefix cache what others wrote. 0 is the salt of open servers only.
  uint64_t cache_salt = 0;

  bool is_open() const { return key_id.empty() && cache_salt == 0; }
};

// In this header a gateway says for which of its own tenants it asks, who share no cached prefixes then: 1 to 64 letters, digits,
// '-', '_' and '.'.
inline constexpr std::string_view kTenantHeader = "x-autoglm-tenant";

// The principal with the cache of a tenant of its own. Errors: kInvalidArgument for such a name, kPermissionDenied where its
// policy says nothing of acts_for_tenants. On an open server everybody may: nobody is kept apart there.
Result<std::shared_ptr<const Principal>> ActingFor(const std::shared_ptr<const Principal>& principal, std::string_view tenant);

}  // namespace autoglm
