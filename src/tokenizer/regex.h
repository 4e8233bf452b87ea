#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

// PCRE2's own types, so that only regex.cc includes its header.
struct pcre2_real_code_8;
struct pcre2_real_match_context_8;
struct pcre2_real_match_data_8;

namespace autoglm {

// A pattern of a pre-tokenizer, compiled. Immutable, so any thread may use it.
class Regex {
 public:
  enum class Jit { kWherePossible, kNever };  // the same matches; kNever is slower, and the reference in tests
  // kBounded: for patterns that this program does not know. A match that takes too many steps counts as none.
  enum class Effort { kBounded, kUnbounded };
  static constexpr size_t kPatternBytesMax = size_t{8} << 10;

  // \s and \S mean White_Space, as in Oniguruma and Rust: PCRE2's \s also has U+180E. Errors: kUnsupported with the place.
  static Result<Regex> Compile(std::string_view pattern, Effort effort, Jit jit = Jit::kWherePossible);

 private:
  friend class RegexSearch;
  struct Deleter {
    void operator()(pcre2_real_code_8* code) const;
    void operator()(pcre2_real_match_context_8* context) const;
  };
  Regex() = default;

  std::unique_ptr<pcre2_real_code_8, Deleter> code_;
  std::unique_ptr<pcre2_real_match_context_8, Deleter> context_;
  bool has_jit_ = false;
};

// Finds the matches of a pattern in one text, in order, none of them empty.
class RegexSearch {
 public:
  // Both must outlive the search; `text` must be valid UTF-8.
  RegexSearch(const Regex& regex, std::string_view text);

  struct Match {
    size_t begin = 0;
    size_t end = 0;
  };
  // nullopt after the last match, or where finding the next would take too many steps.
  std::optional<Match> Next();

 private:
  struct Deleter {
    void operator()(pcre2_real_match_data_8* match) const;
  };
  int FindFrom(size_t position);

  const Regex& regex_;
  std::string_view text_;
  size_t position_ = 0;
  std::unique_ptr<pcre2_real_match_data_8, Deleter> match_;
};

}  // namespace autoglm
