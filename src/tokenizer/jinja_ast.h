#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tokenizer/jinja_filters.h"
#include "tokenizer/jinja_operators.h"
#include "tokenizer/jinja_predicates.h"
#include "tokenizer/jinja_text.h"
#include "tokenizer/jinja_value.h"

namespace autoglm::jinja {

// What the parser makes of a template. No tree is deeper than kSyntaxDepthMax, so all may be walked by recursion.

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
};

struct LiteralExpression {
  Value value;
};
struct NameExpression {
  std::string name;
};
struct SequenceExpression {
  SequenceKind kind = SequenceKind::kList;  // or kTuple
  std::vector<ExpressionPtr> items;
};
struct DictExpression {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};
struct UnaryExpression {
  UnaryOperator op = UnaryOperator::kNot;
  ExpressionPtr operand;
};
struct BinaryExpression {
  BinaryOperator op = BinaryOperator::kAdd;
  ExpressionPtr left;
  ExpressionPtr right;
};
enum class Connective : uint8_t { kAnd, kOr };
struct LogicExpression {
  Connective connective = Connective::kAnd;
  ExpressionPtr left;
  ExpressionPtr right;
};
// a < b < c holds where each neighbouring pair does.
struct CompareExpression {
  ExpressionPtr first;
  std::vector<std::pair<CompareOperator, ExpressionPtr>> rest;
};
struct ConditionalExpression {
  ExpressionPtr condition;
  ExpressionPtr then;
  ExpressionPtr otherwise;  // may be null
};
struct AttributeExpression {
  ExpressionPtr object;
  std::string name;
};
struct ItemExpression {
  ExpressionPtr object;
  ExpressionPtr index;
};
// Any of the bounds may be null.
struct SliceExpression {
  ExpressionPtr object;
  ExpressionPtr begin;
  ExpressionPtr end;
  ExpressionPtr step;
};
struct CallExpression {
  ExpressionPtr callee;
  CallArguments arguments;
};
struct FilterExpression {
  ExpressionPtr input;  // null in the filters of a set block, whose input is the block
  NativeFunction filter = nullptr;
  CallArguments arguments;
};
struct PredicateExpression {
  ExpressionPtr input;
  Predicate predicate = nullptr;
  CallArguments arguments;
};

struct Expression {
  using Node = std::variant<LiteralExpression, NameExpression, SequenceExpression, DictExpression, UnaryExpression,
                            BinaryExpression, LogicExpression, CompareExpression, ConditionalExpression, AttributeExpression,
                            ItemExpression, SliceExpression, CallExpression, FilterExpression, PredicateExpression>;
  Node node;
  int line = 1;
  int depth = 1;
};

// How deep the tree below and including `node` is.
int DepthOf(const Expression::Node& node);

// What is assigned to: a name, an attribute of a namespace, or several of these.
struct Target {
  std::string name;
  std::string attribute;      // empty for a plain name
  std::vector<Target> items;  // empty unless several are unpacked
};

struct Statement;
using Body = std::vector<Statement>;

struct DataStatement {
  std::shared_ptr<const Text> text;
};
struct PrintStatement {
  ExpressionPtr value;
};
struct IfStatement {
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body otherwise;
};
struct ForStatement {
  Target target;
  ExpressionPtr iterable;
  ExpressionPtr filter;  // may be null
  Body body;
  Body otherwise;
};
struct SetStatement {
  Target target;
  ExpressionPtr value;
};
struct SetBlockStatement {
  Target target;
  std::vector<ExpressionPtr> filters;  // applied in order
  Body body;
};
struct MacroDefinition {
  std::string name;
  std::vector<std::pair<std::string, ExpressionPtr>> parameters;  // with their defaults, which may be null
  Body body;
};
struct MacroStatement {
  std::unique_ptr<MacroDefinition> macro;  // its address stays when the statement moves
};
// {% generation %}: marks what the model wrote, for training; prints its body, in a scope of its own.
struct GenerationStatement {
  Body body;
};
enum class LoopControl : uint8_t { kBreak, kContinue };
struct LoopControlStatement {
  LoopControl control = LoopControl::kBreak;
};

struct Statement {
  using Node = std::variant<DataStatement, PrintStatement, IfStatement, ForStatement, SetStatement, SetBlockStatement,
                            MacroStatement, GenerationStatement, LoopControlStatement>;
  Node node;
  int line = 1;
};

}  // namespace autoglm::jinja
