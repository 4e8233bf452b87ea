#include "server/request_terms.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

class RequestTermsTest : public testing::Test {
 protected:
  Result<RequestTerms> Read() const { return ReadTerms(request_, params_, principal_, DefaultSloClasses()); }

  http::Request request_{.method = "POST", .path = "/v1/completions", .body = "{}"};
  GenerationParams params_;
  Principal principal_;
};

TEST_F(RequestTermsTest, NothingSaid_IsStandardWithoutTimeout) {
  const auto terms = Read();
  ASSERT_TRUE(terms);
  EXPECT_EQ(terms->slo_class, "standard");
  EXPECT_EQ(terms->target, std::chrono::seconds(10));
  EXPECT_FALSE(terms->timeout);
}

TEST_F(RequestTermsTest, ClassComesFromTheHeader_ElseFromTheServiceTier) {
  params_.service_tier = "flex";
  EXPECT_EQ(Read()->slo_class, "batch");
  params_.service_tier = "priority";
  EXPECT_EQ(Read()->slo_class, "interactive");
  request_.headers = {{"x-slo-class", "batch"}};
  EXPECT_EQ(Read()->target, std::chrono::seconds(600));
  request_.headers = {{"x-slo-class", "gold"}};
  EXPECT_EQ(Read().error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(Read().error().message.find("batch, interactive, standard"), std::string::npos);
}

TEST_F(RequestTermsTest, Timeout_IsSecondsWithAFraction) {
  request_.headers = {{"x-request-timeout", "2.5"}};
  EXPECT_EQ(Read()->timeout, std::chrono::milliseconds(2500));
  for (const char* bad : {"0", "-1", "1e9", "5s", "nan", " 5", "86401", "0x10"}) {
    request_.headers = {{"x-request-timeout", bad}};
    EXPECT_FALSE(Read()) << bad;
  }
}

TEST_F(RequestTermsTest, PriorityAboveThePolicys_IsForbidden) {
  params_.priority = -1;
  EXPECT_TRUE(Read());
  principal_.policy.highest_priority = 0;
  EXPECT_EQ(Read().error().code, ErrorCode::kPermissionDenied);
  params_.priority = 5;
  EXPECT_TRUE(Read());
}

TEST_F(RequestTermsTest, Fingerprint_KnowsTheSameRequestOfTheSameTenant) {
  const uint64_t first = Read()->fingerprint;
  EXPECT_EQ(Read()->fingerprint, first);
  principal_.cache_salt = 7;
  EXPECT_NE(Read()->fingerprint, first);
  EXPECT_EQ(Read()->tenant, 7u);
  principal_.cache_salt = 0;
  request_.body = "{ }";
  EXPECT_NE(Read()->fingerprint, first);
}

TEST(AllowedMaxTokens, CapsWhatIsNotSaid_AndRefusesMore) {
  EXPECT_EQ(*AllowedMaxTokens(std::nullopt, 100, {}), std::nullopt);
  EXPECT_EQ(*AllowedMaxTokens(50, 100, {}), 50);
  const Policy output{.max_output_tokens = 64};
  EXPECT_EQ(*AllowedMaxTokens(std::nullopt, 100, output), 64);
  EXPECT_EQ(*AllowedMaxTokens(10, 100, output), 10);
  EXPECT_EQ(AllowedMaxTokens(65, 100, output).error().code, ErrorCode::kPermissionDenied);
  const Policy context{.max_context_tokens = 120};
  EXPECT_EQ(*AllowedMaxTokens(std::nullopt, 100, context), 20);
  EXPECT_EQ(*AllowedMaxTokens(20, 100, context), 20);
  EXPECT_FALSE(AllowedMaxTokens(21, 100, context));
  EXPECT_FALSE(AllowedMaxTokens(std::nullopt, 120, context));
}

}  // namespace
}  // namespace autoglm
