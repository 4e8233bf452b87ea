#pragma once

#include "base/result.h"
#include "tokenizer/jinja_ast.h"
#include "tokenizer/jinja_token_stream.h"

namespace autoglm::jinja {

// Parses what stands inside tags, with Jinja2's precedence.
class ExpressionParser {
 public:
  explicit ExpressionParser(TemplateTokens& tokens) : tokens_(tokens) {}

  enum class Ternary : uint8_t { kAllowed, kExcluded };  // excluded where `if` belongs to the statement

  Result<ExpressionPtr> ParseExpression(Ternary ternary = Ternary::kAllowed);
  // Several expressions with commas between them are a tuple.
  Result<ExpressionPtr> ParseTuple(Ternary ternary = Ternary::kAllowed);
  // `| name(...) | name`, for the input of a set block.
  Result<std::vector<ExpressionPtr>> ParseFilters();

 private:
  class Nesting;

  Result<ExpressionPtr> ParseOr();
  Result<ExpressionPtr> ParseAnd();
  Result<ExpressionPtr> ParseNot();
  Result<ExpressionPtr> ParseCompare();
  Result<ExpressionPtr> ParseBinary(int level);
  Result<ExpressionPtr> ParseUnary();
  Result<ExpressionPtr> ParseSigned();
  Result<ExpressionPtr> ParsePrimary();
  Result<ExpressionPtr> ParseNameOrConstant();
  Result<ExpressionPtr> ParseParenthesized();
  Result<ExpressionPtr> ParseList();
  Result<ExpressionPtr> ParseDict();
  Result<ExpressionPtr> ParsePostfix(ExpressionPtr operand);
  Result<ExpressionPtr> ParsePostfixAndFilters(ExpressionPtr operand);
  Result<ExpressionPtr> ParseDot(ExpressionPtr object);
  Result<ExpressionPtr> ParseSubscript(ExpressionPtr object);
  Result<ExpressionPtr> ParseSliceBound();

  // What takes arguments: jinja_call_parser.cc.
  Result<ExpressionPtr> ParseCall(ExpressionPtr callee);
  Result<CallArguments> ParseArguments();
  Status ParseArgument(CallArguments& arguments);
  Result<ExpressionPtr> ParseFilter(ExpressionPtr input);
  Result<ExpressionPtr> ParsePredicate(ExpressionPtr input);

  // Refuses trees that are too deep.
  Result<ExpressionPtr> Make(int line, Expression::Node node) const;

  TemplateTokens& tokens_;
  int nesting_ = 0;
};

}  // namespace autoglm::jinja
