#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "tokenizer/jinja_ast.h"
#include "tokenizer/jinja_value.h"

namespace autoglm::jinja {

// The variables that one body sets. Lookups go on to the scope around it.
struct Scope {
  std::shared_ptr<const Scope> parent;  // null for the scope of the context
  std::vector<std::pair<std::string, Value>> variables;

  const Value* FindHere(std::string_view name) const;
  void Set(std::string_view name, Value value);
};

// One rendering of a template. Used once, by one thread.
class Interpreter {
 public:
  // `runtime` must outlive the interpreter and what it returns.
  explicit Interpreter(Runtime& runtime) : runtime_(runtime) {}

  // `context` is a dict. Errors name the line, except those of raise_exception.
  Result<Text> Render(const Body& body, const Value& context);

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };
  class CallDepth;
  class ScopeGuard;

  // Statements: jinja_interpreter.cc.
  Result<Flow> Run(const Body& body);
  Result<Flow> Execute(const DataStatement& statement);
  Result<Flow> Execute(const PrintStatement& statement);
  Result<Flow> Execute(const IfStatement& statement);
  Result<Flow> Execute(const ForStatement& statement);
  Result<Flow> Execute(const SetStatement& statement);
  Result<Flow> Execute(const SetBlockStatement& statement);
  Result<Flow> Execute(const MacroStatement& statement);
  Result<Flow> Execute(const GenerationStatement& statement);
  Result<Flow> Execute(const LoopControlStatement& statement);
  Result<std::vector<Value>> LoopItems(const ForStatement& statement);
  Status Assign(const Target& target, const Value& value);
  Status SetVariable(std::string_view name, Value value);
  Status AssignAttribute(const Target& target, const Value& value);
  Status Print(const Text& text);
  Status Print(const Value& value);
  // Runs `body` and returns what it printed.
  Result<std::pair<Text, Flow>> Capture(const Body& body);

  // Expressions: jinja_evaluate.cc.
  Result<Value> Evaluate(const Expression& expression);
  Result<Value> Evaluate(const LiteralExpression& expression);
  Result<Value> Evaluate(const NameExpression& expression);
  Result<Value> Evaluate(const SequenceExpression& expression);
  Result<Value> Evaluate(const DictExpression& expression);
  Result<Value> Evaluate(const UnaryExpression& expression);
  Result<Value> Evaluate(const BinaryExpression& expression);
  Result<Value> Evaluate(const LogicExpression& expression);
  Result<Value> Evaluate(const CompareExpression& expression);
  Result<Value> Evaluate(const ConditionalExpression& expression);
  Result<Value> Evaluate(const AttributeExpression& expression);
  Result<Value> Evaluate(const ItemExpression& expression);
  Result<Value> Evaluate(const SliceExpression& expression);
  Result<Value> Evaluate(const CallExpression& expression);
  Result<Value> Evaluate(const FilterExpression& expression);
  Result<Value> Evaluate(const PredicateExpression& expression);
  Result<Value> ApplyFilter(const FilterExpression& filter, const Value& input);
  Result<Arguments> EvaluateArguments(const CallArguments& arguments);
  Result<Value> CallMacro(const Callable& callable, Arguments arguments);
  Status BindMacroArguments(const MacroDefinition& macro, Arguments arguments);
  Result<Value> LookUp(std::string_view name);

  Runtime& runtime_;
  std::shared_ptr<Scope> scope_;
  Text* out_ = nullptr;  // where printed text goes
  int call_depth_ = 0;
  int line_ = 1;
};

// Counts how deep evaluation is inside itself.
class Interpreter::CallDepth {
 public:
  explicit CallDepth(Interpreter& interpreter) : interpreter_(interpreter) { ++interpreter_.call_depth_; }
  ~CallDepth() { --interpreter_.call_depth_; }
  CallDepth(const CallDepth&) = delete;
  CallDepth& operator=(const CallDepth&) = delete;

  Status Check() const;

 private:
  Interpreter& interpreter_;
};

// Opens a scope inside `parent`, and goes back to the one before at the end.
class Interpreter::ScopeGuard {
 public:
  ScopeGuard(Interpreter& interpreter, std::shared_ptr<const Scope> parent);
  ~ScopeGuard();
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

 private:
  Interpreter& interpreter_;
  std::shared_ptr<Scope> before_;
};

}  // namespace autoglm::jinja
