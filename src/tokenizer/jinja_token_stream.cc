#include "tokenizer/jinja_token_stream.h"

#include <fmt/core.h>

#include <string>

namespace autoglm::jinja {
namespace {

constexpr size_t kShownBytesMax = 32;

std::string_view KindName(TokenKind kind) {
  switch (kind) {
    case TokenKind::kData:
      return "text";
    case TokenKind::kVariableBegin:
      return "{{";
    case TokenKind::kVariableEnd:
      return "}}";
    case TokenKind::kBlockBegin:
      return "{%";
    case TokenKind::kBlockEnd:
      return "%}";
    case TokenKind::kName:
      return "a name";
    case TokenKind::kString:
      return "a string";
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return "a number";
    case TokenKind::kOperator:
      return "an operator";
    case TokenKind::kEnd:
      return "the end of the template";
  }
  return "";
}

}  // namespace

bool TemplateTokens::SkipName(std::string_view name) {
  if (!Current().IsName(name)) return false;
  Skip();
  return true;
}

bool TemplateTokens::SkipOperator(std::string_view op) {
  if (!Current().IsOperator(op)) return false;
  Skip();
  return true;
}

Status TemplateTokens::ExpectOperator(std::string_view op) {
  if (SkipOperator(op)) return {};
  return Unexpected(fmt::format("'{}'", op));
}

Status TemplateTokens::ExpectName(std::string_view name) {
  if (SkipName(name)) return {};
  return Unexpected(fmt::format("'{}'", name));
}

Status TemplateTokens::Expect(TokenKind kind) {
  if (Current().kind != kind) return Unexpected(KindName(kind));
  Skip();
  return {};
}

Result<std::string> TemplateTokens::TakeName() {
  if (Current().kind != TokenKind::kName) return Unexpected("a name");
  std::string name = Current().text;
  Skip();
  return name;
}

tl::unexpected<Error> TemplateTokens::Unexpected(std::string_view expected) const {
  const Token& found = Current();
  const bool has_text = found.kind == TokenKind::kName || found.kind == TokenKind::kOperator;
  const std::string shown =
      has_text ? fmt::format("'{}'", found.text.substr(0, kShownBytesMax)) : std::string(KindName(found.kind));
  return SyntaxError(found.line, fmt::format("expected {}, found {}", expected, shown));
}

}  // namespace autoglm::jinja
