#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "tokenizer/jinja_value.h"

namespace autoglm::jinja {

// What methods and filters on strings share. All keep the origin of every byte.

enum class Side : uint8_t { kLeft, kRight, kBoth };
enum class Case : uint8_t {
  kUpper,
  kLower,
  kCapitalize,   // str.capitalize
  kTitle,        // str.title: a capital after everything that is no letter
  kTitleFilter,  // the filter: a capital after white space, - ( { [ <
};

// `chars` as nullptr stands for white space.
Result<Value> Strip(Runtime& runtime, const Text& text, const Text* chars, Side side);
Result<Value> ChangeCase(Runtime& runtime, const Text& text, Case to);
// A negative count replaces all.
Result<Value> Replace(Runtime& runtime, const Text& text, const Text& old_part, const Text& new_part, int64_t count);
// The items as they print.
Result<Value> Join(Runtime& runtime, const std::vector<Value>& items, const Text& separator);

// `separator` as nullptr stands for runs of white space; a negative count splits everywhere. kLeft splits from the left,
// kRight from the right.
Result<Value> Split(Runtime& runtime, const Text& text, const Text* separator, int64_t count_max, Side from);

enum class LineEnds : uint8_t { kDrop, kKeep };
Result<std::vector<Text>> SplitLines(Runtime& runtime, const Text& text, LineEnds line_ends);

}  // namespace autoglm::jinja
