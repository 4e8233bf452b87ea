#include "auth/jwk_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

#include "auth/jwt_fixture.h"

namespace autoglm {
namespace {

using testing::HasSubstr;

constexpr std::string_view kPayload = R"({"sub":"ada"})";
constexpr std::string_view kSecret = "a secret that has just about 64 bytes, as HS512 wants it to have";

const TestIssuer& RsaIssuer() {
  static const TestIssuer issuer = TestIssuer::Rsa();
  return issuer;
}

JwkSet SetOf(const Json& jwk) {
  Result<JwkSet> set = JwkSet::Parse(DumpJson(Json{{"keys", {jwk}}}));
  EXPECT_TRUE(set) << set.error().message;
  return *std::move(set);
}
JwkSet SetOf(const TestIssuer& issuer) { return SetOf(issuer.PublicJwk()); }

std::string ParseError(const Json& jwk) {
  const Result<JwkSet> set = JwkSet::Parse(DumpJson(Json{{"keys", {jwk}}}));
  EXPECT_FALSE(set);
  return set ? "" : set.error().message;
}

void ExpectRefused(const JwkSet& keys, const std::string& token, std::string_view why) {
  const Result<std::string> payload = keys.Verify(token);
  ASSERT_FALSE(payload) << why;
  EXPECT_EQ(payload.error().code, ErrorCode::kUnauthenticated) << why;
  EXPECT_EQ(payload.error().message, "the token is not valid") << why;
}

std::string Unsigned(std::string_view header, std::string_view signature) {
  return Base64Url(header) + "." + Base64Url(kPayload) + "." + std::string(signature);
}

// A token's three parts, to put together otherwise.
struct Parts {
  std::string header, payload, signature;

  explicit Parts(const std::string& token)
      : header(token.substr(0, token.find('.'))),
        payload(token.substr(header.size() + 1, token.rfind('.') - header.size() - 1)),
        signature(token.substr(token.rfind('.') + 1)) {}
  std::string Joined() const { return header + "." + payload + "." + signature; }
};

TEST(JwkSet, EveryAlgorithm_VerifiesWhatItsKeySigned) {
  const auto expect_good = [](const TestIssuer& issuer, const char* alg) {
    const Result<std::string> payload = SetOf(issuer).Verify(issuer.Sign(alg, kPayload));
    ASSERT_TRUE(payload) << alg;
    EXPECT_EQ(*payload, kPayload) << alg;
  };
  for (const char* alg : {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}) expect_good(RsaIssuer(), alg);
  for (const char* alg : {"HS256", "HS384", "HS512"}) expect_good(TestIssuer::Secret(kSecret, "hs"), alg);
  expect_good(TestIssuer::Ec(CJOSE_JWK_EC_P_256, "p256"), "ES256");
  expect_good(TestIssuer::Ec(CJOSE_JWK_EC_P_384, "p384"), "ES384");
  expect_good(TestIssuer::Ec(CJOSE_JWK_EC_P_521, "p521"), "ES512");
}

TEST(JwkSet, AnyChangedByte_IsRefused) {
  const JwkSet keys = SetOf(RsaIssuer());
  const Parts good(RsaIssuer().Sign("RS256", kPayload));
  Parts other_payload = good;
  other_payload.payload = Base64Url(R"({"sub":"eve"})");
  ExpectRefused(keys, other_payload.Joined(), "another payload");
  Parts other_signature = good;
  other_signature.signature[10] = other_signature.signature[10] == 'A' ? 'B' : 'A';
  ExpectRefused(keys, other_signature.Joined(), "another signature");
  Parts other_algorithm = good;
  other_algorithm.header = Base64Url(R"({"alg":"RS384","kid":"rsa"})");
  ExpectRefused(keys, other_algorithm.Joined(), "another header");
}

TEST(JwkSet, None_IsRefused) {
  const JwkSet keys = SetOf(RsaIssuer());
  for (const char* alg : {"none", "None", "NONE", "nOnE", ""}) {
    const std::string header = R"({"alg":")" + std::string(alg) + R"("})";
    ExpectRefused(keys, Unsigned(header, ""), alg);
    ExpectRefused(keys, Unsigned(header, "AAAA"), alg);
  }
  Parts stripped(RsaIssuer().Sign("RS256", kPayload));
  stripped.signature.clear();
  ExpectRefused(keys, stripped.Joined(), "no signature");
}

TEST(JwkSet, PublicKeyAsHmacSecret_IsRefused) {
  const Json jwk = RsaIssuer().PublicJwk();
  const std::string modulus = jwk["n"].get<std::string>();
  for (const std::string& secret : {DumpJson(jwk), modulus, RsaIssuer().Jwks(), std::string(kSecret)}) {
    for (const char* alg : {"HS256", "HS384", "HS512"}) {
      ExpectRefused(SetOf(RsaIssuer()), TestIssuer::Secret(secret, "rsa").Sign(alg, kPayload), alg);
    }
  }
}

TEST(JwkSet, KeyWithAlg_IsForThatAlgorithmOnly) {
  Json jwk = RsaIssuer().PublicJwk();
  jwk["alg"] = "PS256";
  EXPECT_TRUE(SetOf(jwk).Verify(RsaIssuer().Sign("PS256", kPayload)));
  ExpectRefused(SetOf(jwk), RsaIssuer().Sign("RS256", kPayload), "another padding");
  ExpectRefused(SetOf(jwk), RsaIssuer().Sign("PS512", kPayload), "another hash");
  const TestIssuer p256 = TestIssuer::Ec(CJOSE_JWK_EC_P_256, "p256");
  ExpectRefused(SetOf(p256), p256.Sign("ES384", kPayload), "another curve's algorithm");
  ExpectRefused(SetOf(p256), RsaIssuer().Sign("RS256", kPayload, {{"kid", "p256"}}), "another type");
}

TEST(JwkSet, ShortSecret_IsNotForALongerHash) {
  const TestIssuer issuer = TestIssuer::Secret(kSecret.substr(0, 32), "hs");
  EXPECT_TRUE(SetOf(issuer).Verify(issuer.Sign("HS256", kPayload)));
  ExpectRefused(SetOf(issuer), issuer.Sign("HS512", kPayload), "RFC 7518 section 3.2");
}

TEST(JwkSet, SignatureOfAnotherLength_IsRefused) {
  const TestIssuer hmac = TestIssuer::Secret(kSecret, "hs");
  const TestIssuer p256 = TestIssuer::Ec(CJOSE_JWK_EC_P_256, "p256");
  for (const auto& [keys, token] :
       std::vector<std::pair<Json, std::string>>{{hmac.PublicJwk(), hmac.Sign("HS256", kPayload)},
                                                 {p256.PublicJwk(), p256.Sign("ES256", kPayload)},
                                                 {RsaIssuer().PublicJwk(), RsaIssuer().Sign("PS256", kPayload)}}) {
    const JwkSet set = SetOf(keys);
    ASSERT_TRUE(set.Verify(token));
    const Parts good(token);
    for (size_t length = 0; length < good.signature.size(); length += 3) {
      Parts cut = good;
      cut.signature.resize(length);
      ExpectRefused(set, cut.Joined(), "cut");
    }
    ExpectRefused(set, token + "AAAA", "longer");
  }
}

TEST(JwkSet, WhatIsNoCompactToken_IsRefused) {
  const JwkSet keys = SetOf(RsaIssuer());
  const std::string good = RsaIssuer().Sign("RS256", kPayload);
  const Parts parts(good);
  for (const std::string& token : {std::string(),
                                   std::string("."),
                                   std::string(".."),
                                   std::string("..."),
                                   std::string("a.b.c"),
                                   std::string("a.b"),
                                   good + ".",
                                   "." + good,
                                   good + "=",
                                   good + "\n",
                                   " " + good,
                                   parts.header + ".." + parts.signature,
                                   parts.header + "=." + parts.payload + "." + parts.signature,
                                   parts.header + "." + parts.payload + "+." + parts.signature,
                                   good + "." + parts.payload,
                                   std::string("\0\0.\0.\0", 6),
                                   Base64Url("[]") + ".AAAA.AAAA",
                                   Base64Url("{") + ".AAAA.AAAA",
                                   Base64Url("null") + ".AAAA.AAAA",
                                   Base64Url(R"({"alg":5})") + ".AAAA.AAAA",
                                   Base64Url("\xff\xfe") + ".AAAA.AAAA",
                                   Base64Url(R"({"alg":"RS256","kid":7})") + ".AAAA.AAAA",
                                   "A===." + parts.payload + ".AAAA",
                                   parts.header + ".A===.AAAA",
                                   parts.header + "." + parts.payload + ".A===",
                                   std::string("A.A.A"),
                                   std::string("AAAAA.AAAAA.AAAAA")}) {
    ExpectRefused(keys, token, token);
  }
}

TEST(JwkSet, WrongBase64_IsRefusedEvenWhereItIsSigned) {
  const JwkSet keys = SetOf(TestIssuer::Secret(kSecret, "hs"));
  const auto sign = [](const std::string& payload) {
    const std::string signed_text = Base64Url(R"({"alg":"HS256"})") + "." + payload;
    std::array<unsigned char, 32> hash{};
    HMAC(EVP_sha256(), kSecret.data(), static_cast<int>(kSecret.size()),
         reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size(), hash.data(), nullptr);
    return signed_text + "." + Base64Url(std::string_view(reinterpret_cast<const char*>(hash.data()), hash.size()));
  };
  EXPECT_EQ(*keys.Verify(sign("e30")), "{}");
  for (const char* payload : {"e30=", "e30=e30", "e3 0", "e30+", "e30/", "e3\n0", ""})
    ExpectRefused(keys, sign(payload), payload);
}

// Appendix A.4 of RFC 8037.
TEST(JwkSet, EdDsa_VerifiesTheExampleOfItsRfc) {
  const JwkSet keys = SetOf(Json{{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}});
  const Result<std::string> payload = keys.Verify(
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg"
      "5BhVsPt9g7sVvpAr_MuM0KAg");
  ASSERT_TRUE(payload);
  EXPECT_EQ(*payload, "Example of Ed25519 signing");
}

TEST(JwkSet, EdDsa_IsHeldToTheSameRules) {
  const TestEdIssuer ed("ed");
  const JwkSet keys = SetOf(ed.PublicJwk());
  const std::string good = ed.Sign({{"alg", "EdDSA"}}, kPayload);
  EXPECT_EQ(*keys.Verify(good), kPayload);
  EXPECT_EQ(*keys.Verify(ed.Sign({{"alg", "Ed25519"}}, kPayload)), kPayload);

  Parts other_payload(good);
  other_payload.payload = Base64Url(R"({"sub":"eve"})");
  ExpectRefused(keys, other_payload.Joined(), "another payload");
  for (size_t length = 0; length < Parts(good).signature.size(); length += 3) {
    Parts cut(good);
    cut.signature.resize(length);
    ExpectRefused(keys, cut.Joined(), "cut");
  }
  ExpectRefused(keys, good + "AAAA", "longer");
  ExpectRefused(keys, TestEdIssuer("ed").Sign({{"alg", "EdDSA"}}, kPayload), "another key with that kid");
  ExpectRefused(keys, ed.Sign({{"alg", "EdDSA"}, {"crit", {"b64"}}}, kPayload), "extensions");
  ExpectRefused(keys, ed.Sign({{"alg", "EdDSA"}, {"kid", 7}}, kPayload), "kid that is no text");
  for (const char* alg : {"none", "", "eddsa", "Ed448", "RS256", "ES256", "HS256"}) {
    ExpectRefused(keys, ed.Sign({{"alg", alg}}, kPayload), alg);
  }
  EXPECT_EQ(keys.Verify(ed.Sign({{"alg", "EdDSA"}, {"kid", "new"}}, kPayload)).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(keys.Verify(TestEdIssuer("").Sign({{"alg", "EdDSA"}}, kPayload)).error().code == ErrorCode::kUnauthenticated);
}

TEST(JwkSet, KeysOfOtherKinds_AreNotConfusedWithEdDsa) {
  const TestEdIssuer ed("rsa");
  ExpectRefused(SetOf(RsaIssuer()), ed.Sign({{"alg", "EdDSA"}}, kPayload), "the kid of an RSA key");
  const std::string x = ed.PublicJwk()["x"].get<std::string>();
  for (const std::string& secret : {x, std::string(kSecret)}) {
    ExpectRefused(SetOf(ed.PublicJwk()), TestIssuer::Secret(secret, "rsa").Sign("HS256", kPayload), "as the secret of an HMAC");
  }
  const Result<JwkSet> both = JwkSet::Parse(DumpJson(Json{{"keys", {ed.PublicJwk(), RsaIssuer().PublicJwk()}}}));
  ASSERT_TRUE(both);
  EXPECT_TRUE(both->Verify(ed.Sign({{"alg", "EdDSA"}}, kPayload)));
  EXPECT_TRUE(both->Verify(RsaIssuer().Sign("RS256", kPayload))) << "one kid, two kinds: the algorithm says which";
  Json other_alg = ed.PublicJwk();
  other_alg["alg"] = "ES256";
  EXPECT_THAT(ParseError(other_alg), HasSubstr("holds no key"));
}

TEST(JwkSet, HugeToken_IsRefusedUnread) {
  const JwkSet keys = SetOf(RsaIssuer());
  const std::string fits = RsaIssuer().Sign("RS256", std::string(11'000, 'x'));
  ASSERT_LE(std::ssize(fits), kMaxTokenBytes);
  EXPECT_TRUE(keys.Verify(fits));
  ExpectRefused(keys, RsaIssuer().Sign("RS256", std::string(12'400, 'x')), "16 KiB");
  ExpectRefused(keys, std::string(10 << 20, 'A'), "10 MiB");
  ExpectRefused(keys, Base64Url(std::string(12'000, '[')) + ".AAAA.AAAA", "deep");
}

TEST(JwkSet, CriticalExtensions_AreRefused) {
  const JwkSet keys = SetOf(RsaIssuer());
  EXPECT_TRUE(keys.Verify(RsaIssuer().Sign("RS256", kPayload, {{"typ", "JWT"}})));
  ExpectRefused(keys, RsaIssuer().Sign("RS256", kPayload, {{"crit", {"b64"}}}), "RFC 7515 section 4.1.11");
  ExpectRefused(keys, RsaIssuer().Sign("RS256", kPayload, {{"crit", Json::array()}}), "even an empty one");
}

TEST(JwkSet, KeyInTheHeader_CountsForNothing) {
  const TestIssuer eve = TestIssuer::Rsa("rsa");
  ExpectRefused(SetOf(RsaIssuer()), eve.Sign("RS256", kPayload, {{"jwk", eve.PublicJwk()}}), "signed by the key it brings");
}

TEST(JwkSet, Kid_ChoosesTheKey) {
  const TestIssuer one = TestIssuer::Ec(CJOSE_JWK_EC_P_256, "one");
  const TestIssuer two = TestIssuer::Ec(CJOSE_JWK_EC_P_256, "two");
  const Result<JwkSet> keys =
      JwkSet::Parse(DumpJson(Json{{"keys", {one.PublicJwk(), two.PublicJwk(), RsaIssuer().PublicJwk()}}}));
  ASSERT_TRUE(keys);
  EXPECT_TRUE(keys->Verify(two.Sign("ES256", kPayload)));
  ExpectRefused(*keys, one.Sign("ES256", kPayload, {{"kid", "two"}}), "the wrong kid");
  EXPECT_EQ(keys->Verify(one.Sign("ES256", kPayload, {{"kid", "three"}})).error().code, ErrorCode::kNotFound);

  const TestIssuer nameless = TestIssuer::Ec(CJOSE_JWK_EC_P_256, "");
  ExpectRefused(*keys, nameless.Sign("ES256", kPayload), "two keys fit");
  EXPECT_TRUE(SetOf(nameless).Verify(nameless.Sign("ES256", kPayload))) << "one fits";
}

TEST(JwkSet, KeysForOtherUses_AreLeftOut) {
  Json encryption = RsaIssuer().PublicJwk();
  encryption["use"] = "enc";
  EXPECT_THAT(ParseError(encryption), HasSubstr("holds no key that verifies signatures"));
  Json signs_only = RsaIssuer().PublicJwk();
  signs_only["key_ops"] = {"sign"};
  EXPECT_THAT(ParseError(signs_only), HasSubstr("holds no key"));
  Json wraps = RsaIssuer().PublicJwk();
  wraps["alg"] = "RSA-OAEP";
  EXPECT_THAT(ParseError(wraps), HasSubstr("holds no key"));
  EXPECT_THAT(ParseError({{"kty", "OKP"}, {"crv", "Ed448"}, {"x", "AAAA"}}), HasSubstr("holds no key"));
  Json good = RsaIssuer().PublicJwk();
  good["use"] = "sig";
  good["key_ops"] = {"verify"};
  EXPECT_TRUE(SetOf(good).Verify(RsaIssuer().Sign("RS256", kPayload)));
}

TEST(JwkSet, BrokenKeys_AreNamed) {
  const uint8_t exponent[] = {1, 0, 1};
  const std::unique_ptr<cjose_jwk_t, decltype(&cjose_jwk_release)> weak(cjose_jwk_create_RSA_random(1024, exponent, 3, nullptr),
                                                                        cjose_jwk_release);
  const std::unique_ptr<char, decltype(&std::free)> weak_json(cjose_jwk_to_json(weak.get(), false, nullptr), std::free);
  EXPECT_THAT(ParseError(*ParseJson(weak_json.get())), HasSubstr("has 1024 bits; RSA keys must have 2048"));
  EXPECT_THAT(ParseError({{"kty", "RSA"}, {"kid", "mine"}, {"n", "AQAB"}}), HasSubstr("the key 'mine' is broken"));
  EXPECT_THAT(ParseError({{"kty", "EC"}, {"crv", "P-256"}, {"x", "AAAA"}, {"y", "AAAA"}}), HasSubstr("is broken"));
  // cjose would end the process for some of these.
  for (const char* modulus : {"x4l====A", "A===", "=", "A", "+/+/", "x4l\n"}) {
    EXPECT_THAT(ParseError({{"kty", "RSA"}, {"n", modulus}, {"e", "AQAB"}}), HasSubstr("is broken")) << modulus;
  }
  EXPECT_THAT(ParseError({{"kty", "oct"}, {"k", 5}}), HasSubstr("is broken"));
  for (const char* x : {"", "AAAA", "=", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="}) {
    EXPECT_THAT(ParseError({{"kty", "OKP"}, {"crv", "Ed25519"}, {"kid", "ed"}, {"x", x}}), HasSubstr("the key 'ed' is broken"))
        << x;
  }
  Json off_curve = TestIssuer::Ec(CJOSE_JWK_EC_P_256, "off").PublicJwk();
  off_curve["y"] = off_curve["x"];
  EXPECT_THAT(ParseError(off_curve), HasSubstr("is broken"));
  EXPECT_THAT(ParseError(TestIssuer::Secret("short", "hs").PublicJwk()), HasSubstr("is shorter than the hash"));
  Json confused = RsaIssuer().PublicJwk();
  confused["alg"] = "HS256";
  EXPECT_THAT(ParseError(confused), HasSubstr("has alg 'HS256', which does not fit RSA"));
  Json other_curve = TestIssuer::Ec(CJOSE_JWK_EC_P_256, "p256").PublicJwk();
  other_curve["alg"] = "ES384";
  EXPECT_THAT(ParseError(other_curve), HasSubstr("has alg 'ES384', which does not fit EC"));
  Json secret = TestIssuer::Secret(kSecret, "hs").PublicJwk();
  secret["alg"] = "RS256";
  EXPECT_THAT(ParseError(secret), HasSubstr("its alg is not one for secrets"));
}

TEST(JwkSet, WhatIsNoKeySet_IsRefused) {
  for (const char* text :
       {"", "{}", "[]", "null", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[1]}", "{\"keys\":[{\"kty\":1}]}", "{"}) {
    EXPECT_FALSE(JwkSet::Parse(text)) << text;
  }
  EXPECT_EQ(JwkSet::Parse(std::string(kMaxJwksBytes + 1, ' ')).error().code, ErrorCode::kPayloadTooLarge);
}

}  // namespace
}  // namespace autoglm
