#pragma once

#include <cjose/cjose.h>
#include <openssl/evp.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "base/check.h"
#include "json/json.h"

namespace autoglm {

// RFC 4648 section 5, without padding.
inline std::string Base64Url(std::string_view bytes) {
  char* text = nullptr;
  size_t num_characters = 0;
  AUTOGLM_CHECK(
      cjose_base64url_encode(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), &text, &num_characters, nullptr));
  std::string result(text, num_characters);
  std::free(text);
  return result;
}

// For tests: an issuer of tokens with a key of its own.
class TestIssuer {
 public:
  static TestIssuer Rsa(std::string kid = "rsa") {
    const uint8_t exponent[] = {1, 0, 1};
    return TestIssuer(cjose_jwk_create_RSA_random(2048, exponent, 3, nullptr), std::move(kid));
  }
  static TestIssuer Ec(cjose_jwk_ec_curve curve, std::string kid) {
    return TestIssuer(cjose_jwk_create_EC_random(curve, nullptr), std::move(kid));
  }
  static TestIssuer Secret(std::string_view secret, std::string kid) {
    return TestIssuer(cjose_jwk_create_oct_spec(reinterpret_cast<const uint8_t*>(secret.data()), secret.size(), nullptr),
                      std::move(kid));
  }

  // What stands in a key set: without the private half, which HMAC does not have.
  Json PublicJwk() const {
    const bool is_secret = cjose_jwk_get_kty(jwk_.get(), nullptr) == CJOSE_JWK_KTY_OCT;
    const std::unique_ptr<char, decltype(&std::free)> text(cjose_jwk_to_json(jwk_.get(), is_secret, nullptr), std::free);
    return *ParseJson(text.get());
  }
  std::string Jwks() const { return DumpJson(Json{{"keys", {PublicJwk()}}}); }

  // A token with this key's kid. `extra` goes into the header: texts, lists and objects.
  std::string Sign(std::string_view alg, std::string_view payload, const Json& extra = Json::object()) const {
    const std::unique_ptr<cjose_header_t, decltype(&cjose_header_release)> header(cjose_header_new(nullptr),
                                                                                  cjose_header_release);
    AUTOGLM_CHECK(cjose_header_set(header.get(), "alg", std::string(alg).c_str(), nullptr));
    if (!kid_.empty()) AUTOGLM_CHECK(cjose_header_set(header.get(), "kid", kid_.c_str(), nullptr));
    for (const auto& [name, value] : extra.items()) {
      AUTOGLM_CHECK(value.is_string() ? cjose_header_set(header.get(), name.c_str(), value.get<std::string>().c_str(), nullptr)
                                      : cjose_header_set_raw(header.get(), name.c_str(), DumpJson(value).c_str(), nullptr));
    }
    const std::unique_ptr<cjose_jws_t, decltype(&cjose_jws_release)> jws(
        cjose_jws_sign(jwk_.get(), header.get(), reinterpret_cast<const uint8_t*>(payload.data()), payload.size(), nullptr),
        cjose_jws_release);
    const char* token = nullptr;
    AUTOGLM_CHECK(jws != nullptr && cjose_jws_export(jws.get(), &token, nullptr));
    return token;
  }

 private:
  TestIssuer(cjose_jwk_t* jwk, std::string kid) : jwk_(jwk, Release), kid_(std::move(kid)) {
    AUTOGLM_CHECK(jwk_ != nullptr);
    if (!kid_.empty()) AUTOGLM_CHECK(cjose_jwk_set_kid(jwk_.get(), kid_.data(), kid_.size(), nullptr));
  }
  static void Release(cjose_jwk_t* jwk) { cjose_jwk_release(jwk); }

  std::unique_ptr<cjose_jwk_t, void (*)(cjose_jwk_t*)> jwk_;
  std::string kid_;
};

// For tests: one with a key of Ed25519, which cjose does not have.
class TestEdIssuer {
 public:
  explicit TestEdIssuer(std::string kid)
      : key_(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free), kid_(std::move(kid)) {
    AUTOGLM_CHECK(key_ != nullptr);
  }

  Json PublicJwk() const {
    std::array<uint8_t, 32> bytes{};
    size_t num_bytes = bytes.size();
    AUTOGLM_CHECK(EVP_PKEY_get_raw_public_key(key_.get(), bytes.data(), &num_bytes) == 1);
    Json jwk{{"kty", "OKP"},
             {"crv", "Ed25519"},
             {"x", Base64Url(std::string_view(reinterpret_cast<const char*>(bytes.data()), num_bytes))}};
    if (!kid_.empty()) jwk["kid"] = kid_;
    return jwk;
  }

  // A token with this header, and with this key's kid where it has none.
  std::string Sign(Json header, std::string_view payload) const {
    if (!kid_.empty() && !header.contains("kid")) header["kid"] = kid_;
    const std::string text = Base64Url(DumpJson(header)) + "." + Base64Url(payload);
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    std::array<uint8_t, 64> signature{};
    size_t num_bytes = signature.size();
    AUTOGLM_CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
                  EVP_DigestSign(context.get(), signature.data(), &num_bytes, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size()) == 1);
    return text + "." + Base64Url(std::string_view(reinterpret_cast<const char*>(signature.data()), num_bytes));
  }

 private:
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
  std::string kid_;
};

}  // namespace autoglm
