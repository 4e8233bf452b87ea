#include "tokenizer/jinja_expression_parser.h"

#include <array>
#include <optional>

namespace autoglm::jinja {
namespace {

struct BinaryLevel {
  std::string_view symbol;
  BinaryOperator op;
  int level;  // higher binds tighter
};
constexpr std::array<BinaryLevel, 8> kBinaryOperators = {{
    {"+", BinaryOperator::kAdd, 0},
    {"-", BinaryOperator::kSubtract, 0},
    {"~", BinaryOperator::kConcatenate, 1},
    {"*", BinaryOperator::kMultiply, 2},
    {"/", BinaryOperator::kDivide, 2},
    {"//", BinaryOperator::kFloorDivide, 2},
    {"%", BinaryOperator::kModulo, 2},
    {"**", BinaryOperator::kPower, 3},
}};
constexpr int kBinaryLevels = 4;

std::optional<BinaryOperator> BinaryOperatorOf(const Token& token, int level) {
  if (token.kind != TokenKind::kOperator) return std::nullopt;
  for (const BinaryLevel& entry : kBinaryOperators) {
    if (entry.level == level && entry.symbol == token.text) return entry.op;
  }
  return std::nullopt;
}

std::optional<CompareOperator> CompareOperatorOf(const TemplateTokens& tokens) {
  const Token& token = tokens.Current();
  if (token.IsName("in")) return CompareOperator::kIn;
  if (token.IsName("not") && tokens.Next().IsName("in")) return CompareOperator::kNotIn;
  if (token.IsOperator("==")) return CompareOperator::kEqual;
  if (token.IsOperator("!=")) return CompareOperator::kNotEqual;
  if (token.IsOperator("<")) return CompareOperator::kLess;
  if (token.IsOperator("<=")) return CompareOperator::kLessEqual;
  if (token.IsOperator(">")) return CompareOperator::kGreater;
  if (token.IsOperator(">=")) return CompareOperator::kGreaterEqual;
  return std::nullopt;
}

bool EndsTuple(const Token& token) {
  return token.kind == TokenKind::kVariableEnd || token.kind == TokenKind::kBlockEnd || token.IsOperator(")");
}

}  // namespace

// Counts how deep the parser is inside itself.
class ExpressionParser::Nesting {
 public:
  explicit Nesting(ExpressionParser& parser) : parser_(parser) { ++parser_.nesting_; }
  ~Nesting() { --parser_.nesting_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

  Status Check() const {
    if (parser_.nesting_ <= kSyntaxDepthMax) return {};
    return UnsupportedSyntax(parser_.tokens_.line(), "expressions are nested too deeply");
  }

 private:
  ExpressionParser& parser_;
};

Result<ExpressionPtr> ExpressionParser::Make(int line, Expression::Node node) const {
  const int depth = DepthOf(node);
  if (depth > kSyntaxDepthMax) return UnsupportedSyntax(line, "expressions are nested too deeply");
  return std::make_unique<Expression>(Expression{.node = std::move(node), .line = line, .depth = depth});
}

Result<ExpressionPtr> ExpressionParser::ParseExpression(Ternary ternary) {
  const Nesting nesting(*this);
  AUTOGLM_TRY_VOID(nesting.Check());
  AUTOGLM_TRY(ExpressionPtr expression, ParseOr());
  if (ternary == Ternary::kExcluded) return expression;
  while (tokens_.SkipName("if")) {
    const int line = tokens_.line();
    AUTOGLM_TRY(ExpressionPtr condition, ParseOr());
    ExpressionPtr otherwise;
    if (tokens_.SkipName("else")) {
      AUTOGLM_TRY(otherwise, ParseExpression());
    }
    AUTOGLM_TRY(expression, Make(line, ConditionalExpression{.condition = std::move(condition),
                                                             .then = std::move(expression),
                                                             .otherwise = std::move(otherwise)}));
  }
  return expression;
}

Result<ExpressionPtr> ExpressionParser::ParseTuple(Ternary ternary) {
  const int line = tokens_.line();
  SequenceExpression tuple{.kind = SequenceKind::kTuple, .items = {}};
  bool has_comma = false;
  while (tuple.items.empty() || !EndsTuple(tokens_.Current())) {
    AUTOGLM_TRY(ExpressionPtr item, ParseExpression(ternary));
    tuple.items.push_back(std::move(item));
    if (!tokens_.SkipOperator(",")) break;
    has_comma = true;
  }
  if (!has_comma) return std::move(tuple.items.front());
  return Make(line, std::move(tuple));
}

Result<ExpressionPtr> ExpressionParser::ParseOr() {
  AUTOGLM_TRY(ExpressionPtr left, ParseAnd());
  for (int line = tokens_.line(); tokens_.SkipName("or"); line = tokens_.line()) {
    AUTOGLM_TRY(ExpressionPtr right, ParseAnd());
    AUTOGLM_TRY(left, Make(line, LogicExpression{Connective::kOr, std::move(left), std::move(right)}));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::ParseAnd() {
  AUTOGLM_TRY(ExpressionPtr left, ParseNot());
  for (int line = tokens_.line(); tokens_.SkipName("and"); line = tokens_.line()) {
    AUTOGLM_TRY(ExpressionPtr right, ParseNot());
    AUTOGLM_TRY(left, Make(line, LogicExpression{Connective::kAnd, std::move(left), std::move(right)}));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::ParseNot() {
  const int line = tokens_.line();
  if (!tokens_.SkipName("not")) return ParseCompare();
  const Nesting nesting(*this);
  AUTOGLM_TRY_VOID(nesting.Check());
  AUTOGLM_TRY(ExpressionPtr operand, ParseNot());
  return Make(line, UnaryExpression{UnaryOperator::kNot, std::move(operand)});
}

Result<ExpressionPtr> ExpressionParser::ParseCompare() {
  const int line = tokens_.line();
  AUTOGLM_TRY(ExpressionPtr first, ParseBinary(0));
  CompareExpression compare;
  while (const auto op = CompareOperatorOf(tokens_)) {
    if (*op == CompareOperator::kNotIn) tokens_.Skip();
    tokens_.Skip();
    AUTOGLM_TRY(ExpressionPtr operand, ParseBinary(0));
    compare.rest.emplace_back(*op, std::move(operand));
  }
  if (compare.rest.empty()) return first;
  compare.first = std::move(first);
  return Make(line, std::move(compare));
}

Result<ExpressionPtr> ExpressionParser::ParseBinary(int level) {
  if (level == kBinaryLevels) return ParseUnary();
  AUTOGLM_TRY(ExpressionPtr left, ParseBinary(level + 1));
  while (const auto op = BinaryOperatorOf(tokens_.Current(), level)) {
    const int line = tokens_.line();
    tokens_.Skip();
    AUTOGLM_TRY(ExpressionPtr right, ParseBinary(level + 1));
    AUTOGLM_TRY(left, Make(line, BinaryExpression{*op, std::move(left), std::move(right)}));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::ParseUnary() {
  AUTOGLM_TRY(ExpressionPtr operand, ParseSigned());
  return ParsePostfixAndFilters(std::move(operand));
}

// A sign binds looser than attributes and calls, but tighter than filters: -x.y|abs is (-(x.y))|abs.
Result<ExpressionPtr> ExpressionParser::ParseSigned() {
  const Nesting nesting(*this);
  AUTOGLM_TRY_VOID(nesting.Check());
  const int line = tokens_.line();
  const bool is_negative = tokens_.SkipOperator("-");
  if (is_negative || tokens_.SkipOperator("+")) {
    AUTOGLM_TRY(ExpressionPtr operand, ParseSigned());
    return Make(line, UnaryExpression{is_negative ? UnaryOperator::kNegate : UnaryOperator::kPlus, std::move(operand)});
  }
  AUTOGLM_TRY(ExpressionPtr primary, ParsePrimary());
  return ParsePostfix(std::move(primary));
}

Result<ExpressionPtr> ExpressionParser::ParsePrimary() {
  const Token& token = tokens_.Current();
  const int line = token.line;
  switch (token.kind) {
    case TokenKind::kName:
      return ParseNameOrConstant();
    case TokenKind::kInteger: {
      const Value value = Value::Int(token.integer);
      tokens_.Skip();
      return Make(line, LiteralExpression{value});
    }
    case TokenKind::kFloat: {
      const Value value = Value::Float(token.number);
      tokens_.Skip();
      return Make(line, LiteralExpression{value});
    }
    case TokenKind::kString: {
      std::string text;  // neighbouring literals are one string
      for (; tokens_.Current().kind == TokenKind::kString; tokens_.Skip()) text += tokens_.Current().text;
      return Make(line, LiteralExpression{Value::String(text)});
    }
    default:
      break;
  }
  if (tokens_.SkipOperator("(")) return ParseParenthesized();
  if (tokens_.SkipOperator("[")) return ParseList();
  if (tokens_.SkipOperator("{")) return ParseDict();
  return tokens_.Unexpected("an expression");
}

Result<ExpressionPtr> ExpressionParser::ParseNameOrConstant() {
  const int line = tokens_.line();
  AUTOGLM_TRY(std::string name, tokens_.TakeName());
  if (name == "true" || name == "True") return Make(line, LiteralExpression{Value::Bool(true)});
  if (name == "false" || name == "False") return Make(line, LiteralExpression{Value::Bool(false)});
  if (name == "none" || name == "None") return Make(line, LiteralExpression{Value::None()});
  return Make(line, NameExpression{std::move(name)});
}

Result<ExpressionPtr> ExpressionParser::ParseParenthesized() {
  const int line = tokens_.line();
  if (tokens_.SkipOperator(")")) return Make(line, SequenceExpression{.kind = SequenceKind::kTuple, .items = {}});
  AUTOGLM_TRY(ExpressionPtr inner, ParseTuple());
  AUTOGLM_TRY_VOID(tokens_.ExpectOperator(")"));
  return inner;
}

Result<ExpressionPtr> ExpressionParser::ParseList() {
  const int line = tokens_.line();
  SequenceExpression list;
  while (!tokens_.SkipOperator("]")) {
    if (!list.items.empty()) {
      AUTOGLM_TRY_VOID(tokens_.ExpectOperator(","));
      if (tokens_.SkipOperator("]")) break;
    }
    AUTOGLM_TRY(ExpressionPtr item, ParseExpression());
    list.items.push_back(std::move(item));
  }
  return Make(line, std::move(list));
}

Result<ExpressionPtr> ExpressionParser::ParseDict() {
  const int line = tokens_.line();
  DictExpression dict;
  while (!tokens_.SkipOperator("}")) {
    if (!dict.entries.empty()) {
      AUTOGLM_TRY_VOID(tokens_.ExpectOperator(","));
      if (tokens_.SkipOperator("}")) break;
    }
    AUTOGLM_TRY(ExpressionPtr key, ParseExpression());
    AUTOGLM_TRY_VOID(tokens_.ExpectOperator(":"));
    AUTOGLM_TRY(ExpressionPtr value, ParseExpression());
    dict.entries.emplace_back(std::move(key), std::move(value));
  }
  return Make(line, std::move(dict));
}

Result<ExpressionPtr> ExpressionParser::ParsePostfix(ExpressionPtr operand) {
  while (true) {
    if (tokens_.SkipOperator(".")) {
      AUTOGLM_TRY(operand, ParseDot(std::move(operand)));
    } else if (tokens_.SkipOperator("[")) {
      AUTOGLM_TRY(operand, ParseSubscript(std::move(operand)));
    } else if (tokens_.Current().IsOperator("(")) {
      AUTOGLM_TRY(operand, ParseCall(std::move(operand)));
    } else {
      return operand;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::ParsePostfixAndFilters(ExpressionPtr operand) {
  AUTOGLM_TRY(operand, ParsePostfix(std::move(operand)));
  while (true) {
    if (tokens_.Current().IsOperator("|")) {
      AUTOGLM_TRY(operand, ParseFilter(std::move(operand)));
    } else if (tokens_.Current().IsName("is")) {
      AUTOGLM_TRY(operand, ParsePredicate(std::move(operand)));
    } else if (tokens_.Current().IsOperator("(")) {
      AUTOGLM_TRY(operand, ParseCall(std::move(operand)));
    } else {
      return operand;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::ParseDot(ExpressionPtr object) {
  const int line = tokens_.line();
  if (tokens_.Current().kind == TokenKind::kInteger) {
    AUTOGLM_TRY(ExpressionPtr index, ParsePrimary());
    return Make(line, ItemExpression{std::move(object), std::move(index)});
  }
  AUTOGLM_TRY(std::string name, tokens_.TakeName());
  return Make(line, AttributeExpression{std::move(object), std::move(name)});
}

Result<ExpressionPtr> ExpressionParser::ParseSliceBound() {
  const Token& token = tokens_.Current();
  if (token.IsOperator(":") || token.IsOperator("]")) return nullptr;
  return ParseExpression();
}

Result<ExpressionPtr> ExpressionParser::ParseSubscript(ExpressionPtr object) {
  const int line = tokens_.line();
  if (tokens_.Current().IsOperator("]")) return tokens_.Unexpected("an index");
  AUTOGLM_TRY(ExpressionPtr begin, ParseSliceBound());
  if (tokens_.SkipOperator("]")) return Make(line, ItemExpression{std::move(object), std::move(begin)});
  if (tokens_.Current().IsOperator(",")) return UnsupportedSyntax(line, "several indexes in one subscript are not supported");

  SliceExpression slice{.object = std::move(object), .begin = std::move(begin), .end = nullptr, .step = nullptr};
  AUTOGLM_TRY_VOID(tokens_.ExpectOperator(":"));
  AUTOGLM_TRY(slice.end, ParseSliceBound());
  if (tokens_.SkipOperator(":")) {
    AUTOGLM_TRY(slice.step, ParseSliceBound());
  }
  AUTOGLM_TRY_VOID(tokens_.ExpectOperator("]"));
  return Make(line, std::move(slice));
}

}  // namespace autoglm::jinja
