#include "sampling/sampling_params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace autoglm {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kVocabSize = 100;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

using Change = std::function<void(SamplingParams&)>;

Status ValidateWith(const Change& change) {
  SamplingParams params;
  change(params);
  return params.Validate(kVocabSize);
}

void ExpectAccepted(const Change& change) {
  const Status status = ValidateWith(change);
  EXPECT_TRUE(status) << status.error().message;
}

void ExpectRefused(const std::string& param, const Change& change) {
  const Status status = ValidateWith(change);
  ASSERT_FALSE(status) << param;
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(status.error().param, param);
  EXPECT_THAT(status.error().message, HasSubstr("'" + param + "'"));
}

void ExpectRange(const std::string& param, float SamplingParams::* field, std::vector<float> accepted,
                 std::vector<float> refused) {
  for (const float value : accepted) ExpectAccepted([&](SamplingParams& params) { params.*field = value; });
  refused.insert(refused.end(), {kNan, kInfinity, -kInfinity});
  for (const float value : refused) ExpectRefused(param, [&](SamplingParams& params) { params.*field = value; });
}

TEST(SamplingParams, Validate_AcceptsTheDefaults) {
  ExpectAccepted([](SamplingParams&) {});
}

TEST(SamplingParams, Validate_HoldsFloatsToTheirRanges) {
  ExpectRange("temperature", &SamplingParams::temperature, {0, 1e-30f, 0.7f, 2}, {-0.1f, 2.1f});
  ExpectRange("top_p", &SamplingParams::top_p, {1e-30f, 0.5f, 1}, {0, -0.1f, 1.1f});
  ExpectRange("min_p", &SamplingParams::min_p, {0, 0.5f, 1}, {-0.1f, 1.1f});
  ExpectRange("presence_penalty", &SamplingParams::presence_penalty, {-2, 0, 2}, {-2.1f, 2.1f});
  ExpectRange("frequency_penalty", &SamplingParams::frequency_penalty, {-2, 0, 2}, {-2.1f, 2.1f});
  ExpectRange("repetition_penalty", &SamplingParams::repetition_penalty, {0.1f, 1, 10}, {0, -1, 10.1f});
}

TEST(SamplingParams, Validate_HoldsCountsToTheirRanges) {
  for (const int top_k : {0, 1, 1 << 30}) ExpectAccepted([&](SamplingParams& params) { params.top_k = top_k; });
  ExpectRefused("top_k", [](SamplingParams& params) { params.top_k = -1; });
  ExpectAccepted([](SamplingParams& params) { params.max_tokens = 1; });
  ExpectRefused("max_tokens", [](SamplingParams& params) { params.max_tokens = 0; });
  ExpectRefused("max_tokens", [](SamplingParams& params) { params.max_tokens = -5; });
  ExpectAccepted([](SamplingParams& params) { params.min_tokens = params.max_tokens; });
  ExpectRefused("min_tokens", [](SamplingParams& params) { params.min_tokens = params.max_tokens + 1; });
  ExpectRefused("min_tokens", [](SamplingParams& params) { params.min_tokens = -1; });
}

TEST(SamplingParams, Validate_LogitBiasNamesTokensOfTheModel) {
  ExpectAccepted([](SamplingParams& params) { params.logit_bias = {{0, -100.0f}, {kVocabSize - 1, 100.0f}}; });
  for (const TokenId token : {TokenId{-1}, TokenId{kVocabSize}}) {
    ExpectRefused("logit_bias", [&](SamplingParams& params) { params.logit_bias = {{token, 1.0f}}; });
  }
  for (const float bias : {100.5f, -100.5f, kNan, kInfinity}) {
    ExpectRefused("logit_bias", [&](SamplingParams& params) { params.logit_bias = {{3, bias}}; });
  }
}

TEST(SamplingParams, Validate_StopHasFewStringsAndNoneEmpty) {
  ExpectAccepted([](SamplingParams& params) { params.stop.assign(16, "x"); });
  ExpectRefused("stop", [](SamplingParams& params) { params.stop.assign(17, "x"); });
  ExpectRefused("stop", [](SamplingParams& params) { params.stop = {"x", ""}; });
}

TEST(SamplingParams, Validate_MessageHasTheLimitsAndTheValue) {
  const Status status = ValidateWith([](SamplingParams& params) { params.temperature = 3.5f; });
  EXPECT_EQ(status.error().message, "'temperature' must be between 0 and 2, but is 3.5");
}

}  // namespace
}  // namespace autoglm
