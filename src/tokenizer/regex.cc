#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <limits>

#include "base/check.h"

namespace autoglm {
namespace {

constexpr std::string_view kWhiteSpace = R"(\t-\r\x{85}\p{Z})";
constexpr uint32_t kNestingMax = 64;       // of parentheses
constexpr uint32_t kStepsMax = 1'000'000;  // of one match of an unknown pattern
constexpr uint32_t kHeapKibMax = 65'536;

// Writes out \s, and \S outside a class.
std::string WithWhiteSpaceWrittenOut(std::string_view pattern) {
  std::string result;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c != '\\' || i + 1 == pattern.size()) {
      if (c == '[') in_class = true;
      if (c == ']') in_class = false;
      result.push_back(c);
      continue;
    }
    const char escaped = pattern[++i];
    if (escaped == 's') {
      result.append(in_class ? "" : "[").append(kWhiteSpace).append(in_class ? "" : "]");
    } else if (escaped == 'S' && !in_class) {
      result.append("[^").append(kWhiteSpace).append("]");
    } else {
      result.append({c, escaped});
    }
  }
  return result;
}

tl::unexpected<Error> Refuse(std::string_view pattern, int error, size_t place) {
  std::array<PCRE2_UCHAR, 256> message{};
  pcre2_get_error_message(error, message.data(), message.size());
  return Fail(ErrorCode::kUnsupported, "the pattern \"" + std::string(pattern.substr(0, 200)) + "\" cannot be used: " +
                                           reinterpret_cast<const char*>(message.data()) + " at " + std::to_string(place));
}

struct CompileContextDeleter {
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
};

}  // namespace

void Regex::Deleter::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }
void Regex::Deleter::operator()(pcre2_real_match_context_8* context) const { pcre2_match_context_free(context); }
void RegexSearch::Deleter::operator()(pcre2_real_match_data_8* match) const { pcre2_match_data_free(match); }

Result<Regex> Regex::Compile(std::string_view pattern, Effort effort, Jit jit) {
  if (pattern.size() > kPatternBytesMax) {
    return Fail(ErrorCode::kUnsupported, "a pattern is longer than " + std::to_string(kPatternBytesMax) + " bytes");
  }
  const std::unique_ptr<pcre2_compile_context, CompileContextDeleter> compile_context(pcre2_compile_context_create(nullptr));
  AUTOGLM_CHECK(compile_context != nullptr);
  pcre2_set_parens_nest_limit(compile_context.get(), kNestingMax);

  const std::string written_out = WithWhiteSpaceWrittenOut(pattern);
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  Regex regex;
  regex.code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(written_out.data()), written_out.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &error_offset, compile_context.get()));
  if (regex.code_ == nullptr) return Refuse(pattern, error, error_offset);
  // A hardened kernel may refuse executable memory; the interpreter gives the same matches.
  regex.has_jit_ = jit == Jit::kWherePossible && pcre2_jit_compile(regex.code_.get(), PCRE2_JIT_COMPLETE) == 0;
  regex.context_.reset(pcre2_match_context_create(nullptr));
  AUTOGLM_CHECK(regex.context_ != nullptr);
  // The limit counts steps of one match, of which a long run of spaces needs one for each space.
  pcre2_set_match_limit(regex.context_.get(), effort == Effort::kBounded ? kStepsMax : std::numeric_limits<uint32_t>::max());
  if (effort == Effort::kBounded) pcre2_set_heap_limit(regex.context_.get(), kHeapKibMax);
  return regex;
}

RegexSearch::RegexSearch(const Regex& regex, std::string_view text)
    : regex_(regex), text_(text), match_(pcre2_match_data_create(1, nullptr)) {
  AUTOGLM_CHECK(match_ != nullptr);
}

std::optional<RegexSearch::Match> RegexSearch::Next() {
  if (position_ >= text_.size()) return std::nullopt;
  // 0: a match with more groups than are asked for.
  if (FindFrom(position_) < 0) {
    position_ = text_.size();
    return std::nullopt;
  }
  const PCRE2_SIZE* const range = pcre2_get_ovector_pointer(match_.get());
  // \K inside a lookaround may set the start where no match can begin.
  if (range[0] < position_ || range[1] <= range[0] || range[1] > text_.size()) {
    position_ = text_.size();
    return std::nullopt;
  }
  position_ = range[1];
  return Match{.begin = range[0], .end = range[1]};
}

int RegexSearch::FindFrom(size_t position) {
  const auto* const text = reinterpret_cast<PCRE2_SPTR>(text_.data());
  const auto* const code = regex_.code_.get();
  auto* const context = regex_.context_.get();
  constexpr uint32_t kOptions = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
  if (regex_.has_jit_) {
    const int result = pcre2_jit_match(code, text, text_.size(), position, kOptions, match_.get(), context);
    if (result != PCRE2_ERROR_JIT_STACKLIMIT) return result;
  }
  // Where the JIT's stack of 32 KB is too small, the interpreter's heap is not.
  return pcre2_match(code, text, text_.size(), position, kOptions | PCRE2_NO_JIT, match_.get(), context);
}

}  // namespace autoglm
