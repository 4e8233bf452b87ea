// Bearer tokens, key sets and claims: whatever the bytes are, they are refused, and no token passes that was not signed.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "auth/jwk_set.h"
#include "auth/jwt_claims.h"
#include "base/check.h"

namespace autoglm {
namespace {

// One key of each type, so that every algorithm gets to its verification.
constexpr std::string_view kKeys = R"({"keys": [
{"kty":"RSA","kid":"r","e":"AQAB","n":"x4lWBD0clU5Wp01qGECEiY8mPnLESZNd5pCdJ0K83uPw7I4OoVLwd2p3o3Fiwb7Styl80sMNaNUt7eq1ydrYu2vhQThoUJBvzZJMzCT0eVkq9bcSI9RtMSaGHbm8jAVL2Es_89qle9zBC3yCLMigRy2LhFOXkyzywPhDqQZX-I2B0VLm99ioNf5hC6hKS9SrDWsxPwyhmR3Qv7Hr-q0WtGgEn5QNresKx4gStVxcmcPTnZdbL7cd92taRgc0v6TAoCMex8VpjFNPd9BQ7AltuheUzj7oQzLOz_bmKxLzDvepiuEJ3_TzQ6Y8Awe34ADeGfj3kvmIXDVPxXMysAsShw"},
{"kty":"EC","kid":"e","crv":"P-256","x":"mclUf2KYbiY1OcbKSto1sUsx9PowhWJpWvI0BhGtfzE","y":"mOT-KdP3AETPgq4l-ZMNHTIxSvCXJFZ8Kgv7f90d4zE"},
{"kty":"EC","kid":"f","crv":"P-384","x":"1MuNpgevdlvC2U5OE7bVzMZNsBrEvivVPMcPYp6rsOShNAEnuHWaOj6euyrBG8_w","y":"kWG1vEwoqMWBS9oQ204SkvN2H56EEtg8QxyZKULo6Yj9uq0PqEh4P0F-7RvRsZIe"},
{"kty":"EC","kid":"g","crv":"P-521","x":"AHrkVdJH5XLrDp0_3ufNmad740wu_bYsJc0OdScB2_T7R9258QcRsnU_ZOnj70rbY6GJCuIbOW-oRDkIN8cFocuQ","y":"AFHn8HiEgWTcxDJ0JaCKnJidI7DT4mT7X2shUCfGzK7qqcIDVwuOLPUbVURvKK5KEjMSzqOKXr7p66WMEFAeuNCS"},
{"kty":"oct","kid":"h","k":"YSBzZWNyZXQgdGhhdCBoYXMganVzdCBhYm91dCA2NCBieXRlcywgYXMgSFM1MTIgd2FudHMgaXQgdG8gaGF2ZQ"},
{"kty":"OKP","kid":"o","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
]})";

const JwkSet& Keys() {
  static const JwkSet keys = *JwkSet::Parse(kKeys);
  return keys;
}

void CheckClaims(std::string_view payload) {
  const WallTime now(std::chrono::seconds(1'800'000'000));
  const auto identity = ReadJwtClaims(
      payload, {.issuer = "https://issuer", .audience = "autoglm", .policy = "standard", .scope_models = {{"chat", {"chat-*"}}}},
      now);
  if (!identity) {
    AUTOGLM_CHECK(!identity.error().message.empty());
    return;
  }
  AUTOGLM_CHECK(!identity->policy.empty());
  AUTOGLM_CHECK(identity->scope_models.has_value());
  AUTOGLM_CHECK(identity->tenant.empty() || !identity->subject.empty());
}

}  // namespace
}  // namespace autoglm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  const std::string_view text(reinterpret_cast<const char*>(data), num_bytes);
  // Nobody has signed anything with these keys but the token of the corpus.
  if (const auto payload = Keys().Verify(text)) AUTOGLM_CHECK(*payload == "{}");
  if (const auto keys = JwkSet::Parse(text)) {
    [[maybe_unused]] const auto payload = keys->Verify(text);
  }
  CheckClaims(text);
  return 0;
}
