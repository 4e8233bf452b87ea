#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "tokenizer/jinja_access.h"
#include "tokenizer/jinja_arguments.h"
#include "tokenizer/jinja_filters.h"
#include "tokenizer/jinja_operators.h"
#include "tokenizer/jinja_unicode.h"

namespace autoglm::jinja {
namespace {

constexpr int64_t kPrecisionMax = 300;
constexpr double kInt64Limit = 9223372036854775808.0;  // 2^63
constexpr size_t kNumberBytesMax = 400;                // longer ones are no numbers to us

// The digits of a Python number without the white space around it and single underscores between digits.
std::optional<std::string> CleanNumber(std::string_view text) {
  text = StripSpace(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || text.size() > kNumberBytesMax || text.front() == '+') return std::nullopt;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || i + 1 == text.size() || !is_digit(text[i - 1]) || !is_digit(text[i + 1])) {
      return std::nullopt;
    }
  }
  return out;
}

std::optional<int64_t> ParseInteger(std::string_view text, int base) {
  const auto digits = CleanNumber(text);
  if (!digits) return std::nullopt;
  int64_t value = 0;
  const char* const last = digits->data() + digits->size();
  const auto [end, error] = std::from_chars(digits->data(), last, value, base);
  return error == std::errc() && end == last ? std::optional(value) : std::nullopt;
}

std::optional<double> ParseFloat(std::string_view text) {
  const auto digits = CleanNumber(text);
  if (!digits || digits->find('(') != std::string::npos) return std::nullopt;  // "nan(...)" is C's, not Python's
  double value = 0;
  const char* const last = digits->data() + digits->size();
  const auto [end, error] = std::from_chars(digits->data(), last, value);
  return error == std::errc() && end == last ? std::optional(value) : std::nullopt;
}

// nullopt for what is no number.
Result<std::optional<int64_t>> Truncate(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  const double whole = std::trunc(value);
  if (whole >= -kInt64Limit && whole < kInt64Limit) return static_cast<int64_t>(whole);
  return Fail(ErrorCode::kUnsupported, "the filter int does not support integers beyond 64 bits");
}

Result<Value> ToInt(Runtime& /*runtime*/, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("int", arguments, {"default", "base"}));
  AUTOGLM_TRY(const int64_t base, parameters.Int(1, 10));
  if (base < 2 || base > 36) return Fail(ErrorCode::kUnsupported, "the filter int supports bases from 2 to 36");
  if (self.IsUndefined()) return RenderError(self.UndefinedHint());
  std::optional<int64_t> value = self.AsInt();
  if (const Text* text = self.AsText()) {
    value = ParseInteger(text->bytes(), static_cast<int>(base));
    if (!value) {
      const auto number = ParseFloat(text->bytes());
      if (number) {
        AUTOGLM_TRY(value, Truncate(*number));
      }
    }
  } else if (self.IsFloat()) {
    AUTOGLM_TRY(value, Truncate(*self.AsDouble()));
  }
  if (value) return Value::Int(*value);
  return parameters.Get(0) == nullptr ? Value::Int(0) : *parameters.Get(0);
}

Result<Value> ToFloat(Runtime& /*runtime*/, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("float", arguments, {"default"}));
  if (self.IsUndefined()) return RenderError(self.UndefinedHint());
  std::optional<double> value = self.AsDouble();
  if (const Text* text = self.AsText()) value = ParseFloat(text->bytes());
  if (value) return Value::Float(*value);
  return parameters.Get(0) == nullptr ? Value::Float(0) : *parameters.Get(0);
}

Result<Value> Absolute(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("abs", arguments, {}));
  if (self.IsFloat()) return Value::Float(std::fabs(*self.AsDouble()));
  const bool is_negative = self.AsInt().value_or(0) < 0;
  return Calculate(runtime, is_negative ? UnaryOperator::kNegate : UnaryOperator::kPlus, self);
}

// printf rounds the exact binary value, ties to even: what Python's round() promises.
double RoundDecimal(double value, int64_t digits) {
  if (!std::isfinite(value)) return value;
  if (digits >= 0) {
    const std::string text = fmt::format("{:.{}f}", value, std::min(digits, kPrecisionMax));
    double rounded = value;
    std::from_chars(text.data(), text.data() + text.size(), rounded);
    return rounded;
  }
  const double scale = std::pow(10.0, static_cast<double>(std::min(-digits, kPrecisionMax)));
  return std::nearbyint(value / scale) * scale;
}

// Ties to even, as Python rounds integers to tens, hundreds, ...
int64_t RoundInteger(int64_t value, int64_t digits) {
  if (digits >= 0) return value;
  int64_t scale = 1;
  for (int64_t i = 0; i < -digits; ++i) {
    if (__builtin_mul_overflow(scale, 10, &scale)) return 0;
  }
  const int64_t quotient = value / scale;
  const int64_t remainder = std::abs(value % scale);
  const bool rounds_away = remainder > scale / 2 || (remainder == scale / 2 && quotient % 2 != 0);
  int64_t rounded = 0;
  const int64_t whole = quotient + (rounds_away ? (value < 0 ? -1 : 1) : 0);
  return __builtin_mul_overflow(whole, scale, &rounded) ? value : rounded;
}

Result<Value> Round(Runtime& /*runtime*/, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("round", arguments, {"precision", "method"}));
  AUTOGLM_TRY(const int64_t precision, parameters.Int(0, 0));
  AUTOGLM_TRY(const Text* const method, parameters.OptionalText(1));
  const std::string name = method == nullptr ? "common" : method->bytes();
  if (name != "common" && name != "ceil" && name != "floor") return RenderError("method must be common, ceil or floor");
  if (self.IsUndefined()) return RenderError(self.UndefinedHint());
  if (!self.IsNumber()) return RenderError(fmt::format("round works on numbers, not on {}", self.TypeName()));
  const auto integer = self.AsInt();
  if (name == "common") {
    return integer ? Value::Int(RoundInteger(*integer, precision)) : Value::Float(RoundDecimal(*self.AsDouble(), precision));
  }
  const double scale = std::pow(10.0, static_cast<double>(std::clamp(precision, -kPrecisionMax, kPrecisionMax)));
  const double scaled = *self.AsDouble() * scale;
  if (!std::isfinite(scaled)) return RenderError("round: the number is too large");
  return Value::Float((name == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Result<Value> Sum(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("sum", arguments, {"attribute", "start"}));
  AUTOGLM_TRY(const std::vector<Value> items, Iterate(runtime, self));
  Value sum = parameters.Get(1) == nullptr ? Value::Int(0) : *parameters.Get(1);
  if (sum.AsText() != nullptr) return RenderError("sum() can't sum strings");
  const bool has_attribute = parameters.Get(0) != nullptr && !parameters.Get(0)->IsNone();
  for (const Value& item : items) {
    Value addend = item;
    if (has_attribute) {
      AUTOGLM_TRY(addend, GetPath(runtime, item, *parameters.Get(0)));
    }
    AUTOGLM_TRY_VOID(runtime.budget.Spend(1));
    AUTOGLM_TRY(sum, Calculate(runtime, BinaryOperator::kAdd, sum, addend));
  }
  return sum;
}

constexpr std::array kFilters = {
    NamedFunction{"int", ToInt},   NamedFunction{"float", ToFloat}, NamedFunction{"abs", Absolute},
    NamedFunction{"round", Round}, NamedFunction{"sum", Sum},
};

}  // namespace

NativeFunction FindNumberFilter(std::string_view name) { return FindNamed(kFilters, name); }

}  // namespace autoglm::jinja
