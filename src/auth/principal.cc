#include "auth/principal.h"

#include <fmt/format.h>

#include <algorithm>

#include "auth/secret_hash.h"

namespace autoglm {
namespace {

constexpr size_t kMaxTenantBytes = 64;

bool IsTenantName(std::string_view text) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  return !text.empty() && text.size() <= kMaxTenantBytes && std::ranges::all_of(text, is_plain);
}

}  // namespace

Result<std::shared_ptr<const Principal>> ActingFor(const std::shared_ptr<const Principal>& principal, std::string_view tenant) {
  if (!principal->is_open() && !principal->policy.acts_for_tenants) {
    return Fail(ErrorCode::kPermissionDenied,
                fmt::format("This key may not ask for other tenants ({}): its policy needs acts_for_tenants.", kTenantHeader));
  }
  if (!IsTenantName(tenant)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{} must be 1 to {} letters, digits, '-', '_' and '.'", kTenantHeader, kMaxTenantBytes),
                std::string(kTenantHeader));
  }
  auto acting = std::make_shared<Principal>(*principal);
  acting->cache_salt = CacheSaltWithin(principal->cache_salt, tenant);
  return acting;
}

}  // namespace autoglm
