#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "auth/wall_time.h"
#include "base/result.h"

namespace autoglm {

// Which tokens (RFC 7519) are taken, and what they say.
struct JwtOptions {
  std::filesystem::path jwks;  // a JSON Web Key Set
  std::string issuer;          // what "iss" must be; empty: anything
  std::string audience;        // what "aud" must be or hold; empty: anything
  std::string policy;          // for tokens that name none; empty: those are refused
  std::string policy_claim = "autoglm_policy";
  std::string tenant_claim = "tenant";

  bool operator==(const JwtOptions&) const = default;
};

struct JwtIdentity {
  std::string subject;  // "sub", else the tenant
  // The claim for it; else "sub:" and the subject, so that nobody becomes a configured tenant by choosing a user name; else
  // empty: the policy's.
  std::string tenant;
  std::string policy;  // its name
};

// From the payload of a token whose signature is right. "exp" must be there, it and "nbf" have 60 s of leeway.
// Errors: kUnauthenticated, with the reason: only the issuer can have written what is wrong. kPermissionDenied where neither the
// token nor the options name a policy.
Result<JwtIdentity> ReadJwtClaims(std::string_view payload, const JwtOptions& options, WallTime now);

}  // namespace autoglm
