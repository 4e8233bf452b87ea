#include "auth/jwk_set.h"

#include <fmt/format.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "base/check.h"
#include "json/fields.h"

namespace autoglm {

struct JwkSet::Algorithm {
  std::string_view name;
  cjose_jwk_kty_t kty;
  int curve = 0;               // of EC keys
  size_t hash_bytes = 0;       // of HMAC
  size_t signature_bytes = 0;  // 0: as long as the RSA key
};

namespace {

constexpr size_t kMaxKeys = 256;
constexpr size_t kMinRsaBits = 2048;
constexpr size_t kMaxRsaBits = 16384;  // beyond it one signature costs more than a request should

tl::unexpected<Error> RefuseKey(std::string_view kid, std::string_view why) {
  return Fail(ErrorCode::kInvalidArgument, fmt::format("the key '{}' {}", kid, why));
}

// The same for every token that is not signed as it should be.
tl::unexpected<Error> RefuseToken() { return Fail(ErrorCode::kUnauthenticated, "the token is not valid"); }

std::string_view TypeName(cjose_jwk_kty_t kty) {
  return kty == CJOSE_JWK_KTY_RSA ? "RSA" : kty == CJOSE_JWK_KTY_EC ? "EC" : "oct";
}

bool IsBase64Url(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

// Three parts of base64url without padding, none of them empty. cjose 0.6.2.1 takes padding and what stands behind it, and
// ends the process by an assertion where padding stands in the wrong place.
bool IsCompactJws(std::string_view token) {
  int64_t part_bytes = 0;
  int num_dots = 0;
  for (const char c : token) {
    const bool is_base64 = IsBase64Url(c);
    if (!is_base64 && (c != '.' || part_bytes == 0)) return false;
    part_bytes = is_base64 ? part_bytes + 1 : 0;
    num_dots += is_base64 ? 0 : 1;
  }
  return num_dots == 2 && part_bytes > 0;
}

// What cjose gets of a key: its public half, in base64url without padding. Null where a part is missing or otherwise.
Json PublicHalf(const JsonFields& fields, std::string_view kty) {
  const std::vector<std::string_view> names = kty == "RSA"  ? std::vector<std::string_view>{"n", "e"}
                                              : kty == "EC" ? std::vector<std::string_view>{"crv", "x", "y"}
                                                            : std::vector<std::string_view>{"k"};
  Json half{{"kty", kty}};
  for (const std::string_view name : names) {
    const Result<std::optional<std::string>> part = fields.String(name);
    if (!part || !*part || (*part)->empty() || !std::ranges::all_of(**part, IsBase64Url)) return nullptr;
    half[std::string(name)] = **part;
  }
  return half;
}

// Whether the key is there to verify signatures, RFC 7517 sections 4.2 and 4.3.
Result<bool> IsForSignatures(const JsonFields& fields) {
  AUTOGLM_TRY(const std::optional<std::string> use, fields.String("use"));
  if (use && *use != "sig") return false;
  AUTOGLM_TRY(const Json* operations, fields.Array("key_ops"));
  return operations == nullptr || std::ranges::find(*operations, Json("verify")) != operations->end();
}

struct JwsReleaser {
  void operator()(cjose_jws_t* jws) const { cjose_jws_release(jws); }
};

}  // namespace

const JwkSet::Algorithm* JwkSet::FindAlgorithm(std::string_view name) {
  static constexpr std::array<Algorithm, 12> kAlgorithms = {{
      {.name = "RS256", .kty = CJOSE_JWK_KTY_RSA},
      {.name = "RS384", .kty = CJOSE_JWK_KTY_RSA},
      {.name = "RS512", .kty = CJOSE_JWK_KTY_RSA},
      {.name = "PS256", .kty = CJOSE_JWK_KTY_RSA},
      {.name = "PS384", .kty = CJOSE_JWK_KTY_RSA},
      {.name = "PS512", .kty = CJOSE_JWK_KTY_RSA},
      {.name = "ES256", .kty = CJOSE_JWK_KTY_EC, .curve = CJOSE_JWK_EC_P_256, .signature_bytes = 64},
      {.name = "ES384", .kty = CJOSE_JWK_KTY_EC, .curve = CJOSE_JWK_EC_P_384, .signature_bytes = 96},
      {.name = "ES512", .kty = CJOSE_JWK_KTY_EC, .curve = CJOSE_JWK_EC_P_521, .signature_bytes = 132},
      {.name = "HS256", .kty = CJOSE_JWK_KTY_OCT, .hash_bytes = 32, .signature_bytes = 32},
      {.name = "HS384", .kty = CJOSE_JWK_KTY_OCT, .hash_bytes = 48, .signature_bytes = 48},
      {.name = "HS512", .kty = CJOSE_JWK_KTY_OCT, .hash_bytes = 64, .signature_bytes = 64},
  }};
  const auto* const found = std::ranges::find(kAlgorithms, name, &Algorithm::name);
  return found == kAlgorithms.end() ? nullptr : found;
}

// An HMAC key is at least as long as the hash, RFC 7518 section 3.2.
bool JwkSet::Fits(const Key& key, const Algorithm& algorithm) {
  const cjose_jwk_t* const jwk = key.jwk.get();
  if (cjose_jwk_get_kty(jwk, nullptr) != algorithm.kty) return false;
  if (!key.alg.empty() && key.alg != algorithm.name) return false;
  if (algorithm.kty == CJOSE_JWK_KTY_EC) return cjose_jwk_EC_get_curve(jwk, nullptr) == algorithm.curve;
  return cjose_jwk_get_keysize(jwk, nullptr) >= 8 * algorithm.hash_bytes;
}

size_t JwkSet::SignatureBytes(const Key& key, const Algorithm& algorithm) {
  if (algorithm.signature_bytes > 0) return algorithm.signature_bytes;
  return (cjose_jwk_get_keysize(key.jwk.get(), nullptr) + 7) / 8;
}

Result<JwkSet::Key> JwkSet::ParseKey(const Json& json) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(json));
  AUTOGLM_TRY(const std::optional<std::string> kid, fields.String("kid"));
  AUTOGLM_TRY(const std::optional<std::string> alg, fields.String("alg"));
  AUTOGLM_TRY(const std::optional<std::string> type, fields.String("kty"));
  Key key{.kid = kid.value_or(""), .alg = alg.value_or("")};
  const std::string text = DumpJson(PublicHalf(fields, type.value_or("")));
  key.jwk.reset(cjose_jwk_import(text.data(), text.size(), nullptr));
  if (key.jwk == nullptr) return RefuseKey(key.kid, "is broken");

  const cjose_jwk_kty_t kty = cjose_jwk_get_kty(key.jwk.get(), nullptr);
  const size_t num_bits = cjose_jwk_get_keysize(key.jwk.get(), nullptr);
  if (kty == CJOSE_JWK_KTY_RSA && (num_bits < kMinRsaBits || num_bits > kMaxRsaBits)) {
    return RefuseKey(key.kid, fmt::format("has {} bits; RSA keys must have {} to {}", num_bits, kMinRsaBits, kMaxRsaBits));
  }
  if (kty == CJOSE_JWK_KTY_OCT && !Fits(key, *FindAlgorithm(key.alg.empty() ? "HS256" : key.alg))) {
    return RefuseKey(key.kid, "is shorter than the hash of its algorithm, or its alg is not one for secrets");
  }
  if (!key.alg.empty() && !Fits(key, *FindAlgorithm(key.alg))) {
    return RefuseKey(key.kid, fmt::format("has alg '{}', which does not fit {} keys of its kind", key.alg, TypeName(kty)));
  }
  return key;
}

Result<JwkSet> JwkSet::Parse(std::string_view text) {
  AUTOGLM_TRY(const Json json, ParseJson(text, {.max_bytes = kMaxJwksBytes}));
  AUTOGLM_TRY(const JsonFields set, JsonFields::Of(json));
  AUTOGLM_TRY(const Json* list, set.Array("keys"));
  if (list == nullptr || list->size() > kMaxKeys) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("needs \"keys\", a list of at most {}", kMaxKeys));
  }
  JwkSet keys;
  for (size_t i = 0; i < list->size(); ++i) {
    AUTOGLM_TRY(const JsonFields fields, JsonFields::Of((*list)[i], fmt::format("keys[{}]", i)));
    AUTOGLM_TRY(const std::optional<std::string> kty, fields.String("kty"));
    AUTOGLM_TRY(const std::optional<std::string> alg, fields.String("alg"));
    AUTOGLM_TRY(const bool is_for_signatures, IsForSignatures(fields));
    const bool is_known_type = kty == "RSA" || kty == "EC" || kty == "oct";
    if (!is_known_type || !is_for_signatures || (alg && FindAlgorithm(*alg) == nullptr)) continue;
    AUTOGLM_TRY(Key key, ParseKey((*list)[i]));
    keys.keys_.push_back(std::move(key));
  }
  if (keys.keys_.empty()) return Fail(ErrorCode::kInvalidArgument, "holds no key that verifies signatures");
  return keys;
}

Result<const JwkSet::Key*> JwkSet::Choose(const Algorithm& algorithm, const char* kid) const {
  std::vector<const Key*> fitting;
  bool has_kid = kid == nullptr;
  for (const Key& key : keys_) {
    if (kid != nullptr && key.kid != kid) continue;
    has_kid = true;
    if (Fits(key, algorithm)) fitting.push_back(&key);
  }
  if (!has_kid) return Fail(ErrorCode::kNotFound, "the token is signed with a key that is not known");
  if (fitting.size() != 1) return RefuseToken();
  return fitting.front();
}

Result<std::string> JwkSet::Verify(std::string_view token) const {
  if (std::ssize(token) > kMaxTokenBytes || !IsCompactJws(token)) return RefuseToken();
  const std::unique_ptr<cjose_jws_t, JwsReleaser> jws(cjose_jws_import(token.data(), token.size(), nullptr));
  if (jws == nullptr) return RefuseToken();

  // The header as cjose reads it, so that there is one reading of it. Extensions that must be understood are not.
  cjose_header_t* const header = cjose_jws_get_protected(jws.get());
  const std::unique_ptr<char, decltype(&std::free)> critical(cjose_header_get_raw(header, "crit", nullptr), std::free);
  const char* const name = cjose_header_get(header, CJOSE_HDR_ALG, nullptr);
  const Algorithm* const algorithm = name == nullptr ? nullptr : FindAlgorithm(name);
  if (algorithm == nullptr || critical != nullptr) return RefuseToken();
  AUTOGLM_TRY(const Key* key, Choose(*algorithm, cjose_header_get(header, CJOSE_HDR_KID, nullptr)));

  // cjose compares an HMAC before it looks at the signature's length, and would read behind a short one.
  const size_t signature_bytes = (token.size() - token.rfind('.') - 1) * 3 / 4;
  if (signature_bytes != SignatureBytes(*key, *algorithm)) return RefuseToken();
  if (!cjose_jws_verify(jws.get(), key->jwk.get(), nullptr)) {
    ERR_clear_error();  // else this thread's next user of OpenSSL takes it for its own
    return RefuseToken();
  }
  uint8_t* payload = nullptr;
  size_t num_bytes = 0;
  AUTOGLM_CHECK(cjose_jws_get_plaintext(jws.get(), &payload, &num_bytes, nullptr));
  return std::string(reinterpret_cast<const char*>(payload), num_bytes);
}

}  // namespace autoglm
