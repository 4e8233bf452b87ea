#include "auth/jwk_set.h"

#include <fmt/format.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <ranges>
#include <span>

#include "auth/base64url.h"
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

tl::unexpected<Error> FailUnknownKid() { return Fail(ErrorCode::kNotFound, "the token is signed with a key that is not known"); }

// Of Ed25519, by RFC 8037 and by RFC 9864.
constexpr std::string_view kEdDsa = "EdDSA";
bool IsEdDsa(std::string_view alg) { return alg == kEdDsa || alg == "Ed25519"; }

std::string_view TypeName(cjose_jwk_kty_t kty) {
  return kty == CJOSE_JWK_KTY_RSA ? "RSA" : kty == CJOSE_JWK_KTY_EC ? "EC" : "oct";
}

// Three parts of base64url without padding, none of them empty. cjose 0.6.2.1 takes padding and what stands behind it, and
// ends the process by an assertion where padding stands in the wrong place.
bool IsCompactJws(std::string_view token) {
  int num_parts = 0;
  for (const auto part : std::views::split(token, '.')) {
    if (part.empty() || !IsBase64Url(std::string_view(part.begin(), part.end()))) return false;
    ++num_parts;
  }
  return num_parts == 3;
}

// What cjose gets of a key: its public half, in base64url without padding. Null where a part is missing or otherwise.
Json PublicHalf(const JsonFields& fields, std::string_view kty) {
  const std::vector<std::string_view> names = kty == "RSA"  ? std::vector<std::string_view>{"n", "e"}
                                              : kty == "EC" ? std::vector<std::string_view>{"crv", "x", "y"}
                                                            : std::vector<std::string_view>{"k"};
  Json half{{"kty", kty}};
  for (const std::string_view name : names) {
    const Result<std::optional<std::string>> part = fields.String(name);
    if (!part || !*part || (*part)->empty() || !IsBase64Url(**part)) return nullptr;
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

// The kid of a token's header. Errors: where it is not one of EdDSA, or wants extensions to be understood.
Result<std::optional<std::string>> ReadEdDsaHeader(std::span<const uint8_t> bytes) {
  AUTOGLM_TRY(const Json json, ParseJson(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())));
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(json));
  AUTOGLM_TRY(const std::optional<std::string> alg, fields.String("alg"));
  if (!IsEdDsa(alg.value_or("")) || json.contains("crit")) return RefuseToken();
  return fields.String("kid");
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
  for (size_t i = 0; i < list->size(); ++i) AUTOGLM_TRY_VOID(keys.Add((*list)[i], fmt::format("keys[{}]", i)));
  if (keys.keys_.empty() && keys.ed_keys_.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "holds no key that verifies signatures");
  }
  return keys;
}

// What is for something else, or for an algorithm that is not known, is left out.
Status JwkSet::Add(const Json& json, const std::string& path) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(json, path));
  AUTOGLM_TRY(const std::optional<std::string> kty, fields.String("kty"));
  AUTOGLM_TRY(const std::optional<std::string> crv, fields.String("crv"));
  AUTOGLM_TRY(const std::optional<std::string> alg, fields.String("alg"));
  AUTOGLM_TRY(const bool is_for_signatures, IsForSignatures(fields));
  if (!is_for_signatures) return {};
  if (kty == "OKP") {
    if (crv != "Ed25519" || !IsEdDsa(alg.value_or(std::string(kEdDsa)))) return {};
    AUTOGLM_TRY(EdKey key, ParseEdKey(json));
    ed_keys_.push_back(std::move(key));
    return {};
  }
  const bool is_known_type = kty == "RSA" || kty == "EC" || kty == "oct";
  if (!is_known_type || (alg && FindAlgorithm(*alg) == nullptr)) return {};
  AUTOGLM_TRY(Key key, ParseKey(json));
  keys_.push_back(std::move(key));
  return {};
}

Result<JwkSet::EdKey> JwkSet::ParseEdKey(const Json& json) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(json));
  AUTOGLM_TRY(const std::optional<std::string> kid, fields.String("kid"));
  AUTOGLM_TRY(const std::optional<std::string> x, fields.String("x"));
  std::optional<Ed25519Key> key = Ed25519Key::FromBytes(DecodeBase64Url(x.value_or("")).value_or(std::vector<uint8_t>()));
  if (!key) return RefuseKey(kid.value_or(""), "is broken");
  return EdKey{.key = *std::move(key), .kid = kid.value_or("")};
}

bool JwkSet::HasKid(std::string_view kid) const {
  return std::ranges::find(keys_, kid, &Key::kid) != keys_.end() ||
         std::ranges::find(ed_keys_, kid, &EdKey::kid) != ed_keys_.end();
}

Result<const JwkSet::Key*> JwkSet::Choose(const Algorithm& algorithm, const char* kid) const {
  if (kid != nullptr && !HasKid(kid)) return FailUnknownKid();
  std::vector<const Key*> fitting;
  for (const Key& key : keys_) {
    if ((kid == nullptr || key.kid == kid) && Fits(key, algorithm)) fitting.push_back(&key);
  }
  if (fitting.size() != 1) return RefuseToken();
  return fitting.front();
}

Result<const Ed25519Key*> JwkSet::ChooseEd(const std::optional<std::string>& kid) const {
  if (kid && !HasKid(*kid)) return FailUnknownKid();
  std::vector<const Ed25519Key*> fitting;
  for (const EdKey& key : ed_keys_) {
    if (!kid || key.kid == *kid) fitting.push_back(&key.key);
  }
  if (fitting.size() != 1) return RefuseToken();
  return fitting.front();
}

Result<std::string> JwkSet::Verify(std::string_view token) const {
  if (std::ssize(token) > kMaxTokenBytes || !IsCompactJws(token)) return RefuseToken();
  const std::unique_ptr<cjose_jws_t, JwsReleaser> jws(cjose_jws_import(token.data(), token.size(), nullptr));
  // cjose takes no header whose algorithm it does not know.
  return jws == nullptr ? VerifyEdDsa(token) : VerifyByCjose(token, jws.get());
}

Result<std::string> JwkSet::VerifyByCjose(std::string_view token, cjose_jws_t* jws) const {
  // The header as cjose reads it, so that there is one reading of it. Extensions that must be understood are not.
  cjose_header_t* const header = cjose_jws_get_protected(jws);
  const std::unique_ptr<char, decltype(&std::free)> critical(cjose_header_get_raw(header, "crit", nullptr), std::free);
  const char* const name = cjose_header_get(header, CJOSE_HDR_ALG, nullptr);
  const Algorithm* const algorithm = name == nullptr ? nullptr : FindAlgorithm(name);
  if (algorithm == nullptr || critical != nullptr) return RefuseToken();
  AUTOGLM_TRY(const Key* key, Choose(*algorithm, cjose_header_get(header, CJOSE_HDR_KID, nullptr)));

  // cjose compares an HMAC before it looks at the signature's length, and would read behind a short one.
  const size_t signature_bytes = (token.size() - token.rfind('.') - 1) * 3 / 4;
  if (signature_bytes != SignatureBytes(*key, *algorithm)) return RefuseToken();
  if (!cjose_jws_verify(jws, key->jwk.get(), nullptr)) {
    ERR_clear_error();  // else this thread's next user of OpenSSL takes it for its own
    return RefuseToken();
  }
  uint8_t* payload = nullptr;
  size_t num_bytes = 0;
  AUTOGLM_CHECK(cjose_jws_get_plaintext(jws, &payload, &num_bytes, nullptr));
  return std::string(reinterpret_cast<const char*>(payload), num_bytes);
}

Result<std::string> JwkSet::VerifyEdDsa(std::string_view token) const {
  const std::string_view signed_text = token.substr(0, token.rfind('.'));
  const size_t header_bytes = signed_text.find('.');
  const auto header = DecodeBase64Url(signed_text.substr(0, header_bytes));
  const auto payload = DecodeBase64Url(signed_text.substr(header_bytes + 1));
  const auto signature = DecodeBase64Url(token.substr(signed_text.size() + 1));
  if (!header || !payload || !signature) return RefuseToken();

  const Result<std::optional<std::string>> kid = ReadEdDsaHeader(*header);
  if (!kid) return RefuseToken();
  AUTOGLM_TRY(const Ed25519Key* key, ChooseEd(*kid));
  if (!key->Verify(signed_text, *signature)) return RefuseToken();
  return std::string(payload->begin(), payload->end());
}

}  // namespace autoglm
