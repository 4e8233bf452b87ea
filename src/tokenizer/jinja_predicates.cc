#include "tokenizer/jinja_predicates.h"

#include <fmt/core.h>

#include <array>

#include "tokenizer/jinja_access.h"
#include "tokenizer/jinja_arguments.h"
#include "tokenizer/jinja_methods.h"
#include "tokenizer/jinja_operators.h"
#include "tokenizer/jinja_print.h"

namespace autoglm::jinja {
namespace {

// A property of the value alone.
template <bool (*Holds)(const Value&)>
Result<bool> IsKind(Runtime& /*runtime*/, const Value& value, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("the test", arguments, {}));
  return Holds(value);
}

bool IsDefined(const Value& value) { return !value.IsUndefined(); }
bool IsUndefined(const Value& value) { return value.IsUndefined(); }
bool IsNone(const Value& value) { return value.IsNone(); }
bool IsString(const Value& value) { return value.AsText() != nullptr; }
bool IsNumber(const Value& value) { return value.IsNumber(); }
bool IsInteger(const Value& value) { return value.IsInt(); }
bool IsFloat(const Value& value) { return value.IsFloat(); }
bool IsBoolean(const Value& value) { return value.IsBool(); }
bool IsMapping(const Value& value) { return value.AsDict() != nullptr; }
bool IsExactlyTrue(const Value& value) { return value.IsBool() && value.IsTrue(); }
bool IsExactlyFalse(const Value& value) { return value.IsBool() && !value.IsTrue(); }
// Python's Undefined has __call__, though it only raises.
bool IsCallable(const Value& value) { return value.AsCallable() != nullptr || value.IsUndefined(); }

// What has a length and can be indexed.
bool IsSequence(const Value& value) {
  if (value.AsText() != nullptr || value.AsDict() != nullptr || value.IsUndefined()) return true;
  const Sequence* const sequence = value.AsSequence();
  return sequence != nullptr && (sequence->kind == SequenceKind::kList || sequence->kind == SequenceKind::kTuple ||
                                 sequence->kind == SequenceKind::kRange);
}

template <CompareOperator op>
Result<bool> Compares(Runtime& runtime, const Value& value, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("the test", arguments, {"other"}, 1));
  return Compare(runtime, op, value, parameters.Required(0));
}

Result<bool> IsSameAs(Runtime& runtime, const Value& value, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("sameas", arguments, {"other"}, 1));
  const Value& other = parameters.Required(0);
  if (value.storage().index() != other.storage().index()) return false;
  if (value.AsSequence() != nullptr) return value.AsSequence() == other.AsSequence();
  if (value.AsDict() != nullptr) return value.AsDict() == other.AsDict();
  return Equals(runtime, value, other);
}

Result<bool> IsRemainder(Runtime& runtime, const Value& value, int64_t divisor, int64_t remainder) {
  if (value.AsText() != nullptr) return RenderError("this test works on numbers, not on strings");
  AUTOGLM_TRY(const Value found, Calculate(runtime, BinaryOperator::kModulo, value, Value::Int(divisor)));
  return Equals(runtime, found, Value::Int(remainder));
}

template <int64_t remainder>
Result<bool> IsParity(Runtime& runtime, const Value& value, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("odd or even", arguments, {}));
  return IsRemainder(runtime, value, 2, remainder);
}

Result<bool> IsDivisibleBy(Runtime& runtime, const Value& value, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("divisibleby", arguments, {"num"}, 1));
  AUTOGLM_TRY(const int64_t divisor, parameters.Int(0, 1));
  return IsRemainder(runtime, value, divisor, 0);
}

// lower and upper look at the value as it prints.
Result<bool> HasCase(Runtime& runtime, const Value& value, const Arguments& arguments, std::string_view method) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("the test", arguments, {}));
  AUTOGLM_TRY(Text text, PrintText(runtime, value));
  AUTOGLM_TRY(const Value answer, FindStringMethod(method)(runtime, Value::String(std::move(text)), arguments));
  return answer.IsTrue();
}

Result<bool> IsLowerCase(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return HasCase(runtime, value, arguments, "islower");
}

Result<bool> IsUpperCase(Runtime& runtime, const Value& value, const Arguments& arguments) {
  return HasCase(runtime, value, arguments, "isupper");
}

struct NamedPredicate {
  std::string_view name;
  Predicate predicate;
};

constexpr std::array kPredicates = {
    NamedPredicate{"defined", IsKind<IsDefined>},
    NamedPredicate{"undefined", IsKind<IsUndefined>},
    NamedPredicate{"none", IsKind<IsNone>},
    NamedPredicate{"string", IsKind<IsString>},
    NamedPredicate{"number", IsKind<IsNumber>},
    NamedPredicate{"integer", IsKind<IsInteger>},
    NamedPredicate{"float", IsKind<IsFloat>},
    NamedPredicate{"boolean", IsKind<IsBoolean>},
    NamedPredicate{"mapping", IsKind<IsMapping>},
    NamedPredicate{"iterable", IsKind<IsIterable>},
    NamedPredicate{"sequence", IsKind<IsSequence>},
    NamedPredicate{"callable", IsKind<IsCallable>},
    NamedPredicate{"true", IsKind<IsExactlyTrue>},
    NamedPredicate{"false", IsKind<IsExactlyFalse>},
    NamedPredicate{"lower", IsLowerCase},
    NamedPredicate{"upper", IsUpperCase},
    NamedPredicate{"odd", IsParity<1>},
    NamedPredicate{"even", IsParity<0>},
    NamedPredicate{"divisibleby", IsDivisibleBy},
    NamedPredicate{"sameas", IsSameAs},
    NamedPredicate{"in", Compares<CompareOperator::kIn>},
    NamedPredicate{"eq", Compares<CompareOperator::kEqual>},
    NamedPredicate{"equalto", Compares<CompareOperator::kEqual>},
    NamedPredicate{"==", Compares<CompareOperator::kEqual>},
    NamedPredicate{"ne", Compares<CompareOperator::kNotEqual>},
    NamedPredicate{"!=", Compares<CompareOperator::kNotEqual>},
    NamedPredicate{"lt", Compares<CompareOperator::kLess>},
    NamedPredicate{"lessthan", Compares<CompareOperator::kLess>},
    NamedPredicate{"<", Compares<CompareOperator::kLess>},
    NamedPredicate{"le", Compares<CompareOperator::kLessEqual>},
    NamedPredicate{"<=", Compares<CompareOperator::kLessEqual>},
    NamedPredicate{"gt", Compares<CompareOperator::kGreater>},
    NamedPredicate{"greaterthan", Compares<CompareOperator::kGreater>},
    NamedPredicate{">", Compares<CompareOperator::kGreater>},
    NamedPredicate{"ge", Compares<CompareOperator::kGreaterEqual>},
    NamedPredicate{">=", Compares<CompareOperator::kGreaterEqual>},
};

}  // namespace

Predicate FindPredicate(std::string_view name) {
  for (const NamedPredicate& entry : kPredicates) {
    if (entry.name == name) return entry.predicate;
  }
  return nullptr;
}

}  // namespace autoglm::jinja
