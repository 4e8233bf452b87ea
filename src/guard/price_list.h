#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "config/gateway_config.h"

namespace autoglm::guard {

// What budgets count, in whole millionths so that sums are exact: of money where anything has a price (models that no pattern
// fits are free then), else of tokens. Immutable.
class PriceList {
 public:
  explicit PriceList(std::vector<gateway::PriceConfig> prices) : prices_(std::move(prices)) {}

  // Rounded up. Counts below zero are zero.
  int64_t CostOf(std::string_view model, int64_t input_tokens, int64_t output_tokens) const;

 private:
  std::vector<gateway::PriceConfig> prices_;
};

}  // namespace autoglm::guard
