#include "tokenizer/jinja_interpreter.h"

#include <fmt/core.h>

#include "base/check.h"
#include "tokenizer/jinja_access.h"
#include "tokenizer/jinja_lexer.h"
#include "tokenizer/jinja_print.h"

namespace autoglm::jinja {

const Value* Scope::FindHere(std::string_view name) const {
  for (const auto& [key, value] : variables) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Scope::Set(std::string_view name, Value value) {
  for (auto& [key, old] : variables) {
    if (key != name) continue;
    old = std::move(value);
    return;
  }
  variables.emplace_back(std::string(name), std::move(value));
}

Status Interpreter::CallDepth::Check() const {
  if (interpreter_.call_depth_ <= kCallDepthMax) return {};
  return RenderError("the template nests its calls too deeply");
}

Interpreter::ScopeGuard::ScopeGuard(Interpreter& interpreter, std::shared_ptr<const Scope> parent)
    : interpreter_(interpreter), before_(std::move(interpreter.scope_)) {
  interpreter_.scope_ = std::make_shared<Scope>(Scope{.parent = std::move(parent), .variables = {}});
}

Interpreter::ScopeGuard::~ScopeGuard() { interpreter_.scope_ = std::move(before_); }

Result<Text> Interpreter::Render(const Body& body, const Value& context) {
  const auto root = std::make_shared<Scope>();
  for (const auto& [name, value] : context.AsDict()->entries) root->variables.emplace_back(name.AsText()->bytes(), value);
  Text out;
  out_ = &out;
  const ScopeGuard scope(*this, root);
  Result<Flow> flow = Run(body);
  if (flow) return out;
  Error error = std::move(flow).error();
  if (!runtime_.raised) error.message = fmt::format("chat template, line {}: {}", line_, error.message);
  return tl::unexpected<Error>(std::move(error));
}

Result<Interpreter::Flow> Interpreter::Run(const Body& body) {
  const CallDepth depth(*this);
  AUTOGLM_TRY_VOID(depth.Check());
  for (const Statement& statement : body) {
    line_ = statement.line;
    AUTOGLM_TRY_VOID(runtime_.budget.Spend(1));
    AUTOGLM_TRY(const Flow flow, std::visit([this](const auto& node) { return Execute(node); }, statement.node));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Status Interpreter::Print(const Text& text) {
  AUTOGLM_TRY_VOID(CheckStringSize(out_->size() + text.size()));
  AUTOGLM_TRY_VOID(runtime_.budget.SpendBytes(text.size()));
  out_->Append(text);
  return {};
}

Status Interpreter::Print(const Value& value) {
  if (const Text* text = value.AsText()) return Print(*text);
  AUTOGLM_TRY(const Text text, PrintText(runtime_, value));
  return Print(text);
}

Result<Interpreter::Flow> Interpreter::Execute(const DataStatement& statement) {
  AUTOGLM_TRY_VOID(Print(*statement.text));
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::Execute(const PrintStatement& statement) {
  AUTOGLM_TRY(const Value value, Evaluate(*statement.value));
  AUTOGLM_TRY_VOID(Print(value));
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::Execute(const IfStatement& statement) {
  for (const auto& [condition, body] : statement.branches) {
    AUTOGLM_TRY(const Value value, Evaluate(*condition));
    if (value.IsTrue()) return Run(body);
  }
  return Run(statement.otherwise);
}

// What the loop visits: where it has a filter, only what passes.
Result<std::vector<Value>> Interpreter::LoopItems(const ForStatement& statement) {
  AUTOGLM_TRY(const Value iterable, Evaluate(*statement.iterable));
  AUTOGLM_TRY(std::vector<Value> items, Iterate(runtime_, iterable));
  if (statement.filter == nullptr) return items;
  std::vector<Value> kept;
  for (Value& item : items) {
    const ScopeGuard scope(*this, scope_);
    AUTOGLM_TRY_VOID(Assign(statement.target, item));
    AUTOGLM_TRY(const Value passes, Evaluate(*statement.filter));
    if (passes.IsTrue()) kept.push_back(std::move(item));
  }
  return kept;
}

Result<Interpreter::Flow> Interpreter::Execute(const ForStatement& statement) {
  AUTOGLM_TRY(std::vector<Value> items, LoopItems(statement));
  AUTOGLM_TRY(const std::shared_ptr<LoopState> loop, MakeLoop(runtime_, std::move(items)));
  // As in Jinja2, where every iteration was left early the loop counts as not run.
  bool has_run = false;
  for (size_t i = 0; i < loop->items.size(); ++i) {
    AUTOGLM_TRY_VOID(runtime_.budget.Spend(1));
    loop->index0 = i;
    const ScopeGuard scope(*this, scope_);
    scope_->Set("loop", Value(Value::Storage(loop)));
    AUTOGLM_TRY_VOID(Assign(statement.target, loop->items[i]));
    AUTOGLM_TRY(const Flow flow, Run(statement.body));
    if (flow == Flow::kBreak) break;
    if (flow == Flow::kNext) has_run = true;
  }
  if (has_run || statement.otherwise.empty()) return Flow::kNext;
  return Run(statement.otherwise);
}

Status Interpreter::SetVariable(std::string_view name, Value value) {
  AUTOGLM_TRY_VOID(runtime_.budget.SpendSearch(scope_->variables.size()));
  scope_->Set(name, std::move(value));
  return {};
}

Status Interpreter::AssignAttribute(const Target& target, const Value& value) {
  AUTOGLM_TRY(const Value object, LookUp(target.name));
  Namespace* const space = object.AsNamespace();
  if (space == nullptr) return RenderError("cannot assign attribute on non-namespace object");
  AUTOGLM_TRY_VOID(runtime_.budget.SpendSearch(space->entries.size()));
  space->Set(target.attribute, value);
  return {};
}

Status Interpreter::Assign(const Target& target, const Value& value) {
  if (!target.attribute.empty()) return AssignAttribute(target, value);
  if (target.items.empty()) return SetVariable(target.name, value);
  AUTOGLM_TRY(const std::vector<Value> parts, Iterate(runtime_, value));
  if (parts.size() != target.items.size()) {
    return RenderError(fmt::format("cannot unpack {} values into {}", parts.size(), target.items.size()));
  }
  for (size_t i = 0; i < parts.size(); ++i) AUTOGLM_TRY_VOID(Assign(target.items[i], parts[i]));
  return {};
}

Result<Interpreter::Flow> Interpreter::Execute(const SetStatement& statement) {
  AUTOGLM_TRY(const Value value, Evaluate(*statement.value));
  AUTOGLM_TRY_VOID(Assign(statement.target, value));
  return Flow::kNext;
}

Result<std::pair<Text, Interpreter::Flow>> Interpreter::Capture(const Body& body) {
  Text captured;
  Text* const before = out_;
  out_ = &captured;
  Result<Flow> flow = Run(body);
  out_ = before;
  if (!flow) return tl::unexpected<Error>(std::move(flow).error());
  return std::pair(std::move(captured), *flow);
}

Result<Interpreter::Flow> Interpreter::Execute(const SetBlockStatement& statement) {
  Value value;
  {
    const ScopeGuard scope(*this, scope_);
    AUTOGLM_TRY(auto captured, Capture(statement.body));
    if (captured.second != Flow::kNext) return captured.second;
    AUTOGLM_TRY(value, MakeString(runtime_, std::move(captured.first)));
    for (const ExpressionPtr& filter : statement.filters) {
      const auto* const node = std::get_if<FilterExpression>(&filter->node);
      AUTOGLM_CHECK(node != nullptr);
      AUTOGLM_TRY(value, ApplyFilter(*node, value));
    }
  }
  AUTOGLM_TRY_VOID(Assign(statement.target, value));
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::Execute(const MacroStatement& statement) {
  AUTOGLM_TRY_VOID(runtime_.budget.Allocate(sizeof(Callable)));
  auto callable = std::make_shared<Callable>();
  callable->name = statement.macro->name;
  callable->macro = statement.macro.get();
  callable->scope = scope_;
  Value value(Value::Storage(std::shared_ptr<const Callable>(std::move(callable))));
  AUTOGLM_TRY_VOID(SetVariable(statement.macro->name, std::move(value)));
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::Execute(const GenerationStatement& statement) {
  const ScopeGuard scope(*this, scope_);
  return Run(statement.body);
}

Result<Interpreter::Flow> Interpreter::Execute(const LoopControlStatement& statement) {
  return statement.control == LoopControl::kBreak ? Flow::kBreak : Flow::kContinue;
}

}  // namespace autoglm::jinja
