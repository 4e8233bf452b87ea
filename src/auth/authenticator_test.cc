#include "auth/authenticator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/jwt_fixture.h"
#include "support/temporary_folder.h"

namespace autoglm {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

class AuthenticatorTest : public testing::Test {
 protected:
  KeyStore Store() const { return *KeyStore::OpenOrCreate(database_); }
  std::string CreateKey(const std::string& name, const std::string& tenant = "default") const {
    return Store().Create({.name = name, .policy = {.tenant = tenant}}, wall_now_)->text;
  }
  Result<std::unique_ptr<Authenticator>> Create() {
    return Authenticator::Create(options_, clock_, {.wall_now = [this] { return wall_now_; }});
  }
  void Start() {
    Result<std::unique_ptr<Authenticator>> authenticator = Create();
    ASSERT_TRUE(authenticator) << authenticator.error().message;
    authenticator_ = *std::move(authenticator);
  }
  void UseTokens() {
    options_.jwt =
        JwtOptions{.jwks = folder_.Write("jwks.json", issuer_.Jwks()), .issuer = "https://issuer", .policy = "standard"};
    options_.policies["standard"] = {.tenant = "everyone", .max_concurrent = 3};
    options_.policies["large"] = {.max_concurrent = 30};
  }
  std::string Token(const Json& changes = Json::object()) const {
    Json claims{{"iss", "https://issuer"}, {"sub", "ada"}, {"exp", 1'800'000'300}};
    claims.update(changes);
    return issuer_.Sign("ES256", DumpJson(claims));
  }
  std::shared_ptr<const Principal> Pass(const std::string& key) const {
    const auto principal = authenticator_->Authenticate("Bearer " + key, "");
    EXPECT_TRUE(principal) << principal.error().message;
    return principal ? *principal : nullptr;
  }
  Error Refuse(const std::string& authorization, const std::string& api_key = "") const {
    const auto principal = authenticator_->Authenticate(authorization, api_key);
    EXPECT_FALSE(principal);
    return principal ? Error() : principal.error();
  }
  Error RefuseKey(const std::string& key) const { return Refuse("Bearer " + key); }

  const TestIssuer issuer_ = TestIssuer::Ec(CJOSE_JWK_EC_P_256, "issuer");
  const TemporaryFolder folder_;
  const std::filesystem::path database_ = folder_.path() / "keys.db";
  AuthOptions options_{.key_database = database_};
  ManualClock clock_;
  WallTime wall_now_{1'800'000'000s};
  std::unique_ptr<Authenticator> authenticator_;
};

TEST_F(AuthenticatorTest, WithoutKeys_EveryoneIsTheOpenPrincipal) {
  Start();
  EXPECT_TRUE(authenticator_->is_open());
  for (const char* header : {"", "Bearer anything", "Basic eA=="}) {
    const auto principal = *authenticator_->Authenticate(header, "");
    EXPECT_EQ(principal->key_id, "");
    EXPECT_EQ(principal->cache_salt, 0u);
    EXPECT_EQ(principal->policy, Policy());
  }
  EXPECT_FALSE(std::filesystem::exists(database_)) << "nothing is created for nobody";
}

TEST_F(AuthenticatorTest, FirstKey_ClosesAnOpenServerForGood) {
  Start();
  const std::string key = CreateKey("ci");
  EXPECT_TRUE(authenticator_->Authenticate("", "")) << "not noticed yet";
  clock_.Advance(1s);
  EXPECT_EQ(Refuse("").code, ErrorCode::kUnauthenticated);
  EXPECT_FALSE(authenticator_->is_open());
  Pass(key);

  SqliteDatabase database = *SqliteDatabase::Open(database_, 1s);
  ASSERT_TRUE(database.Execute("DELETE FROM keys"));
  clock_.Advance(1s);
  Refuse("");
  RefuseKey(key);
  std::filesystem::remove(database_);
  clock_.Advance(1s);
  Refuse("");
  EXPECT_FALSE(authenticator_->is_open());
}

TEST_F(AuthenticatorTest, RevokedKeys_KeepAServerClosed) {
  const std::string key = CreateKey("ci");
  ASSERT_TRUE(Store().Revoke("ci", wall_now_));
  Start();
  EXPECT_FALSE(authenticator_->is_open());
  RefuseKey(key);
}

TEST_F(AuthenticatorTest, Key_IsFoundInEitherHeader) {
  const std::string key = CreateKey("ci", "acme");
  Start();
  for (const std::string scheme : {"Bearer ", "bearer ", "BEARER ", "Bearer   ", "  Bearer "}) {
    EXPECT_EQ((*authenticator_->Authenticate(scheme + key, ""))->name, "ci");
  }
  EXPECT_EQ((*authenticator_->Authenticate("", key))->policy.tenant, "acme");
  EXPECT_TRUE(authenticator_->Authenticate("Basic dXNlcjpwYXNz", " " + key + " "));
  Refuse("Bearer wrong", key);
  for (const std::string& header : {key, "Bearer" + key, "Basic " + key, "Bearer: " + key, std::string("Bearer ")}) {
    Refuse(header);
  }
}

TEST_F(AuthenticatorTest, WrongRevokedAndExpiredKeys_AreToldTheSame) {
  const std::string revoked = CreateKey("revoked");
  ASSERT_TRUE(Store().Revoke("revoked", wall_now_));
  const std::string expired = Store().Create({.name = "expired", .expires_at = wall_now_ + 1h}, wall_now_)->text;
  Start();
  Pass(expired);
  wall_now_ += 1h;
  for (const std::string& key : {revoked, expired, std::string("sk-autoglm-guess"), std::string(20'000, 'x'),
                                 std::string("a.b.c"), std::string("\0\xff", 2)}) {
    const Error error = RefuseKey(key);
    EXPECT_EQ(error.code, ErrorCode::kUnauthenticated);
    EXPECT_EQ(error.message, "the API key is not valid");
  }
  EXPECT_THAT(Refuse("").message, HasSubstr("an API key is needed"));
}

TEST_F(AuthenticatorTest, Revocation_TakesEffectWithinASecond) {
  const std::string key = CreateKey("ci");
  Start();
  const std::shared_ptr<const Principal> running = Pass(key);
  ASSERT_TRUE(Store().Revoke("ci", wall_now_));
  clock_.Advance(1s);
  RefuseKey(key);
  EXPECT_EQ(running->name, "ci") << "requests that run keep their principal";
}

TEST_F(AuthenticatorTest, Salt_IsTheTenantsForAllItsKeysAndAfterARestart) {
  UseTokens();
  options_.keys = {{.name = "file", .sha256 = Sha256Of("from-file"), .policy = {.tenant = "acme"}}};
  const std::string first = CreateKey("first", "acme");
  const std::string second = CreateKey("second", "acme");
  const std::string other = CreateKey("other", "initech");
  Start();
  const uint64_t salt = Pass(first)->cache_salt;
  EXPECT_NE(salt, 0u);
  EXPECT_EQ(Pass(second)->cache_salt, salt);
  EXPECT_EQ(Pass("from-file")->cache_salt, salt);
  EXPECT_EQ(Pass(Token({{"tenant", "acme"}}))->cache_salt, salt);
  EXPECT_NE(Pass(other)->cache_salt, salt);
  EXPECT_NE(Pass(Token({{"sub", "acme"}}))->cache_salt, salt) << "a user's name is no tenant's";
  Start();
  EXPECT_EQ(Pass(first)->cache_salt, salt);
}

TEST_F(AuthenticatorTest, ConfiguredKeys_CreateTheDatabaseForTheirSalt) {
  options_.keys = {{.name = "web", .sha256 = Sha256Of("web-secret")}};
  Start();
  EXPECT_FALSE(authenticator_->is_open());
  const uint64_t salt = Pass("web-secret")->cache_salt;
  EXPECT_EQ(Pass("web-secret")->key_id, "file:web");
  Start();
  EXPECT_EQ(Pass("web-secret")->cache_salt, salt);
  options_.key_database.reset();
  Start();
  EXPECT_NE(Pass("web-secret")->cache_salt, salt) << "without a database nothing is remembered";
}

TEST_F(AuthenticatorTest, Tokens_GetTheirPolicyAndTenant) {
  UseTokens();
  Start();
  EXPECT_FALSE(authenticator_->is_open());
  const auto ada = Pass(Token());
  EXPECT_EQ(ada->key_id, "jwt:ada");
  EXPECT_EQ(ada->policy.max_concurrent, 3);
  EXPECT_EQ(ada->policy.tenant, "sub:ada");
  const auto large = Pass(Token({{"autoglm_policy", "large"}, {"tenant", "acme"}}));
  EXPECT_EQ(large->policy.max_concurrent, 30);
  EXPECT_EQ(large->policy.tenant, "acme");
  EXPECT_EQ(Pass(Token({{"sub", nullptr}}))->policy.tenant, "everyone");
}

TEST_F(AuthenticatorTest, Scopes_BoundThePolicysModels) {
  UseTokens();
  options_.jwt->scope_models = {{"chat", {"chat-*"}}};
  options_.policies["standard"].models = {"chat-9b", "coder"};
  Start();
  const auto chats = Pass(Token({{"scope", "chat"}}));
  EXPECT_TRUE(chats->policy.MayUse("chat-9b"));
  EXPECT_FALSE(chats->policy.MayUse("chat-27b"));
  EXPECT_FALSE(chats->policy.MayUse("coder"));
  EXPECT_FALSE(Pass(Token())->policy.MayUse("chat-9b")) << "no scope";
}

TEST_F(AuthenticatorTest, KeysOfAUrl_AreHandedToTheVerifier) {
  UseTokens();
  options_.jwt->jwks.clear();
  options_.jwt->jwks_url = "https://issuer/jwks";
  Start();
  EXPECT_FALSE(authenticator_->is_open());
  EXPECT_EQ(RefuseKey(Token()).code, ErrorCode::kUnavailable);
  ASSERT_TRUE(authenticator_->jwt()->SetKeys(issuer_.Jwks()));
  Pass(Token());
}

TEST_F(AuthenticatorTest, BadTokens_AreRefused) {
  UseTokens();
  Start();
  EXPECT_EQ(RefuseKey(Token({{"exp", 1}})).message, "the token has expired");
  EXPECT_EQ(RefuseKey(Token({{"iss", "https://other"}})).code, ErrorCode::kUnauthenticated);
  EXPECT_EQ(RefuseKey(Token({{"autoglm_policy", "root"}})).code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(RefuseKey(Token() + "A").message, "the token is not valid");
  EXPECT_THAT(RefuseKey(Token({{"exp", 1}})).message, Not(HasSubstr("eyJ")));
}

TEST_F(AuthenticatorTest, SettingsThatDoNotFit_DoNotStart) {
  UseTokens();
  options_.jwt->policy = "gone";
  EXPECT_THAT(Create().error().message, HasSubstr("there is no policy 'gone'"));
  UseTokens();
  options_.policies["bad"] = {.max_concurrent = -1};
  EXPECT_FALSE(Create());
  options_ = {.keys = {{.name = "a", .sha256 = Sha256Of("x")}, {.name = "a", .sha256 = Sha256Of("y")}}};
  EXPECT_THAT(Create().error().message, HasSubstr("the key 'a' is there twice"));
  options_.keys[1] = {.name = "b", .sha256 = Sha256Of("x")};
  EXPECT_THAT(Create().error().message, HasSubstr("the key 'b' is there twice"));
  options_ = {.key_database = folder_.Write("broken.db", std::string(200, 'x'))};
  EXPECT_FALSE(Create()) << "a database that is there and cannot be read does not open the server";
}

}  // namespace
}  // namespace autoglm
