#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"

namespace autoglm {
namespace {

// The insides of Oniguruma's classes where PCRE2's differ: \s has no U+180E, \w has marks and no fractions.
constexpr std::string_view kWhiteSpace = R"(\t-\r\x{85}\p{Z})";
constexpr std::string_view kWordCharacters = R"(\p{L}\p{M}\p{Nd}\p{Pc})";
constexpr uint32_t kNestingMax = 64;  // of parentheses
constexpr uint32_t kHeapKibMax = 65'536;

// Steps of all matches of an unknown pattern in one text, which may be one piece of many.
uint64_t StepsMax(size_t text_bytes) { return std::min<uint64_t>(uint64_t{1} << 30, 5'000 + 256 * uint64_t{text_bytes}); }
constexpr uint64_t kFirstSteps = 64;  // enough for nearly every match of the patterns in use
// How much text such a pattern is shown at first, and how much of it must lie behind a match for lookaheads.
constexpr size_t kWindowBytes = 4096;
constexpr size_t kWindowMargin = 256;

tl::unexpected<Error> Unsupported(std::string_view pattern, std::string_view what) {
  return Fail(ErrorCode::kUnsupported,
              "the pattern \"" + std::string(pattern.substr(0, 200)) + "\" cannot be used: " + std::string(what));
}

std::string_view InsideOf(char escaped) {
  if (escaped == 's' || escaped == 'S') return kWhiteSpace;
  if (escaped == 'w' || escaped == 'W') return kWordCharacters;
  return {};
}

// Translates the pattern from Oniguruma's language to PCRE2's, where both have the same words for different things.
Result<std::string> Translate(std::string_view pattern) {
  std::string result;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      const bool is_negated = escaped == 'S' || escaped == 'W';
      if (escaped == 'h' || escaped == 'H') return Unsupported(pattern, "\\h means another class");
      if (InsideOf(escaped).empty()) {
        result.append({c, escaped});
      } else if (!in_class) {
        result.append(is_negated ? "[^" : "[").append(InsideOf(escaped)).append("]");
      } else if (is_negated) {
        return Unsupported(pattern, "\\S and \\W inside a class are not supported");
      } else {
        result.append(InsideOf(escaped));
      }
      continue;
    }
    if (in_class && (c == '[' || pattern.substr(i, 2) == "&&")) return Unsupported(pattern, "a class inside a class");
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    result.push_back(c);
  }
  return result;
}

tl::unexpected<Error> Refuse(std::string_view pattern, int error, size_t place) {
  std::array<PCRE2_UCHAR, 256> message{};
  pcre2_get_error_message(error, message.data(), message.size());
  return Unsupported(pattern, std::string(reinterpret_cast<const char*>(message.data())) + " at " + std::to_string(place));
}

struct CompileContextDeleter {
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
};

}  // namespace

void Regex::Deleter::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }
void RegexSearch::Deleter::operator()(pcre2_real_match_data_8* match) const { pcre2_match_data_free(match); }
void RegexSearch::Deleter::operator()(pcre2_real_match_context_8* context) const { pcre2_match_context_free(context); }

Result<Regex> Regex::Compile(std::string_view pattern, Effort effort, Jit jit) {
  if (pattern.size() > kPatternBytesMax) {
    return Fail(ErrorCode::kUnsupported, "a pattern is longer than " + std::to_string(kPatternBytesMax) + " bytes");
  }
  const std::unique_ptr<pcre2_compile_context, CompileContextDeleter> compile_context(pcre2_compile_context_create(nullptr));
  AUTOGLM_CHECK(compile_context != nullptr);
  pcre2_set_parens_nest_limit(compile_context.get(), kNestingMax);

  AUTOGLM_TRY(const std::string translated, Translate(pattern));
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  Regex regex;
  regex.code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &error_offset,
                                  compile_context.get()));
  if (regex.code_ == nullptr) return Refuse(pattern, error, error_offset);
  // A hardened kernel may refuse executable memory; the interpreter gives the same matches.
  regex.has_jit_ = jit == Jit::kWherePossible && pcre2_jit_compile(regex.code_.get(), PCRE2_JIT_COMPLETE) == 0;
  regex.effort_ = effort;
  return regex;
}

RegexSearch::RegexSearch(const Regex& regex, std::string_view text)
    : regex_(regex),
      text_(text),
      steps_left_(StepsMax(text.size())),
      match_(pcre2_match_data_create(1, nullptr)),
      context_(pcre2_match_context_create(nullptr)) {
  AUTOGLM_CHECK(match_ != nullptr && context_ != nullptr);
  pcre2_set_match_limit(context_.get(), std::numeric_limits<uint32_t>::max());
  if (regex.effort_ == Regex::Effort::kBounded) pcre2_set_heap_limit(context_.get(), kHeapKibMax);
}

std::optional<RegexSearch::Match> RegexSearch::Next() {
  if (position_ >= text_.size()) return std::nullopt;
  // 0: a match with more groups than are asked for.
  const int result = regex_.effort_ == Regex::Effort::kBounded ? FindInWindows(position_) : FindFrom(position_, text_.size());
  if (result < 0) {
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

// A pattern that reads on to the end of the text at every place takes quadratic time, and PCRE2 counts no steps for that. So the
// text ends sooner at first, and again later where that may be why there is no match, or why it ends there.
int RegexSearch::FindInWindows(size_t position) {
  for (size_t window = kWindowBytes;; window *= 2) {
    size_t end = std::min(text_.size(), position + window);
    while (end < text_.size() && (static_cast<uint8_t>(text_[end]) & 0xC0) == 0x80) --end;
    const int result = FindBounded(position, end);
    const bool is_far_from_end = result >= 0 && pcre2_get_ovector_pointer(match_.get())[1] + kWindowMargin <= end;
    if (is_far_from_end || end == text_.size() || (result < 0 && result != PCRE2_ERROR_NOMATCH)) return result;
  }
}

// PCRE2 does not say how many steps a match took. So a match is tried with few and then with more, and each try costs what it
// was allowed: at most nine times what the match needs.
int RegexSearch::FindBounded(size_t position, size_t end) {
  for (uint64_t steps = kFirstSteps; steps <= steps_left_; steps *= 8) {
    steps_left_ -= steps;
    pcre2_set_match_limit(context_.get(), static_cast<uint32_t>(steps));
    const int result = FindFrom(position, end);
    if (result != PCRE2_ERROR_MATCHLIMIT) return result;
  }
  return PCRE2_ERROR_MATCHLIMIT;
}

int RegexSearch::FindFrom(size_t position, size_t end) {
  const auto* const text = reinterpret_cast<PCRE2_SPTR>(text_.data());
  const auto* const code = regex_.code_.get();
  auto* const context = context_.get();
  constexpr uint32_t kOptions = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
  if (regex_.has_jit_) {
    const int result = pcre2_jit_match(code, text, end, position, kOptions, match_.get(), context);
    if (result != PCRE2_ERROR_JIT_STACKLIMIT) return result;
  }
  // Where the JIT's stack of 32 KB is too small, the interpreter's heap is not.
  return pcre2_match(code, text, end, position, kOptions | PCRE2_NO_JIT, match_.get(), context);
}

}  // namespace autoglm
