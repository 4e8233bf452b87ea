#include <fmt/core.h>

#include <algorithm>

#include "tokenizer/jinja_expression_parser.h"

namespace autoglm::jinja {
namespace {

// Whether a test without parentheses takes what follows as its argument: `x is divisibleby 3`.
bool StartsPredicateArgument(const Token& token) {
  switch (token.kind) {
    case TokenKind::kName:
      return !token.IsName("else") && !token.IsName("or") && !token.IsName("and");
    case TokenKind::kString:
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return true;
    default:
      return token.IsOperator("[") || token.IsOperator("{");
  }
}

}  // namespace

Result<ExpressionPtr> ExpressionParser::ParseCall(ExpressionPtr callee) {
  const int line = tokens_.line();
  AUTOGLM_TRY(CallArguments arguments, ParseArguments());
  return Make(line, CallExpression{std::move(callee), std::move(arguments)});
}

Result<CallArguments> ExpressionParser::ParseArguments() {
  CallArguments arguments;
  AUTOGLM_TRY_VOID(tokens_.ExpectOperator("("));
  while (!tokens_.SkipOperator(")")) {
    if (!arguments.positional.empty() || !arguments.named.empty()) {
      AUTOGLM_TRY_VOID(tokens_.ExpectOperator(","));
      if (tokens_.SkipOperator(")")) break;
    }
    AUTOGLM_TRY_VOID(ParseArgument(arguments));
  }
  return arguments;
}

Status ExpressionParser::ParseArgument(CallArguments& arguments) {
  const int line = tokens_.line();
  if (tokens_.Current().IsOperator("*") || tokens_.Current().IsOperator("**")) {
    return UnsupportedSyntax(line, "* and ** in the arguments of a call are not supported");
  }
  if (tokens_.Current().kind == TokenKind::kName && tokens_.Next().IsOperator("=")) {
    AUTOGLM_TRY(std::string name, tokens_.TakeName());
    tokens_.Skip();
    const bool is_known = std::any_of(arguments.named.begin(), arguments.named.end(),
                                      [&name](const auto& argument) { return argument.first == name; });
    if (is_known) return SyntaxError(line, fmt::format("the argument '{}' is given twice", name));
    AUTOGLM_TRY(ExpressionPtr value, ParseExpression());
    arguments.named.emplace_back(std::move(name), std::move(value));
    return {};
  }
  if (!arguments.named.empty()) return SyntaxError(line, "an argument without a name follows one with a name");
  AUTOGLM_TRY(ExpressionPtr value, ParseExpression());
  arguments.positional.push_back(std::move(value));
  return {};
}

Result<ExpressionPtr> ExpressionParser::ParseFilter(ExpressionPtr input) {
  const int line = tokens_.line();
  AUTOGLM_TRY_VOID(tokens_.ExpectOperator("|"));
  AUTOGLM_TRY(const std::string name, tokens_.TakeName());
  FilterExpression filter{.input = std::move(input), .filter = FindFilter(name), .arguments = {}};
  if (filter.filter == nullptr) return UnsupportedSyntax(line, fmt::format("there is no filter '{}'", name));
  if (tokens_.Current().IsOperator("(")) {
    AUTOGLM_TRY(filter.arguments, ParseArguments());
  }
  return Make(line, std::move(filter));
}

Result<std::vector<ExpressionPtr>> ExpressionParser::ParseFilters() {
  std::vector<ExpressionPtr> filters;
  while (tokens_.Current().IsOperator("|")) {
    AUTOGLM_TRY(ExpressionPtr filter, ParseFilter(nullptr));
    filters.push_back(std::move(filter));
  }
  return filters;
}

Result<ExpressionPtr> ExpressionParser::ParsePredicate(ExpressionPtr input) {
  const int line = tokens_.line();
  AUTOGLM_TRY_VOID(tokens_.ExpectName("is"));
  const bool is_negated = tokens_.SkipName("not");
  AUTOGLM_TRY(const std::string name, tokens_.TakeName());
  PredicateExpression predicate{.input = std::move(input), .predicate = FindPredicate(name), .arguments = {}};
  if (predicate.predicate == nullptr) return UnsupportedSyntax(line, fmt::format("there is no test '{}'", name));
  if (tokens_.Current().IsOperator("(")) {
    AUTOGLM_TRY(predicate.arguments, ParseArguments());
  } else if (tokens_.Current().IsName("is")) {
    return SyntaxError(line, "tests cannot be chained by 'is'");
  } else if (StartsPredicateArgument(tokens_.Current())) {
    AUTOGLM_TRY(ExpressionPtr argument, ParsePrimary());
    AUTOGLM_TRY(argument, ParsePostfix(std::move(argument)));
    predicate.arguments.positional.push_back(std::move(argument));
  }
  AUTOGLM_TRY(ExpressionPtr node, Make(line, std::move(predicate)));
  if (!is_negated) return node;
  return Make(line, UnaryExpression{UnaryOperator::kNot, std::move(node)});
}

}  // namespace autoglm::jinja
