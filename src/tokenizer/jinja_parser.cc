#include "tokenizer/jinja_parser.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <initializer_list>

#include "tokenizer/jinja_expression_parser.h"
#include "tokenizer/jinja_lexer.h"
#include "tokenizer/jinja_token_stream.h"

namespace autoglm::jinja {
namespace {

using Ternary = ExpressionParser::Ternary;

// Statements of Jinja2 and its extensions that chat templates have no use for.
constexpr std::array<std::string_view, 11> kUnsupportedTags = {"autoescape", "block", "call",   "debug",   "do",  "extends",
                                                               "filter",     "from",  "import", "include", "with"};

bool IsConstant(std::string_view name) {
  return name == "true" || name == "True" || name == "false" || name == "False" || name == "none" || name == "None";
}

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)), expressions_(tokens_) {}

  Result<Body> Run() { return ParseBody({}); }

 private:
  using EndTags = std::initializer_list<std::string_view>;

  // Statements up to one of `end_tags`, whose {% is passed and whose name is next; without end tags, to the end.
  Result<Body> ParseBody(EndTags end_tags) {
    Body body;
    while (tokens_.Current().kind != TokenKind::kEnd) {
      const int line = tokens_.line();
      if (tokens_.Current().kind == TokenKind::kData) {
        auto text = std::make_shared<const Text>(tokens_.Current().text);
        body.push_back({.node = DataStatement{std::move(text)}, .line = line});
        tokens_.Skip();
        continue;
      }
      if (tokens_.Current().kind == TokenKind::kVariableBegin) {
        tokens_.Skip();
        AUTOGLM_TRY(ExpressionPtr value, expressions_.ParseTuple());
        AUTOGLM_TRY_VOID(tokens_.Expect(TokenKind::kVariableEnd));
        body.push_back({.node = PrintStatement{std::move(value)}, .line = line});
        continue;
      }
      AUTOGLM_TRY_VOID(tokens_.Expect(TokenKind::kBlockBegin));
      const auto is_next = [this](std::string_view tag) { return tokens_.Current().IsName(tag); };
      if (std::any_of(end_tags.begin(), end_tags.end(), is_next)) return body;
      AUTOGLM_TRY(Statement::Node node, ParseStatement());
      AUTOGLM_TRY_VOID(tokens_.Expect(TokenKind::kBlockEnd));
      body.push_back({.node = std::move(node), .line = line});
    }
    if (end_tags.size() == 0) return body;
    return tokens_.Unexpected(fmt::format("{{% {} %}}", *(end_tags.end() - 1)));
  }

  // The body of a block: closes the tag before it.
  Result<Body> ParseBlock(EndTags end_tags) {
    AUTOGLM_TRY_VOID(tokens_.Expect(TokenKind::kBlockEnd));
    if (++nesting_ > kSyntaxDepthMax) return UnsupportedSyntax(tokens_.line(), "statements are nested too deeply");
    AUTOGLM_TRY(Body body, ParseBody(end_tags));
    --nesting_;
    return body;
  }

  Result<Statement::Node> ParseStatement() {
    const int line = tokens_.line();
    AUTOGLM_TRY(const std::string tag, tokens_.TakeName());
    if (tag == "if") return ParseIf();
    if (tag == "for") return ParseFor();
    if (tag == "set") return ParseSet();
    if (tag == "macro") return ParseMacro();
    if (tag == "generation") return ParseGeneration();
    if (tag == "break") return ParseLoopControl(line, LoopControl::kBreak);
    if (tag == "continue") return ParseLoopControl(line, LoopControl::kContinue);
    if (std::find(kUnsupportedTags.begin(), kUnsupportedTags.end(), tag) != kUnsupportedTags.end()) {
      return UnsupportedSyntax(line, fmt::format("the statement '{}' is not supported", tag));
    }
    return SyntaxError(line, fmt::format("unknown or misplaced statement '{}'", tag.substr(0, 32)));
  }

  Result<Statement::Node> ParseIf() {
    IfStatement statement;
    while (true) {
      AUTOGLM_TRY(ExpressionPtr condition, expressions_.ParseTuple(Ternary::kExcluded));
      AUTOGLM_TRY(Body body, ParseBlock({"elif", "else", "endif"}));
      statement.branches.emplace_back(std::move(condition), std::move(body));
      if (!tokens_.SkipName("elif")) break;
    }
    if (tokens_.SkipName("else")) {
      AUTOGLM_TRY(statement.otherwise, ParseBlock({"endif"}));
    }
    AUTOGLM_TRY_VOID(tokens_.ExpectName("endif"));
    return statement;
  }

  Result<Statement::Node> ParseFor() {
    ForStatement statement;
    AUTOGLM_TRY(statement.target, ParseTarget(NamespaceAttributes::kRefused));
    AUTOGLM_TRY_VOID(tokens_.ExpectName("in"));
    AUTOGLM_TRY(statement.iterable, expressions_.ParseTuple(Ternary::kExcluded));
    if (tokens_.SkipName("if")) {
      AUTOGLM_TRY(statement.filter, expressions_.ParseExpression());
    }
    if (tokens_.Current().IsName("recursive")) return UnsupportedSyntax(tokens_.line(), "recursive loops are not supported");
    ++num_loops_;
    AUTOGLM_TRY(statement.body, ParseBlock({"else", "endfor"}));
    --num_loops_;
    if (tokens_.SkipName("else")) {
      AUTOGLM_TRY(statement.otherwise, ParseBlock({"endfor"}));
    }
    AUTOGLM_TRY_VOID(tokens_.ExpectName("endfor"));
    return statement;
  }

  Result<Statement::Node> ParseSet() {
    AUTOGLM_TRY(Target target, ParseTarget(NamespaceAttributes::kAllowed));
    if (tokens_.SkipOperator("=")) {
      AUTOGLM_TRY(ExpressionPtr value, expressions_.ParseTuple());
      return SetStatement{std::move(target), std::move(value)};
    }
    SetBlockStatement statement{.target = std::move(target), .filters = {}, .body = {}};
    AUTOGLM_TRY(statement.filters, expressions_.ParseFilters());
    AUTOGLM_TRY(statement.body, ParseBlock({"endset"}));
    AUTOGLM_TRY_VOID(tokens_.ExpectName("endset"));
    return statement;
  }

  Result<Statement::Node> ParseMacro() {
    auto macro = std::make_unique<MacroDefinition>();
    AUTOGLM_TRY(macro->name, TakeVariable());
    AUTOGLM_TRY_VOID(tokens_.ExpectOperator("("));
    while (!tokens_.SkipOperator(")")) {
      if (!macro->parameters.empty()) AUTOGLM_TRY_VOID(tokens_.ExpectOperator(","));
      AUTOGLM_TRY_VOID(ParseParameter(*macro));
    }
    AUTOGLM_TRY(macro->body, ParseOutsideLoops("endmacro"));
    return MacroStatement{std::move(macro)};
  }

  Status ParseParameter(MacroDefinition& macro) {
    const int line = tokens_.line();
    AUTOGLM_TRY(std::string name, TakeVariable());
    const bool is_known = std::any_of(macro.parameters.begin(), macro.parameters.end(),
                                      [&name](const auto& parameter) { return parameter.first == name; });
    if (is_known) return SyntaxError(line, fmt::format("the parameter '{}' is given twice", name));
    ExpressionPtr absent;
    if (tokens_.SkipOperator("=")) {
      AUTOGLM_TRY(absent, expressions_.ParseExpression());
    } else if (!macro.parameters.empty() && macro.parameters.back().second != nullptr) {
      return SyntaxError(line, "a parameter without a default follows one with a default");
    }
    macro.parameters.emplace_back(std::move(name), std::move(absent));
    return {};
  }

  Result<Statement::Node> ParseGeneration() {
    AUTOGLM_TRY(Body body, ParseOutsideLoops("endgeneration"));
    return GenerationStatement{std::move(body)};
  }

  // A body that a break cannot leave, since Jinja2 makes a function of it.
  Result<Body> ParseOutsideLoops(std::string_view end_tag) {
    const int num_loops = num_loops_;
    num_loops_ = 0;
    AUTOGLM_TRY(Body body, ParseBlock({end_tag}));
    AUTOGLM_TRY_VOID(tokens_.ExpectName(end_tag));
    num_loops_ = num_loops;
    return body;
  }

  Result<Statement::Node> ParseLoopControl(int line, LoopControl control) {
    if (num_loops_ == 0) return SyntaxError(line, "break or continue outside a loop");
    return LoopControlStatement{control};
  }

  Result<std::string> TakeVariable() {
    const int line = tokens_.line();
    AUTOGLM_TRY(std::string name, tokens_.TakeName());
    if (IsConstant(name)) return SyntaxError(line, fmt::format("cannot assign to '{}'", name));
    return name;
  }

  enum class NamespaceAttributes : uint8_t { kAllowed, kRefused };

  Result<Target> ParseSingleTarget(NamespaceAttributes attributes) {
    if (tokens_.SkipOperator("(")) {
      if (++nesting_ > kSyntaxDepthMax) return UnsupportedSyntax(tokens_.line(), "targets are nested too deeply");
      AUTOGLM_TRY(Target target, ParseTarget(attributes));
      --nesting_;
      AUTOGLM_TRY_VOID(tokens_.ExpectOperator(")"));
      return target;
    }
    Target target;
    AUTOGLM_TRY(target.name, TakeVariable());
    if (attributes == NamespaceAttributes::kAllowed && tokens_.SkipOperator(".")) {
      AUTOGLM_TRY(target.attribute, tokens_.TakeName());
    }
    return target;
  }

  Result<Target> ParseTarget(NamespaceAttributes attributes) {
    AUTOGLM_TRY(Target first, ParseSingleTarget(attributes));
    if (!tokens_.Current().IsOperator(",")) return first;
    Target target;
    target.items.push_back(std::move(first));
    while (tokens_.SkipOperator(",")) {
      const Token& token = tokens_.Current();
      if (token.kind != TokenKind::kName && !token.IsOperator("(")) break;
      if (token.IsName("in")) break;
      AUTOGLM_TRY(Target item, ParseSingleTarget(attributes));
      target.items.push_back(std::move(item));
    }
    return target;
  }

  TemplateTokens tokens_;
  ExpressionParser expressions_;
  int nesting_ = 0;
  int num_loops_ = 0;
};

}  // namespace

Result<Body> ParseTemplate(std::string_view source) {
  if (source.size() > static_cast<size_t>(kSourceBytesMax)) {
    return Fail(ErrorCode::kUnsupported, fmt::format("a chat template of {} bytes is longer than the {} that are supported",
                                                     source.size(), kSourceBytesMax));
  }
  AUTOGLM_TRY(std::vector<Token> tokens, Tokenize(source));
  return Parser(std::move(tokens)).Run();
}

}  // namespace autoglm::jinja
