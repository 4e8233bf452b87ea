#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/jinja_value.h"

namespace autoglm::jinja {

enum class BinaryOperator : uint8_t { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower, kConcatenate };
enum class CompareOperator : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };
enum class UnaryOperator : uint8_t { kNegate, kPlus, kNot };

// Python's operators, with its rules for what goes together. Errors: kInvalidArgument where Python raises; kUnsupported for
// what is not built (the formatting of strings by %, integers beyond 64 bits).
Result<Value> Calculate(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right);
Result<Value> Calculate(Runtime& runtime, UnaryOperator op, const Value& operand);
Result<bool> Compare(Runtime& runtime, CompareOperator op, const Value& left, const Value& right);

Result<bool> Equals(Runtime& runtime, const Value& left, const Value& right);
// -1, 0 or 1. Refuses values without an order; NaN counts as equal, which only sorting sees.
Result<int> Order(Runtime& runtime, const Value& left, const Value& right);
Result<bool> Contains(Runtime& runtime, const Value& container, const Value& item);

// Whether a value may be the key of a dict.
Status CheckHashable(const Value& key);
// nullptr where the dict has no such key.
Result<const Value*> FindItem(Runtime& runtime, const Dict& dict, const Value& key);
Result<const Value*> FindItem(Runtime& runtime, const Dict& dict, std::string_view key);

// Stable, by `keys`; returns the order as indexes into it. Both fail where two keys have no order.
Result<std::vector<size_t>> SortedOrder(Runtime& runtime, const std::vector<Value>& keys);

}  // namespace autoglm::jinja
