#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace autoglm::jinja {

enum class TokenKind : uint8_t {
  kData,           // text between tags, with white space control already applied
  kVariableBegin,  // {{
  kVariableEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;  // the data, name or operator; of a string, its value
  int64_t integer = 0;
  double number = 0;
  int line = 1;

  bool IsName(std::string_view name) const { return kind == TokenKind::kName && text == name; }
  bool IsOperator(std::string_view op) const { return kind == TokenKind::kOperator && text == op; }
};

// Cuts a template into tokens; the last is kEnd. White space as Jinja2 treats it under trim_blocks and lstrip_blocks: the line
// feed after a block tag or comment goes, and so does the indentation before one; - and + in a tag override that.
Result<std::vector<Token>> Tokenize(std::string_view source);

// "line 3: what": an error of the template's text.
tl::unexpected<Error> SyntaxError(int line, std::string_view what);
// The same for what Jinja2 has and this engine lacks.
tl::unexpected<Error> UnsupportedSyntax(int line, std::string_view what);

// The value of a string literal without its quotes; nullopt where an escape is malformed.
std::optional<std::string> UnescapeString(std::string_view literal);

}  // namespace autoglm::jinja
