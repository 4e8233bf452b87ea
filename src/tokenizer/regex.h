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
  // kBounded: for patterns that this program does not know. Once the matches in a text took too many steps for its length,
  // there are no more.
  enum class Effort { kBounded, kUnbounded };
  static constexpr size_t kPatternBytesMax = size_t{8} << 10;

  // The language is that of Oniguruma, as in tokenizer.json, as far as PCRE2 has the same. Errors: kUnsupported with the place.
  static Result<Regex> Compile(std::string_view pattern, Effort effort, Jit jit = Jit::kWherePossible);

 private:
  friend class RegexSearch;
  struct Deleter {
    void operator()(pcre2_real_code_8* code) const;
  };
  Regex() = default;

  std::unique_ptr<pcre2_real_code_8, Deleter> code_;
  Effort effort_ = Effort::kBounded;
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
    void operator()(pcre2_real_match_context_8* context) const;
  };
  int FindInWindows(size_t position);
  int FindBounded(size_t position, size_t end);
  int FindFrom(size_t position, size_t end);

  const Regex& regex_;
  std::string_view text_;
  size_t position_ = 0;
  uint64_t steps_left_;  // where the effort is bounded
  std::unique_ptr<pcre2_real_match_data_8, Deleter> match_;
  std::unique_ptr<pcre2_real_match_context_8, Deleter> context_;
};

}  // namespace autoglm
