#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/wall_time.h"
#include "base/result.h"

namespace autoglm {

// Which tokens (RFC 7519) are taken, and what they say.
struct JwtOptions {
  // A JSON Web Key Set: one of these two.
  std::filesystem::path jwks;
  std::string jwks_url;  // fetched by somebody else, who calls SetKeys
  std::chrono::seconds jwks_refresh{300};
  std::string issuer;    // what "iss" must be; empty: anything
  std::string audience;  // what "aud" must be or hold; empty: anything
  std::string policy;    // for tokens that name none; empty: those are refused
  std::string policy_claim = "autoglm_policy";
  std::string tenant_claim = "tenant";
  // From a scope to patterns of the models it allows. Not empty: a token may use only what its scopes ("scope", separated by
  // spaces, or "scp", a list or such a text) allow, of what its policy does.
  std::map<std::string, std::vector<std::string>> scope_models;

  bool operator==(const JwtOptions&) const = default;
};

struct JwtIdentity {
  std::string subject;  // "sub", else the tenant
  // The claim for it; else "sub:" and the subject, so that nobody becomes a configured tenant by choosing a user name; else
  // empty: the policy's.
  std::string tenant;
  std::string policy;                                    // its name
  std::optional<std::vector<std::string>> scope_models;  // nullopt: scopes do not matter
};

// From the payload of a token whose signature is right. "exp" must be there, it and "nbf" have 60 s of leeway.
// Errors: kUnauthenticated, with the reason: only the issuer can have written what is wrong. kPermissionDenied where neither the
// token nor the options name a policy.
Result<JwtIdentity> ReadJwtClaims(std::string_view payload, const JwtOptions& options, WallTime now);

}  // namespace autoglm
