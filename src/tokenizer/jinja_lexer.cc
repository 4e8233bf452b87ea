#include "tokenizer/jinja_lexer.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "tokenizer/jinja_unicode.h"

namespace autoglm::jinja {
namespace {

// Longest first, so that the first match is the right one.
constexpr std::array<std::string_view, 26> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[",
                                                         "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

bool IsAsciiDigit(char c) { return c >= '0' && c <= '9'; }

bool IsNameByte(char c) {
  return IsAsciiDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<uint8_t>(c) >= 0x80;
}

// Jinja2 reads all line ends as \n, and drops one at the end of the template.
std::string NormalizeLineEnds(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  Result<std::vector<Token>> Run() {
    while (at_ < source_.size()) {
      const size_t open = FindOpening();
      if (open == std::string::npos) {
        AddData(Rest());
        at_ = source_.size();
        break;
      }
      AUTOGLM_TRY_VOID(ReadTag(open));
    }
    Add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view Rest() const { return std::string_view(source_).substr(at_); }

  bool StartsWith(std::string_view text) const { return Rest().starts_with(text); }

  void Add(TokenKind kind, std::string_view text) { tokens_.push_back({.kind = kind, .text = std::string(text), .line = line_}); }

  void AddData(std::string_view data) {
    if (!data.empty()) Add(TokenKind::kData, data);
  }

  // Moves on, keeping count of lines.
  void Advance(size_t num_bytes) {
    const std::string_view passed = Rest().substr(0, num_bytes);
    line_ += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
    at_ += num_bytes;
    if (!passed.empty()) at_line_start_ = passed.back() == '\n';
  }

  void SkipSpace() { Advance(Rest().size() - StripLeft(Rest()).size()); }

  static std::string_view StripLeft(std::string_view text) {
    size_t at = 0;
    while (at < text.size()) {
      const CodePoint point = ReadCodePoint(text, at);
      if (!IsSpace(point.value)) break;
      at += point.num_bytes;
    }
    return text.substr(at);
  }

  size_t FindOpening() const {
    for (size_t at = source_.find('{', at_); at != std::string::npos; at = source_.find('{', at + 1)) {
      if (at + 1 >= source_.size()) break;
      const char second = source_[at + 1];
      if (second == '{' || second == '%' || second == '#') return at;
    }
    return std::string::npos;
  }

  // The sign right after an opening, which is part of it; 0 where there is none.
  char SignAt(size_t position) const {
    const char sign = position < source_.size() ? source_[position] : '\0';
    return sign == '-' || sign == '+' ? sign : '\0';
  }

  // The data before a tag, without what the tag's sign or lstrip_blocks takes from its end.
  std::string_view TrimBefore(std::string_view data, char sign, bool is_variable) const {
    if (sign == '-') return StripSpaceRight(data);
    if (sign == '+' || is_variable) return data;
    const size_t line_feed = data.rfind('\n');
    if (line_feed == std::string_view::npos && !at_line_start_) return data;
    const size_t line_begin = line_feed == std::string_view::npos ? 0 : line_feed + 1;
    return StripLeft(data.substr(line_begin)).empty() ? data.substr(0, line_begin) : data;
  }

  // After the closing of a block or comment.
  void TrimAfter(char sign) {
    if (sign == '-') {
      SkipSpace();
    } else if (sign != '+' && StartsWith("\n")) {
      Advance(1);
    }
  }

  Status ReadTag(size_t open) {
    const char kind = source_[open + 1];
    const char sign = SignAt(open + 2);
    const std::string_view data = Rest().substr(0, open - at_);
    AddData(TrimBefore(data, sign, kind == '{'));
    Advance(open - at_ + 2 + (sign == '\0' ? 0 : 1));
    if (kind == '#') return ReadComment();
    if (kind == '%' && SkipRawOpening()) return ReadRaw();
    return ReadExpression(kind == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin);
  }

  Status ReadComment() {
    const int line = line_;
    const size_t close = source_.find("#}", at_);
    if (close == std::string::npos) return SyntaxError(line, "a comment is not closed");
    const char sign = close > at_ ? SignAt(close - 1) : '\0';
    Advance(close + 2 - at_);
    TrimAfter(sign);
    return {};
  }

  // Moves past the rest of `{% raw %}` where that is what follows.
  bool SkipRawOpening() {
    std::string_view rest = StripLeft(Rest());
    if (!rest.starts_with("raw")) return false;
    rest = StripLeft(rest.substr(3));
    const bool strips = rest.starts_with("-%}");
    if (!strips && !rest.starts_with("%}")) return false;
    rest.remove_prefix(strips ? 3 : 2);
    Advance(Rest().size() - rest.size());
    if (strips) SkipSpace();
    return true;
  }

  Status ReadRaw() {
    const int line = line_;
    for (size_t open = source_.find("{%", at_); open != std::string::npos; open = source_.find("{%", open + 1)) {
      const char sign = SignAt(open + 2);
      std::string_view rest = std::string_view(source_).substr(open + 2 + (sign == '\0' ? 0 : 1));
      rest = StripLeft(rest);
      if (!rest.starts_with("endraw")) continue;
      rest = StripLeft(rest.substr(6));
      const char end_sign = rest.empty() ? '\0' : SignAt(source_.size() - rest.size());
      if (end_sign != '\0') rest.remove_prefix(1);
      if (!rest.starts_with("%}")) continue;
      AddData(TrimBefore(Rest().substr(0, open - at_), sign, false));
      Advance(source_.size() - rest.size() + 2 - at_);
      TrimAfter(end_sign);
      return {};
    }
    return SyntaxError(line, "a raw block is not closed");
  }

  // Moves past the closing of the tag, if it is next. Inside brackets nothing closes it.
  bool SkipClosing(TokenKind begin) {
    if (!brackets_.empty()) return false;
    const bool is_variable = begin == TokenKind::kVariableBegin;
    const std::string_view closing = is_variable ? "}}" : "%}";
    const char sign = SignAt(at_);
    const bool has_sign = sign == '-' || (sign == '+' && !is_variable);
    if (!Rest().substr(has_sign ? 1 : 0).starts_with(closing)) return false;
    Add(is_variable ? TokenKind::kVariableEnd : TokenKind::kBlockEnd, "");
    Advance(closing.size() + (has_sign ? 1 : 0));
    if (!is_variable) {
      TrimAfter(sign);
    } else if (has_sign) {
      SkipSpace();
    }
    return true;
  }

  Status ReadExpression(TokenKind begin) {
    const int line = line_;
    Add(begin, "");
    brackets_.clear();
    while (true) {
      SkipSpace();
      if (at_ == source_.size()) return SyntaxError(line, "a tag is not closed");
      if (SkipClosing(begin)) return {};
      const char c = source_[at_];
      if (IsAsciiDigit(c)) {
        AUTOGLM_TRY_VOID(ReadNumber());
      } else if (IsNameByte(c)) {
        size_t end = at_;
        while (end < source_.size() && IsNameByte(source_[end])) ++end;
        Add(TokenKind::kName, Rest().substr(0, end - at_));
        Advance(end - at_);
      } else if (c == '\'' || c == '"') {
        AUTOGLM_TRY_VOID(ReadString(c));
      } else {
        AUTOGLM_TRY_VOID(ReadOperator());
      }
    }
  }

  Status ReadString(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return SyntaxError(line_, "a string is not closed");
    const auto value = UnescapeString(std::string_view(source_).substr(at_ + 1, end - at_ - 1));
    if (!value) return SyntaxError(line_, "a string has a malformed or unsupported escape");
    Add(TokenKind::kString, *value);
    Advance(end + 1 - at_);
    return {};
  }

  Status ReadOperator() {
    const auto found = std::find_if(kOperators.begin(), kOperators.end(), [this](std::string_view op) { return StartsWith(op); });
    if (found == kOperators.end()) return SyntaxError(line_, fmt::format("unexpected character '{}'", source_[at_]));
    const std::string_view op = *found;
    if (op == "(") brackets_ += ')';
    if (op == "[") brackets_ += ']';
    if (op == "{") brackets_ += '}';
    if (op == ")" || op == "]" || op == "}") {
      if (brackets_.empty() || brackets_.back() != op.front()) return SyntaxError(line_, fmt::format("unexpected '{}'", op));
      brackets_.pop_back();
    }
    Add(TokenKind::kOperator, op);
    Advance(op.size());
    return {};
  }

  // Digits with single underscores between them, from `begin` on; returns where they end.
  size_t EndOfDigits(size_t begin) const {
    size_t end = begin;
    while (end < source_.size() && (IsAsciiDigit(source_[end]) || (source_[end] == '_' && end > begin &&
                                                                   end + 1 < source_.size() && IsAsciiDigit(source_[end + 1])))) {
      ++end;
    }
    return end;
  }

  // Where the fraction and exponent end, or `whole_end` where the number is an integer. `x.0.1` is two indexes, no fraction.
  size_t EndOfFloat(size_t whole_end) const {
    size_t end = whole_end;
    if (at_ > 0 && source_[at_ - 1] == '.') return end;
    if (end < source_.size() && source_[end] == '.') {
      const size_t fraction_end = EndOfDigits(end + 1);
      if (fraction_end > end + 1) end = fraction_end;
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      const size_t digits = end + 1 + (SignAt(end + 1) == '\0' ? 0 : 1);
      const size_t exponent_end = EndOfDigits(digits);
      if (exponent_end > digits) end = exponent_end;
    }
    return end;
  }

  Status ReadNumber() {
    if (StartsWith("0x") || StartsWith("0X") || StartsWith("0b") || StartsWith("0B") || StartsWith("0o") || StartsWith("0O")) {
      return UnsupportedSyntax(line_, "numbers in base 2, 8 and 16 are not supported");
    }
    const size_t whole_end = EndOfDigits(at_);
    const size_t end = EndOfFloat(whole_end);
    std::string digits(Rest().substr(0, end - at_));
    std::erase(digits, '_');
    Token token{.kind = end == whole_end ? TokenKind::kInteger : TokenKind::kFloat, .text = digits, .line = line_};
    const char* const last = digits.data() + digits.size();
    const std::errc error = token.kind == TokenKind::kInteger ? std::from_chars(digits.data(), last, token.integer).ec
                                                              : std::from_chars(digits.data(), last, token.number).ec;
    if (error != std::errc()) return UnsupportedSyntax(line_, fmt::format("the number {} is out of range", digits));
    tokens_.push_back(std::move(token));
    Advance(end - at_);
    return {};
  }

  const std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool at_line_start_ = true;
  std::string brackets_;  // the closing ones that are still to come
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> Tokenize(std::string_view source) { return Lexer(NormalizeLineEnds(source)).Run(); }

tl::unexpected<Error> SyntaxError(int line, std::string_view what) {
  return Fail(ErrorCode::kInvalidArgument, fmt::format("chat template, line {}: {}", line, what));
}

tl::unexpected<Error> UnsupportedSyntax(int line, std::string_view what) {
  return Fail(ErrorCode::kUnsupported, fmt::format("chat template, line {}: {}", line, what));
}

}  // namespace autoglm::jinja
