#include <fmt/core.h>

#include <algorithm>

#include "tokenizer/jinja_access.h"
#include "tokenizer/jinja_functions.h"
#include "tokenizer/jinja_interpreter.h"

namespace autoglm::jinja {
namespace {

constexpr size_t kShownBytesMax = 64;

}  // namespace

Result<Value> Interpreter::Evaluate(const Expression& expression) {
  const CallDepth depth(*this);
  AUTOGLM_TRY_VOID(depth.Check());
  AUTOGLM_TRY_VOID(runtime_.budget.Spend(1));
  line_ = expression.line;
  return std::visit([this](const auto& node) { return Evaluate(node); }, expression.node);
}

Result<Value> Interpreter::Evaluate(const LiteralExpression& expression) { return expression.value; }

Result<Value> Interpreter::LookUp(std::string_view name) {
  for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->parent.get()) {
    AUTOGLM_TRY_VOID(runtime_.budget.SpendSearch(scope->variables.size()));
    if (const Value* value = scope->FindHere(name)) return *value;
  }
  if (const NativeFunction function = FindFunction(name)) return MakeMethod(std::string(name), function, Value());
  AUTOGLM_TRY_VOID(runtime_.budget.Allocate(kShownBytesMax));
  return Value::Undefined(fmt::format("'{}' is undefined", name.substr(0, kShownBytesMax)));
}

Result<Value> Interpreter::Evaluate(const NameExpression& expression) { return LookUp(expression.name); }

Result<Value> Interpreter::Evaluate(const SequenceExpression& expression) {
  std::vector<Value> items;
  for (const ExpressionPtr& item : expression.items) {
    AUTOGLM_TRY(Value value, Evaluate(*item));
    items.push_back(std::move(value));
  }
  return MakeSequence(runtime_, expression.kind, std::move(items));
}

Result<Value> Interpreter::Evaluate(const DictExpression& expression) {
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [key_expression, value_expression] : expression.entries) {
    AUTOGLM_TRY(Value key, Evaluate(*key_expression));
    AUTOGLM_TRY(Value value, Evaluate(*value_expression));
    entries.emplace_back(std::move(key), std::move(value));
  }
  return MakeDict(runtime_, std::move(entries));
}

Result<Value> Interpreter::Evaluate(const UnaryExpression& expression) {
  AUTOGLM_TRY(const Value operand, Evaluate(*expression.operand));
  return Calculate(runtime_, expression.op, operand);
}

Result<Value> Interpreter::Evaluate(const BinaryExpression& expression) {
  AUTOGLM_TRY(const Value left, Evaluate(*expression.left));
  AUTOGLM_TRY(const Value right, Evaluate(*expression.right));
  return Calculate(runtime_, expression.op, left, right);
}

Result<Value> Interpreter::Evaluate(const LogicExpression& expression) {
  AUTOGLM_TRY(Value left, Evaluate(*expression.left));
  const bool is_decided = left.IsTrue() == (expression.connective == Connective::kOr);
  if (is_decided) return left;
  return Evaluate(*expression.right);
}

Result<Value> Interpreter::Evaluate(const CompareExpression& expression) {
  AUTOGLM_TRY(Value left, Evaluate(*expression.first));
  for (const auto& [op, operand] : expression.rest) {
    AUTOGLM_TRY(Value right, Evaluate(*operand));
    AUTOGLM_TRY(const bool holds, Compare(runtime_, op, left, right));
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

Result<Value> Interpreter::Evaluate(const ConditionalExpression& expression) {
  AUTOGLM_TRY(const Value condition, Evaluate(*expression.condition));
  if (condition.IsTrue()) return Evaluate(*expression.then);
  if (expression.otherwise != nullptr) return Evaluate(*expression.otherwise);
  return Value::Undefined("the inline if-expression evaluated to false and no else section was defined.");
}

Result<Value> Interpreter::Evaluate(const AttributeExpression& expression) {
  AUTOGLM_TRY(const Value object, Evaluate(*expression.object));
  return GetAttribute(runtime_, object, expression.name);
}

Result<Value> Interpreter::Evaluate(const ItemExpression& expression) {
  AUTOGLM_TRY(const Value object, Evaluate(*expression.object));
  AUTOGLM_TRY(const Value index, Evaluate(*expression.index));
  return GetItem(runtime_, object, index);
}

Result<Value> Interpreter::Evaluate(const SliceExpression& expression) {
  AUTOGLM_TRY(const Value object, Evaluate(*expression.object));
  SliceBounds bounds;
  if (expression.begin != nullptr) {
    AUTOGLM_TRY(bounds.begin, Evaluate(*expression.begin));
  }
  if (expression.end != nullptr) {
    AUTOGLM_TRY(bounds.end, Evaluate(*expression.end));
  }
  if (expression.step != nullptr) {
    AUTOGLM_TRY(bounds.step, Evaluate(*expression.step));
  }
  return GetSlice(runtime_, object, bounds);
}

Result<Arguments> Interpreter::EvaluateArguments(const CallArguments& arguments) {
  Arguments evaluated;
  for (const ExpressionPtr& argument : arguments.positional) {
    AUTOGLM_TRY(Value value, Evaluate(*argument));
    evaluated.positional.push_back(std::move(value));
  }
  for (const auto& [name, argument] : arguments.named) {
    AUTOGLM_TRY(Value value, Evaluate(*argument));
    evaluated.named.emplace_back(name, std::move(value));
  }
  return evaluated;
}

Result<Value> Interpreter::Evaluate(const CallExpression& expression) {
  AUTOGLM_TRY(const Value callee, Evaluate(*expression.callee));
  if (callee.IsUndefined()) return RenderError(callee.UndefinedHint());
  const Callable* const callable = callee.AsCallable();
  if (callable == nullptr) return RenderError(fmt::format("'{}' object is not callable", callee.TypeName()));
  AUTOGLM_TRY(Arguments arguments, EvaluateArguments(expression.arguments));
  if (callable->macro != nullptr) return CallMacro(*callable, std::move(arguments));
  return callable->function(runtime_, callable->self, arguments);
}

Result<Value> Interpreter::ApplyFilter(const FilterExpression& filter, const Value& input) {
  AUTOGLM_TRY(const Arguments arguments, EvaluateArguments(filter.arguments));
  return filter.filter(runtime_, input, arguments);
}

Result<Value> Interpreter::Evaluate(const FilterExpression& expression) {
  AUTOGLM_TRY(const Value input, Evaluate(*expression.input));
  return ApplyFilter(expression, input);
}

Result<Value> Interpreter::Evaluate(const PredicateExpression& expression) {
  AUTOGLM_TRY(const Value input, Evaluate(*expression.input));
  AUTOGLM_TRY(const Arguments arguments, EvaluateArguments(expression.arguments));
  AUTOGLM_TRY(const bool holds, expression.predicate(runtime_, input, arguments));
  return Value::Bool(holds);
}

// Sets the parameters in the current scope, which is the macro's own.
Status Interpreter::BindMacroArguments(const MacroDefinition& macro, Arguments arguments) {
  if (arguments.positional.size() > macro.parameters.size()) {
    return RenderError(fmt::format("macro '{}' takes not more than {} argument(s)", macro.name, macro.parameters.size()));
  }
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const auto& [name, absent] = macro.parameters[i];
    const auto named = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&wanted = name](const auto& argument) { return argument.first == wanted; });
    const bool is_named = named != arguments.named.end();
    if (i < arguments.positional.size()) {
      if (is_named) return RenderError(fmt::format("macro '{}' got '{}' twice", macro.name, name));
      AUTOGLM_TRY_VOID(SetVariable(name, std::move(arguments.positional[i])));
    } else if (is_named) {
      AUTOGLM_TRY_VOID(SetVariable(name, std::move(named->second)));
      arguments.named.erase(named);
    } else if (absent != nullptr) {
      AUTOGLM_TRY(Value value, Evaluate(*absent));
      AUTOGLM_TRY_VOID(SetVariable(name, std::move(value)));
    } else {
      AUTOGLM_TRY_VOID(
          SetVariable(name, Value::Undefined(fmt::format("parameter '{}' was not provided", name.substr(0, kShownBytesMax)))));
    }
  }
  if (arguments.named.empty()) return {};
  return RenderError(fmt::format("macro '{}' takes no argument '{}'", macro.name, arguments.named.front().first));
}

Result<Value> Interpreter::CallMacro(const Callable& callable, Arguments arguments) {
  const CallDepth depth(*this);
  AUTOGLM_TRY_VOID(depth.Check());
  const std::shared_ptr<Scope> definition = callable.scope.lock();
  if (definition == nullptr) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("calling the macro '{}' outside the block that defines it is not supported", callable.name));
  }
  const ScopeGuard scope(*this, definition);
  AUTOGLM_TRY_VOID(BindMacroArguments(*callable.macro, std::move(arguments)));
  AUTOGLM_TRY(auto captured, Capture(callable.macro->body));
  return MakeString(runtime_, std::move(captured.first));
}

}  // namespace autoglm::jinja
