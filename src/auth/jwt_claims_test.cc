#include "auth/jwt_claims.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/json.h"

namespace autoglm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using testing::UnorderedElementsAre;

constexpr int64_t kNow = 1'800'000'000;

class JwtClaimsTest : public testing::Test {
 protected:
  Result<JwtIdentity> Read(const Json& claims) const { return ReadText(DumpJson(claims)); }
  Result<JwtIdentity> ReadText(std::string_view payload) const {
    return ReadJwtClaims(payload, options_, WallTime(std::chrono::seconds(kNow)));
  }
  std::string Refusal(const Json& claims) const {
    const Result<JwtIdentity> identity = Read(claims);
    EXPECT_FALSE(identity) << DumpJson(claims);
    if (identity) return "";
    EXPECT_EQ(identity.error().code, ErrorCode::kUnauthenticated);
    return identity.error().message;
  }
  // Good claims, with some of them otherwise.
  static Json Claims(const Json& changes = Json::object()) {
    Json claims{{"iss", "https://issuer"}, {"aud", "autoglm"}, {"sub", "ada"}, {"exp", kNow + 300}};
    claims.update(changes);
    return claims;
  }

  JwtOptions options_{.issuer = "https://issuer", .audience = "autoglm", .policy = "standard"};
};

TEST_F(JwtClaimsTest, Expiry_HasAMinuteOfLeeway) {
  EXPECT_TRUE(Read(Claims({{"exp", kNow - 59}})));
  EXPECT_TRUE(Read(Claims({{"exp", kNow - 59.5}}))) << "NumericDate may have fractions";
  EXPECT_EQ(Refusal(Claims({{"exp", kNow - 60}})), "the token has expired");
  EXPECT_EQ(Refusal(Claims({{"exp", 0}})), "the token has expired");
  EXPECT_EQ(Refusal(Claims({{"exp", -1e300}})), "the token has expired");
  EXPECT_TRUE(Read(Claims({{"exp", 1e300}})));
  EXPECT_EQ(Refusal(Claims({{"exp", nullptr}})), "the token has no exp claim");
  EXPECT_THAT(Refusal(Claims({{"exp", "1900000000"}})), HasSubstr("exp"));
}

TEST_F(JwtClaimsTest, NotBefore_HasAMinuteOfLeeway) {
  EXPECT_TRUE(Read(Claims({{"nbf", kNow + 60}})));
  EXPECT_EQ(Refusal(Claims({{"nbf", kNow + 61}})), "the token is not valid yet");
  EXPECT_THAT(Refusal(Claims({{"nbf", "soon"}})), HasSubstr("nbf"));
}

TEST_F(JwtClaimsTest, Issuer_MustBeTheOneThatIsConfigured) {
  for (const Json& issuer : {Json("https://issuer/"), Json("https://Issuer"), Json(nullptr), Json("")}) {
    EXPECT_EQ(Refusal(Claims({{"iss", issuer}})), "the token is from another issuer");
  }
  EXPECT_THAT(Refusal(Claims({{"iss", {"https://issuer"}}})), HasSubstr("iss"));
  options_.issuer.clear();
  EXPECT_TRUE(Read(Claims({{"iss", "anyone"}})));
}

TEST_F(JwtClaimsTest, Audience_MustBeOrHoldTheOneThatIsConfigured) {
  EXPECT_TRUE(Read(Claims({{"aud", {"other", "autoglm"}}})));
  for (const Json& audience : {Json("autoglm2"), Json(nullptr), Json::array(), Json::array({"other"}), Json::array({{"autoglm"}}),
                               Json{{"autoglm", 1}}, Json(7)}) {
    EXPECT_EQ(Refusal(Claims({{"aud", audience}})), "the token is for another audience") << DumpJson(audience);
  }
  options_.audience.clear();
  EXPECT_TRUE(Read(Claims({{"aud", 7}})));
}

TEST_F(JwtClaimsTest, Tenant_IsTheClaimElseTheSubjectElseThePolicys) {
  const JwtIdentity named = *Read(Claims({{"tenant", "acme"}}));
  EXPECT_EQ(named.tenant, "acme");
  EXPECT_EQ(named.subject, "ada");
  EXPECT_EQ(Read(Claims())->tenant, "sub:ada") << "a user called acme is not the tenant acme";
  const JwtIdentity nobody = *Read(Claims({{"sub", nullptr}}));
  EXPECT_EQ(nobody.tenant, "");
  EXPECT_EQ(nobody.subject, "");
  EXPECT_EQ(Read(Claims({{"sub", nullptr}, {"tenant", "acme"}}))->subject, "acme");
  options_.tenant_claim = "org";
  EXPECT_EQ(Read(Claims({{"tenant", "acme"}, {"org", "initech"}}))->tenant, "initech");
}

TEST_F(JwtClaimsTest, Policy_IsTheClaimElseTheConfigured) {
  EXPECT_EQ(Read(Claims())->policy, "standard");
  EXPECT_EQ(Read(Claims({{"autoglm_policy", "large"}}))->policy, "large");
  options_.policy.clear();
  EXPECT_EQ(Read(Claims({{"autoglm_policy", "large"}}))->policy, "large");
  EXPECT_EQ(Read(Claims()).error().code, ErrorCode::kPermissionDenied);
}

TEST_F(JwtClaimsTest, NamesThatAreNone_AreRefused) {
  for (const char* claim : {"sub", "tenant", "autoglm_policy"}) {
    for (const Json& value : {Json(""), Json("a\nb"), Json(std::string(257, 'a')), Json(7), Json::array({"a"}), Json(true)}) {
      EXPECT_THAT(Refusal(Claims({{claim, value}})), StartsWith("the token has a claim that cannot be read")) << claim;
    }
  }
}

TEST_F(JwtClaimsTest, WhatIsNoObject_IsRefused) {
  for (const std::string& payload : {std::string(), std::string("[]"), std::string("7"), std::string("{"), std::string("\xff"),
                                     std::string(10'000, '['), std::string("{\"exp\":1e999}")}) {
    EXPECT_FALSE(ReadText(payload)) << payload.substr(0, 20);
  }
}

TEST_F(JwtClaimsTest, Scopes_SayWhichModelsMayBeUsed) {
  EXPECT_EQ(Read(Claims({{"scope", "chat"}}))->scope_models, std::nullopt) << "not configured";
  options_.scope_models = {{"chat", {"chat-*"}}, {"code", {"coder", "coder-*"}}, {"nothing", {}}};
  const auto models = [this](const Json& changes) { return *Read(Claims(changes))->scope_models; };
  EXPECT_THAT(models({{"scope", "openid  chat "}}), ElementsAre("chat-*"));
  EXPECT_THAT(models({{"scp", {"code", "chat"}}}), UnorderedElementsAre("chat-*", "coder", "coder-*"));
  EXPECT_THAT(models({{"scp", "code chat"}}), UnorderedElementsAre("chat-*", "coder", "coder-*"));
  EXPECT_THAT(models({{"scope", "chat"}, {"scp", {"code"}}}), UnorderedElementsAre("chat-*", "coder", "coder-*"));
  for (const char* scope : {"", "chats", "Chat", "nothing"}) EXPECT_THAT(models({{"scope", scope}}), IsEmpty()) << scope;
  EXPECT_THAT(models(Json::object()), IsEmpty());
  EXPECT_THAT(Refusal(Claims({{"scope", {"chat"}}})), HasSubstr("scope"));
  EXPECT_THAT(Refusal(Claims({{"scp", {1}}})), HasSubstr("scp"));
}

}  // namespace
}  // namespace autoglm
