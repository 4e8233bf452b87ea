#include "sampling/sampling_params.h"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

namespace autoglm {
namespace {

constexpr size_t kStopStringsMax = 16;
constexpr float kLogitBiasMax = 100.0f;

tl::unexpected<Error> FailField(std::string_view field, std::string_view rule) {
  return Fail(ErrorCode::kInvalidArgument, fmt::format("'{}' {}", field, rule), std::string(field));
}

// Written so that NaN is outside.
Status CheckRange(std::string_view field, float value, float min, float max) {
  if (value >= min && value <= max) return {};
  return FailField(field, fmt::format("must be between {} and {}, but is {}", min, max, value));
}

Status CheckRangeAboveZero(std::string_view field, float value, float max) {
  if (value > 0 && value <= max) return {};
  return FailField(field, fmt::format("must be above 0 and at most {}, but is {}", max, value));
}

Status CheckLogitBias(const std::vector<std::pair<TokenId, float>>& logit_bias, int64_t vocab_size) {
  for (const auto& [token, bias] : logit_bias) {
    if (token < 0 || token >= vocab_size) {
      return FailField("logit_bias", fmt::format("names token {}, but the model's tokens are 0 to {}", token, vocab_size - 1));
    }
    if (!(std::abs(bias) <= kLogitBiasMax)) {
      return FailField("logit_bias", fmt::format("must be between {} and {}, but is {} for token {}", -kLogitBiasMax,
                                                 kLogitBiasMax, bias, token));
    }
  }
  return {};
}

Status CheckStop(const std::vector<std::string>& stop) {
  if (stop.size() > kStopStringsMax) {
    return FailField("stop", fmt::format("may have at most {} strings, but has {}", kStopStringsMax, stop.size()));
  }
  for (const std::string& text : stop) {
    if (text.empty()) return FailField("stop", "may not contain an empty string");
  }
  return {};
}

}  // namespace

Status SamplingParams::Validate(int64_t vocab_size) const {
  AUTOGLM_TRY_VOID(CheckRange("temperature", temperature, 0, 2));
  if (top_k < 0) return FailField("top_k", fmt::format("must be 0 (all tokens) or above, but is {}", top_k));
  AUTOGLM_TRY_VOID(CheckRangeAboveZero("top_p", top_p, 1));
  AUTOGLM_TRY_VOID(CheckRange("min_p", min_p, 0, 1));
  AUTOGLM_TRY_VOID(CheckRange("presence_penalty", presence_penalty, -2, 2));
  AUTOGLM_TRY_VOID(CheckRange("frequency_penalty", frequency_penalty, -2, 2));
  AUTOGLM_TRY_VOID(CheckRangeAboveZero("repetition_penalty", repetition_penalty, 10));
  AUTOGLM_TRY_VOID(CheckLogitBias(logit_bias, vocab_size));
  if (max_tokens < 1) return FailField("max_tokens", fmt::format("must be at least 1, but is {}", max_tokens));
  if (min_tokens < 0 || min_tokens > max_tokens) {
    return FailField("min_tokens", fmt::format("must be between 0 and max_tokens ({}), but is {}", max_tokens, min_tokens));
  }
  return CheckStop(stop);
}

}  // namespace autoglm
