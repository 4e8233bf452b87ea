#include "guard/price_list.h"

#include <algorithm>
#include <cmath>

#include "auth/policy.h"
#include "base/name_pattern.h"

namespace autoglm::guard {
namespace {

// More than any budget holds, and far from overflow.
constexpr int64_t kMaxCost = kMaxPolicyLimit * 1'000'000;
// What binary fractions add to a decimal price must not cost a millionth.
constexpr double kRoundingError = 1e-6;

}  // namespace

int64_t PriceList::CostOf(std::string_view model, int64_t input_tokens, int64_t output_tokens) const {
  const int64_t input = std::clamp<int64_t>(input_tokens, 0, kMaxPolicyLimit / 2);
  const int64_t output = std::clamp<int64_t>(output_tokens, 0, kMaxPolicyLimit / 2);
  if (prices_.empty()) return (input + output) * 1'000'000;
  const auto price =
      std::ranges::find_if(prices_, [model](const gateway::PriceConfig& one) { return FitsPattern(model, one.model); });
  if (price == prices_.end()) return 0;
  // A price per million tokens is a token's price in millionths.
  const double millionths =
      static_cast<double>(input) * price->input_per_million + static_cast<double>(output) * price->output_per_million;
  return static_cast<int64_t>(std::min(std::ceil(millionths - kRoundingError), static_cast<double>(kMaxCost)));
}

}  // namespace autoglm::guard
