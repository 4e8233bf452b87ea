#include "tokenizer/jinja_ast.h"

#include <algorithm>

namespace autoglm::jinja {
namespace {

int DepthOf(const ExpressionPtr& expression) { return expression == nullptr ? 0 : expression->depth; }

int DepthOf(const CallArguments& arguments) {
  int depth = 0;
  for (const ExpressionPtr& value : arguments.positional) depth = std::max(depth, DepthOf(value));
  for (const auto& [name, value] : arguments.named) depth = std::max(depth, DepthOf(value));
  return depth;
}

struct ChildDepth {
  int operator()(const LiteralExpression& /*node*/) const { return 0; }
  int operator()(const NameExpression& /*node*/) const { return 0; }
  int operator()(const SequenceExpression& node) const {
    int depth = 0;
    for (const ExpressionPtr& item : node.items) depth = std::max(depth, DepthOf(item));
    return depth;
  }
  int operator()(const DictExpression& node) const {
    int depth = 0;
    for (const auto& [key, value] : node.entries) depth = std::max({depth, DepthOf(key), DepthOf(value)});
    return depth;
  }
  int operator()(const UnaryExpression& node) const { return DepthOf(node.operand); }
  int operator()(const BinaryExpression& node) const { return std::max(DepthOf(node.left), DepthOf(node.right)); }
  int operator()(const LogicExpression& node) const { return std::max(DepthOf(node.left), DepthOf(node.right)); }
  int operator()(const CompareExpression& node) const {
    int depth = DepthOf(node.first);
    for (const auto& [op, operand] : node.rest) depth = std::max(depth, DepthOf(operand));
    return depth;
  }
  int operator()(const ConditionalExpression& node) const {
    return std::max({DepthOf(node.condition), DepthOf(node.then), DepthOf(node.otherwise)});
  }
  int operator()(const AttributeExpression& node) const { return DepthOf(node.object); }
  int operator()(const ItemExpression& node) const { return std::max(DepthOf(node.object), DepthOf(node.index)); }
  int operator()(const SliceExpression& node) const {
    return std::max({DepthOf(node.object), DepthOf(node.begin), DepthOf(node.end), DepthOf(node.step)});
  }
  int operator()(const CallExpression& node) const { return std::max(DepthOf(node.callee), DepthOf(node.arguments)); }
  int operator()(const FilterExpression& node) const { return std::max(DepthOf(node.input), DepthOf(node.arguments)); }
  int operator()(const PredicateExpression& node) const { return std::max(DepthOf(node.input), DepthOf(node.arguments)); }
};

}  // namespace

int DepthOf(const Expression::Node& node) { return std::visit(ChildDepth(), node) + 1; }

}  // namespace autoglm::jinja
