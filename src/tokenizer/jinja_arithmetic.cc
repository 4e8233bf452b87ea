#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "tokenizer/jinja_operators.h"
#include "tokenizer/jinja_print.h"

namespace autoglm::jinja {
namespace {

constexpr std::string_view Symbol(BinaryOperator op) {
  switch (op) {
    case BinaryOperator::kAdd:
      return "+";
    case BinaryOperator::kSubtract:
      return "-";
    case BinaryOperator::kMultiply:
      return "*";
    case BinaryOperator::kDivide:
      return "/";
    case BinaryOperator::kFloorDivide:
      return "//";
    case BinaryOperator::kModulo:
      return "%";
    case BinaryOperator::kPower:
      return "**";
    case BinaryOperator::kConcatenate:
      return "~";
  }
  return "";
}

tl::unexpected<Error> TypeMismatch(BinaryOperator op, const Value& left, const Value& right) {
  return RenderError(
      fmt::format("unsupported operand types for {}: '{}' and '{}'", Symbol(op), left.TypeName(), right.TypeName()));
}

tl::unexpected<Error> IntegerTooLarge() {
  return Fail(ErrorCode::kUnsupported, "a calculation leaves the range of 64-bit integers, which is not supported");
}

tl::unexpected<Error> DivisionByZero() { return RenderError("division by zero"); }

double PythonModulo(double left, double right) {
  const double remainder = std::fmod(left, right);
  if (remainder == 0) return std::copysign(0.0, right);
  return (remainder < 0) == (right < 0) ? remainder : remainder + right;
}

double PythonFloorDivide(double left, double right) {
  double remainder = std::fmod(left, right);
  double quotient = (left - remainder) / right;
  if (remainder != 0 && (remainder < 0) != (right < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, left / right);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

Result<Value> FloatPower(double base, double exponent) {
  if (base == 0 && exponent < 0) return DivisionByZero();
  const double power = std::pow(base, exponent);
  if (std::isnan(power) && !std::isnan(base) && !std::isnan(exponent)) {
    return Fail(ErrorCode::kUnsupported, "a power with a complex result is not supported");
  }
  if (std::isinf(power) && std::isfinite(base) && std::isfinite(exponent)) return RenderError("a power is too large");
  return Value::Float(power);
}

Result<Value> IntegerPower(int64_t base, int64_t exponent) {
  if (exponent < 0) return FloatPower(static_cast<double>(base), static_cast<double>(exponent));
  int64_t power = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(power, base, &power)) return IntegerTooLarge();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return IntegerTooLarge();
  }
  return Value::Int(power);
}

Result<Value> CalculateIntegers(BinaryOperator op, int64_t left, int64_t right) {
  int64_t result = 0;
  switch (op) {
    case BinaryOperator::kAdd:
      if (__builtin_add_overflow(left, right, &result)) return IntegerTooLarge();
      return Value::Int(result);
    case BinaryOperator::kSubtract:
      if (__builtin_sub_overflow(left, right, &result)) return IntegerTooLarge();
      return Value::Int(result);
    case BinaryOperator::kMultiply:
      if (__builtin_mul_overflow(left, right, &result)) return IntegerTooLarge();
      return Value::Int(result);
    case BinaryOperator::kPower:
      return IntegerPower(left, right);
    default:
      break;
  }

  if (right == 0) return DivisionByZero();
  if (op == BinaryOperator::kDivide) return Value::Float(static_cast<double>(left) / static_cast<double>(right));
  // The one quotient that does not fit; its remainder is 0, but the processor traps on both.
  if (right == -1) return op == BinaryOperator::kModulo ? Value::Int(0) : CalculateIntegers(BinaryOperator::kSubtract, 0, left);
  const int64_t remainder = left % right;
  const bool rounds_down = remainder != 0 && (remainder < 0) != (right < 0);
  if (op == BinaryOperator::kModulo) return Value::Int(rounds_down ? remainder + right : remainder);
  return Value::Int(left / right - (rounds_down ? 1 : 0));
}

Result<Value> CalculateFloats(BinaryOperator op, double left, double right) {
  switch (op) {
    case BinaryOperator::kAdd:
      return Value::Float(left + right);
    case BinaryOperator::kSubtract:
      return Value::Float(left - right);
    case BinaryOperator::kMultiply:
      return Value::Float(left * right);
    case BinaryOperator::kPower:
      return FloatPower(left, right);
    default:
      break;
  }
  if (right == 0) return DivisionByZero();
  if (op == BinaryOperator::kDivide) return Value::Float(left / right);
  return Value::Float(op == BinaryOperator::kModulo ? PythonModulo(left, right) : PythonFloorDivide(left, right));
}

Result<Value> Join(Runtime& runtime, const Text& left, const Text& right) {
  AUTOGLM_TRY_VOID(CheckStringSize(left.size() + right.size()));
  Text joined = left;
  joined.Append(right);
  return MakeString(runtime, std::move(joined));
}

Result<Value> JoinSequences(Runtime& runtime, const Sequence& left, const Sequence& right) {
  // Charged first: the copy must not be made where there is no memory left for it.
  AUTOGLM_TRY_VOID(runtime.budget.Allocate((left.items.size() + right.items.size()) * sizeof(Value)));
  std::vector<Value> items = left.items;
  items.insert(items.end(), right.items.begin(), right.items.end());
  return MakeSequence(runtime, left.kind, std::move(items));
}

// A negative count gives nothing, as in Python.
Result<Value> Repeat(Runtime& runtime, const Text& text, int64_t count) {
  const int64_t times = text.empty() ? 0 : std::clamp<int64_t>(count, 0, kStringBytesMax + 1);
  AUTOGLM_TRY_VOID(CheckStringSize(text.size() * static_cast<size_t>(times)));
  AUTOGLM_TRY_VOID(runtime.budget.Spend(times));
  Text repeated;
  for (int64_t i = 0; i < times; ++i) repeated.Append(text);
  return MakeString(runtime, std::move(repeated));
}

Result<Value> Repeat(Runtime& runtime, const Sequence& sequence, int64_t count) {
  const int64_t times = sequence.items.empty() ? 0 : std::clamp<int64_t>(count, 0, kMemoryBytesMax + 1);
  AUTOGLM_TRY_VOID(runtime.budget.Allocate(static_cast<size_t>(times) * sequence.items.size() * sizeof(Value)));
  std::vector<Value> items;
  for (int64_t i = 0; i < times; ++i) items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  return MakeSequence(runtime, sequence.kind, std::move(items));
}

bool IsListOrTuple(const Sequence* sequence) {
  return sequence != nullptr && (sequence->kind == SequenceKind::kList || sequence->kind == SequenceKind::kTuple);
}

// nullopt where `many` cannot be repeated or `times` is no integer.
std::optional<Result<Value>> TryRepeat(Runtime& runtime, const Value& many, const Value& times) {
  const auto count = times.AsInt();
  if (!count) return std::nullopt;
  if (const Text* text = many.AsText()) return Repeat(runtime, *text, *count);
  if (const Sequence* sequence = many.AsSequence(); IsListOrTuple(sequence)) return Repeat(runtime, *sequence, *count);
  return std::nullopt;
}

Result<Value> CalculateOthers(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right) {
  const Text* const left_text = left.AsText();
  const Text* const right_text = right.AsText();
  if (op == BinaryOperator::kAdd) {
    if (left_text != nullptr && right_text != nullptr) return Join(runtime, *left_text, *right_text);
    const Sequence* const left_items = left.AsSequence();
    const Sequence* const right_items = right.AsSequence();
    if (IsListOrTuple(left_items) && IsListOrTuple(right_items) && left_items->kind == right_items->kind) {
      return JoinSequences(runtime, *left_items, *right_items);
    }
  }
  if (op == BinaryOperator::kMultiply) {
    if (auto repeated = TryRepeat(runtime, left, right)) return *std::move(repeated);
    if (auto repeated = TryRepeat(runtime, right, left)) return *std::move(repeated);
  }
  if (op == BinaryOperator::kModulo && left_text != nullptr) {
    return Fail(ErrorCode::kUnsupported, "formatting a string by % is not supported");
  }
  return TypeMismatch(op, left, right);
}

}  // namespace

Result<Value> Calculate(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right) {
  if (op == BinaryOperator::kConcatenate) {
    AUTOGLM_TRY(const Text left_text, PrintText(runtime, left));
    AUTOGLM_TRY(const Text right_text, PrintText(runtime, right));
    return Join(runtime, left_text, right_text);
  }
  if (left.IsUndefined()) return RenderError(left.UndefinedHint());
  if (right.IsUndefined()) return RenderError(right.UndefinedHint());
  if (!left.IsNumber() || !right.IsNumber()) return CalculateOthers(runtime, op, left, right);
  const auto left_int = left.AsInt();
  const auto right_int = right.AsInt();
  if (left_int && right_int) return CalculateIntegers(op, *left_int, *right_int);
  return CalculateFloats(op, *left.AsDouble(), *right.AsDouble());
}

Result<Value> Calculate(Runtime& /*runtime*/, UnaryOperator op, const Value& operand) {
  if (op == UnaryOperator::kNot) return Value::Bool(!operand.IsTrue());
  if (operand.IsUndefined()) return RenderError(operand.UndefinedHint());
  if (!operand.IsNumber()) return RenderError(fmt::format("bad operand type for a sign: '{}'", operand.TypeName()));
  if (const auto integer = operand.AsInt()) {
    return op == UnaryOperator::kPlus ? Value::Int(*integer) : CalculateIntegers(BinaryOperator::kSubtract, 0, *integer);
  }
  const double number = *operand.AsDouble();
  return Value::Float(op == UnaryOperator::kPlus ? number : -number);
}

}  // namespace autoglm::jinja
