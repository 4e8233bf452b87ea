#include "auth/jwt_verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "auth/jwt_fixture.h"
#include "support/temporary_folder.h"

namespace autoglm {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::SizeIs;

constexpr std::string_view kPayload = R"({"sub":"ada","exp":1800000300})";

class JwtVerifierTest : public testing::Test {
 protected:
  void Write(const TestIssuer& issuer) const { folder_.Write("jwks.json", issuer.Jwks()); }
  void Start() {
    Result<std::unique_ptr<JwtVerifier>> verifier = Create();
    ASSERT_TRUE(verifier) << verifier.error().message;
    verifier_ = *std::move(verifier);
  }
  Result<std::unique_ptr<JwtVerifier>> Create() {
    return JwtVerifier::Create({.jwks = path_, .policy = "standard"}, clock_,
                               {.wall_now = [this] { return wall_now_; },
                                .on_problem = [this](const Error& error) { problems_.push_back(error.message); }});
  }
  bool Passes(const TestIssuer& issuer) { return verifier_->Verify(issuer.Sign("ES256", kPayload)).has_value(); }

  const TestIssuer old_ = TestIssuer::Ec(CJOSE_JWK_EC_P_256, "old");
  const TestIssuer new_ = TestIssuer::Ec(CJOSE_JWK_EC_P_256, "new");
  const TestIssuer replaced_ = TestIssuer::Ec(CJOSE_JWK_EC_P_256, "old");
  const TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_.path() / "jwks.json";
  ManualClock clock_;
  WallTime wall_now_{1'800'000'000s};
  std::unique_ptr<JwtVerifier> verifier_;
  std::vector<std::string> problems_;
};

TEST_F(JwtVerifierTest, Token_IsReadAndExpires) {
  Write(old_);
  Start();
  const Result<JwtIdentity> identity = verifier_->Verify(old_.Sign("ES256", kPayload));
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->subject, "ada");
  EXPECT_EQ(identity->policy, "standard");
  wall_now_ += 360s;
  EXPECT_EQ(verifier_->Verify(old_.Sign("ES256", kPayload)).error().message, "the token has expired");
}

TEST_F(JwtVerifierTest, ChangedFile_IsReadWithinASecond) {
  Write(old_);
  Start();
  ASSERT_TRUE(Passes(old_));
  std::filesystem::remove(path_);  // another inode, whatever the granularity of times
  Write(replaced_);
  EXPECT_FALSE(Passes(replaced_));
  clock_.Advance(1s);
  EXPECT_TRUE(Passes(replaced_));
  EXPECT_FALSE(Passes(old_));
}

TEST_F(JwtVerifierTest, UnknownKid_ReadsTheFileOnceMoreAndNotTooOften) {
  Write(old_);
  Start();
  // Same size and time, so that only the unknown kid can tell.
  const auto time = std::filesystem::last_write_time(path_);
  Write(new_);
  std::filesystem::last_write_time(path_, time);
  clock_.Advance(4s);
  EXPECT_FALSE(Passes(new_)) << "it was read less than five seconds ago";
  clock_.Advance(1s);
  EXPECT_TRUE(Passes(new_));

  Write(old_);
  std::filesystem::last_write_time(path_, time);
  EXPECT_FALSE(Passes(old_)) << "again too soon";
  clock_.Advance(5s);
  EXPECT_TRUE(Passes(old_));
}

TEST_F(JwtVerifierTest, BrokenFile_KeepsTheKeysAndIsReportedOnce) {
  Write(old_);
  Start();
  folder_.Write("jwks.json", "{\"keys\": [");
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(10s);
    EXPECT_TRUE(Passes(old_));
    EXPECT_FALSE(Passes(new_));
  }
  ASSERT_THAT(problems_, SizeIs(1));
  EXPECT_THAT(problems_[0], HasSubstr(path_.string() + ": "));
  std::filesystem::remove(path_);
  clock_.Advance(10s);
  EXPECT_TRUE(Passes(old_));
  ASSERT_THAT(problems_, SizeIs(2));
  EXPECT_THAT(problems_[1], HasSubstr("cannot open " + path_.string() + ": No such file"));
  Write(new_);
  clock_.Advance(1s);
  EXPECT_TRUE(Passes(new_));
}

TEST_F(JwtVerifierTest, FileThatHoldsNoKeys_DoesNotStart) {
  EXPECT_EQ(Create().error().code, ErrorCode::kNotFound);
  folder_.Write("jwks.json", "{\"keys\":[]}");
  EXPECT_THAT(Create().error().message, HasSubstr(path_.string() + ": holds no key"));
  folder_.Write("jwks.json", std::string((1 << 20) + 1, ' '));
  EXPECT_EQ(Create().error().code, ErrorCode::kPayloadTooLarge);
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  EXPECT_FALSE(Create());
}

TEST_F(JwtVerifierTest, UnknownKid_IsRefusedLikeEverythingElse) {
  Write(old_);
  Start();
  const Error unknown = verifier_->Verify(new_.Sign("ES256", kPayload)).error();
  const Error forged = verifier_->Verify(replaced_.Sign("ES256", kPayload)).error();
  EXPECT_EQ(unknown.message, forged.message);
  EXPECT_EQ(unknown.code, ErrorCode::kUnauthenticated);
}

TEST_F(JwtVerifierTest, FileOrUrl_OneOfThemIsNeeded) {
  const auto code = [this](JwtOptions options) {
    const auto verifier = JwtVerifier::Create(std::move(options), clock_, {});
    return verifier ? ErrorCode::kInternal : verifier.error().code;
  };
  Write(old_);
  EXPECT_EQ(code({}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.jwks = path_, .jwks_url = "https://issuer/jwks"}), ErrorCode::kInvalidArgument);
}

class JwtVerifierOfUrlTest : public JwtVerifierTest {
 protected:
  JwtVerifierOfUrlTest() {
    verifier_ = *JwtVerifier::Create({.jwks_url = "https://issuer/jwks", .policy = "standard"}, clock_,
                                     {.wall_now = [this] { return wall_now_; }, .on_unknown_key = [this] { ++num_unknown_; }});
  }
  int num_unknown_ = 0;
};

TEST_F(JwtVerifierOfUrlTest, BeforeKeysHaveCome_NobodyCanTell) {
  EXPECT_EQ(verifier_->Verify(old_.Sign("ES256", kPayload)).error().code, ErrorCode::kUnavailable);
  ASSERT_TRUE(verifier_->SetKeys(old_.Jwks()));
  EXPECT_TRUE(Passes(old_));
}

TEST_F(JwtVerifierOfUrlTest, BrokenKeySet_LeavesTheKeysAsTheyWere) {
  ASSERT_TRUE(verifier_->SetKeys(old_.Jwks()));
  EXPECT_THAT(verifier_->SetKeys("{\"keys\":[]}").error().message, HasSubstr("https://issuer/jwks: holds no key"));
  EXPECT_FALSE(verifier_->SetKeys("<html>"));
  EXPECT_TRUE(Passes(old_));
}

TEST_F(JwtVerifierOfUrlTest, UnknownKid_IsReportedAndOtherFaultsAreNot) {
  ASSERT_TRUE(verifier_->SetKeys(old_.Jwks()));
  EXPECT_TRUE(Passes(old_));
  EXPECT_FALSE(Passes(replaced_));
  EXPECT_FALSE(verifier_->Verify("a.b.c"));
  EXPECT_EQ(num_unknown_, 0);
  EXPECT_FALSE(Passes(new_));
  EXPECT_EQ(num_unknown_, 1);
  ASSERT_TRUE(verifier_->SetKeys(new_.Jwks()));
  EXPECT_TRUE(Passes(new_));
}

// Every token is signed with a key that the set has before and after each change.
TEST_F(JwtVerifierOfUrlTest, RotationUnderLoad_LosesNoRequest) {
  const std::string both = DumpJson(Json{{"keys", {old_.PublicJwk(), new_.PublicJwk()}}});
  ASSERT_TRUE(verifier_->SetKeys(both));
  const std::string token = old_.Sign("ES256", kPayload);
  std::atomic<bool> is_over = false;
  std::atomic<int64_t> num_lost = 0;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      while (!is_over) num_lost += verifier_->Verify(token).has_value() ? 0 : 1;
    });
  }
  for (int i = 0; i < 200; ++i) {
    EXPECT_TRUE(verifier_->SetKeys(i % 2 == 0 ? old_.Jwks() : both));
    EXPECT_FALSE(verifier_->SetKeys("{"));
  }
  is_over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_lost, 0);
}

TEST_F(JwtVerifierTest, ManyThreads_VerifyWhileKeysAreRotated) {
  Write(old_);
  verifier_ =
      *JwtVerifier::Create({.jwks = path_, .policy = "standard"}, Clock::Real(), {.wall_now = [this] { return wall_now_; }});
  const std::string good = old_.Sign("ES256", kPayload);
  const std::string forged = replaced_.Sign("ES256", kPayload);
  const std::string unknown = new_.Sign("ES256", kPayload);
  std::atomic<int64_t> num_wrong = 0;
  constexpr int kThreads = 8;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        num_wrong += verifier_->Verify(good).has_value() ? 0 : 1;
        num_wrong += verifier_->Verify(forged).has_value() ? 1 : 0;
        num_wrong += verifier_->Verify(unknown).has_value() ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_wrong, 0);
}

}  // namespace
}  // namespace autoglm
