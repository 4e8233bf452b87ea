#include "tokenizer/jinja_string_ops.h"

#include <algorithm>
#include <string>

#include "tokenizer/jinja_print.h"
#include "tokenizer/jinja_search.h"
#include "tokenizer/jinja_unicode.h"

namespace autoglm::jinja {
namespace {

constexpr size_t kBytesPerCodePointStep = 16;  // reading a code point costs as much as copying this many bytes

constexpr size_t kLineBytes = sizeof(Text) + 2 * sizeof(Text::Run);  // what a line takes besides its text

Status SpendCodePoints(Runtime& runtime, const Text& text) {
  return runtime.budget.SpendBytes(text.size() * kBytesPerCodePointStep);
}

// The code points to strip: white space, or a given set.
class StripSet {
 public:
  explicit StripSet(const Text* chars) : is_space_(chars == nullptr) {
    if (is_space_) return;
    for (size_t at = 0; at < chars->size();) {
      const CodePoint point = ReadCodePoint(chars->bytes(), at);
      values_.push_back(point.value);
      at += point.num_bytes;
    }
    std::sort(values_.begin(), values_.end());
  }

  bool Contains(uint32_t value) const {
    return is_space_ ? IsSpace(value) : std::binary_search(values_.begin(), values_.end(), value);
  }

 private:
  bool is_space_;
  std::vector<uint32_t> values_;
};

bool IsCased(uint32_t value) { return IsUpper(value) || IsLower(value); }

bool StartsTitleWord(uint32_t before) {
  return IsSpace(before) || before == '-' || before == '(' || before == '{' || before == '[' || before == '<';
}

// Whether the code point after `before` becomes a capital; `is_first` where there is none before it.
bool BecomesCapital(Case to, bool is_first, uint32_t before) {
  switch (to) {
    case Case::kUpper:
      return true;
    case Case::kLower:
      return false;
    case Case::kCapitalize:
      return is_first;
    case Case::kTitle:
      return is_first || !IsCased(before);
    case Case::kTitleFilter:
      return is_first || StartsTitleWord(before);
  }
  return false;
}

class Splitter {
 public:
  Splitter(Runtime& runtime, const Text& text) : runtime_(runtime), text_(text) {}

  Status Add(size_t begin, size_t end) {
    AUTOGLM_TRY(Value part, MakeString(runtime_, text_.Slice(begin, end)));
    parts_.push_back(std::move(part));
    return {};
  }

  Result<Value> Finish(Side from) {
    if (from == Side::kRight) std::reverse(parts_.begin(), parts_.end());
    return MakeSequence(runtime_, SequenceKind::kList, std::move(parts_));
  }

  bool IsFull(int64_t count_max) const { return count_max >= 0 && static_cast<int64_t>(parts_.size()) >= count_max; }

 private:
  Runtime& runtime_;
  const Text& text_;
  std::vector<Value> parts_;
};

Result<Value> SplitFromLeft(Runtime& runtime, const Text& text, const std::string& separator, int64_t count_max) {
  Splitter splitter(runtime, text);
  size_t begin = 0;
  while (!splitter.IsFull(count_max)) {
    const size_t found = FindBytes(text.bytes(), separator, begin);
    if (found == std::string_view::npos) break;
    AUTOGLM_TRY_VOID(splitter.Add(begin, found));
    begin = found + separator.size();
  }
  AUTOGLM_TRY_VOID(splitter.Add(begin, text.size()));
  return splitter.Finish(Side::kLeft);
}

// Searched in reversed copies, so that every part is found in linear time.
Result<Value> SplitFromRight(Runtime& runtime, const Text& text, const std::string& separator, int64_t count_max) {
  const std::string reversed(text.bytes().rbegin(), text.bytes().rend());
  const std::string reversed_separator(separator.rbegin(), separator.rend());
  Splitter splitter(runtime, text);
  size_t begin = 0;
  while (!splitter.IsFull(count_max)) {
    const size_t found = FindBytes(reversed, reversed_separator, begin);
    if (found == std::string_view::npos) break;
    AUTOGLM_TRY_VOID(splitter.Add(text.size() - found, text.size() - begin));
    begin = found + separator.size();
  }
  AUTOGLM_TRY_VOID(splitter.Add(0, text.size() - begin));
  return splitter.Finish(Side::kRight);
}

struct Word {
  size_t begin = 0;
  size_t end = 0;
};

std::vector<Word> FindWords(std::string_view text) {
  std::vector<Word> words;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = ReadCodePoint(text, at);
    const bool is_space = IsSpace(point.value);
    if (!is_space && !inside) words.push_back({at, at});
    inside = !is_space;
    at += point.num_bytes;
    if (inside) words.back().end = at;
  }
  return words;
}

Result<Value> SplitAtSpace(Runtime& runtime, const Text& text, int64_t count_max, Side from) {
  const std::vector<Word> words = FindWords(text.bytes());
  Splitter splitter(runtime, text);
  const size_t num_words = words.size();
  for (size_t i = 0; i < num_words; ++i) {
    const Word& word = words[from == Side::kLeft ? i : num_words - 1 - i];
    if (splitter.IsFull(count_max)) {
      // What is left stays whole, with the white space inside it; at its outer end it is stripped by neither side.
      const size_t begin = from == Side::kLeft ? word.begin : 0;
      const size_t end = from == Side::kLeft ? text.size() : word.end;
      AUTOGLM_TRY_VOID(splitter.Add(begin, end));
      break;
    }
    AUTOGLM_TRY_VOID(splitter.Add(word.begin, word.end));
  }
  return splitter.Finish(from);
}

}  // namespace

Result<Value> Strip(Runtime& runtime, const Text& text, const Text* chars, Side side) {
  AUTOGLM_TRY_VOID(SpendCodePoints(runtime, text));
  if (chars != nullptr) AUTOGLM_TRY_VOID(SpendCodePoints(runtime, *chars));
  const StripSet set(chars);
  size_t begin = 0;
  size_t end = 0;
  bool is_leading = side != Side::kRight;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = ReadCodePoint(text.bytes(), at);
    at += point.num_bytes;
    const bool is_stripped = set.Contains(point.value);
    if (is_leading && is_stripped) begin = at;
    if (!is_stripped) {
      is_leading = false;
      end = at;
    }
  }
  if (side == Side::kLeft) end = text.size();
  return MakeString(runtime, text.Slice(begin, std::max(begin, end)));
}

Result<Value> ChangeCase(Runtime& runtime, const Text& text, Case to) {
  AUTOGLM_TRY_VOID(SpendCodePoints(runtime, text));
  Text changed;
  std::string character;
  uint32_t before = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = ReadCodePoint(text.bytes(), at);
    character.clear();
    if (point.value == CodePoint::kInvalid) {
      character.append(text.bytes(), at, point.num_bytes);
    } else if (!BecomesCapital(to, at == 0, before)) {
      AppendLower(character, point.value);
    } else if (to == Case::kUpper || to == Case::kTitleFilter) {
      AppendUpper(character, point.value);
    } else {
      AppendTitle(character, point.value);
    }
    changed.Append(character, text.OriginAt(at));
    before = point.value;
    at += point.num_bytes;
  }
  return MakeString(runtime, std::move(changed));
}

Result<Value> Replace(Runtime& runtime, const Text& text, const Text& old_part, const Text& new_part, int64_t count) {
  AUTOGLM_TRY_VOID(SpendCodePoints(runtime, text));
  Text replaced;
  size_t copied = 0;
  size_t search = 0;
  for (int64_t i = 0; count < 0 || i < count; ++i) {
    const size_t found = FindBytes(text.bytes(), old_part.bytes(), search);
    if (found == std::string_view::npos) break;
    replaced.AppendSlice(text, copied, found);
    replaced.Append(new_part);
    AUTOGLM_TRY_VOID(CheckStringSize(replaced.size()));
    copied = found + old_part.size();
    // An empty part is found before every code point and at the end.
    if (old_part.empty()) {
      if (found == text.size()) break;
      search = found + ReadCodePoint(text.bytes(), found).num_bytes;
    } else {
      search = copied;
    }
  }
  replaced.AppendSlice(text, copied, text.size());
  return MakeString(runtime, std::move(replaced));
}

Result<Value> Join(Runtime& runtime, const std::vector<Value>& items, const Text& separator) {
  Text joined;
  bool is_first = true;
  for (const Value& item : items) {
    if (!is_first) joined.Append(separator);
    is_first = false;
    AUTOGLM_TRY(const Text part, PrintText(runtime, item));
    joined.Append(part);
    AUTOGLM_TRY_VOID(CheckStringSize(joined.size()));
  }
  return MakeString(runtime, std::move(joined));
}

Result<Value> Split(Runtime& runtime, const Text& text, const Text* separator, int64_t count_max, Side from) {
  AUTOGLM_TRY_VOID(SpendCodePoints(runtime, text));
  if (separator == nullptr) {
    AUTOGLM_TRY_VOID(runtime.budget.Allocate(text.size() * sizeof(Word) / 2));
    return SplitAtSpace(runtime, text, count_max, from);
  }
  if (separator->empty()) return RenderError("empty separator");
  if (from == Side::kRight) return SplitFromRight(runtime, text, separator->bytes(), count_max);
  return SplitFromLeft(runtime, text, separator->bytes(), count_max);
}

Result<std::vector<Text>> SplitLines(Runtime& runtime, const Text& text, LineEnds line_ends) {
  AUTOGLM_TRY_VOID(SpendCodePoints(runtime, text));
  std::vector<Text> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = ReadCodePoint(text.bytes(), at);
    const size_t line_end = at;
    at += point.num_bytes;
    if (!IsLineBreak(point.value)) continue;
    AUTOGLM_TRY_VOID(runtime.budget.Allocate(kLineBytes));
    if (point.value == '\r' && at < text.size() && text.bytes()[at] == '\n') ++at;
    lines.push_back(text.Slice(begin, line_ends == LineEnds::kKeep ? at : line_end));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.Slice(begin, text.size()));
  return lines;
}

}  // namespace autoglm::jinja
