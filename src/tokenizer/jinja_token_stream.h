#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "tokenizer/jinja_lexer.h"

namespace autoglm::jinja {

// The tokens of a template and how far the parser has come.
class TemplateTokens {
 public:
  explicit TemplateTokens(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& Current() const { return tokens_[at_]; }
  const Token& Next() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  int line() const { return Current().line; }
  // The last token, kEnd, is never passed.
  void Skip() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }

  bool SkipName(std::string_view name);
  bool SkipOperator(std::string_view op);
  Status ExpectOperator(std::string_view op);
  Status ExpectName(std::string_view name);
  Status Expect(TokenKind kind);
  Result<std::string> TakeName();
  // "expected this, found that".
  tl::unexpected<Error> Unexpected(std::string_view expected) const;

 private:
  const std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace autoglm::jinja
