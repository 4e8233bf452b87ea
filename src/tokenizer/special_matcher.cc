#include "tokenizer/special_matcher.h"

#include <algorithm>

#include "tokenizer/jinja_unicode.h"

namespace autoglm {
namespace {

using jinja::CodePoint;
using jinja::ReadCodePoint;

// The last code point of `text`, which is not empty.
CodePoint LastCodePoint(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && text.size() - begin < 4 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) --begin;
  const CodePoint last = ReadCodePoint(text, begin);
  return begin + last.num_bytes == text.size() ? last : CodePoint();
}

bool IsWordCharacter(CodePoint c) {
  if (c.value == CodePoint::kInvalid) return false;
  return c.value == '_' || jinja::IsAlphabetic(c.value) || jinja::IsDigit(c.value);
}

bool StandsAlone(std::string_view text, size_t begin, size_t end) {
  if (begin > 0 && IsWordCharacter(LastCodePoint(text.substr(0, begin)))) return false;
  return end == text.size() || !IsWordCharacter(ReadCodePoint(text, end));
}

}  // namespace

SpecialMatcher::SpecialMatcher(const Vocabulary& vocabulary, const OptionsByToken& options) {
  for (TokenId token = 0; token < vocabulary.size(); ++token) {
    const bool is_control = vocabulary.IsControl(token);
    if ((!is_control && vocabulary.type(token) != TokenType::kUserDefined) || vocabulary.bytes(token).empty()) continue;
    const auto own_options = options.find(token);
    entries_.push_back(
        {vocabulary.bytes(token), token, is_control, own_options == options.end() ? Options() : own_options->second});
  }
  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.spelling < b.spelling; });
  size_t next = 0;
  for (uint32_t byte = 0; byte < first_bytes_.size(); ++byte) {
    while (next < entries_.size() && static_cast<uint8_t>(entries_[next].spelling[0]) < byte) ++next;
    first_bytes_[byte] = static_cast<uint32_t>(next);
  }
}

std::optional<SpecialMatcher::Match> SpecialMatcher::FindNext(std::string_view text, size_t from, PlainBytes plain) const {
  size_t i = from;
  while (i < text.size()) {
    const auto byte = static_cast<uint8_t>(text[i]);
    const Entry* const entry = first_bytes_[byte] == first_bytes_[byte + 1] ? nullptr : MatchAt(text, i, plain);
    if (entry == nullptr) {
      ++i;
    } else if (entry->options.is_single_word && !StandsAlone(text, i, i + entry->spelling.size())) {
      i += entry->spelling.size();
    } else {
      return WithSpaces(*entry, text, from, i);
    }
  }
  return std::nullopt;
}

SpecialMatcher::Match SpecialMatcher::WithSpaces(const Entry& entry, std::string_view text, size_t from, size_t begin) {
  size_t end = begin + entry.spelling.size();
  while (entry.options.takes_space_before && begin > from) {
    const CodePoint last = LastCodePoint(text.substr(from, begin - from));
    if (!jinja::IsSpace(last.value)) break;
    begin -= last.num_bytes;
  }
  while (entry.options.takes_space_after && end < text.size()) {
    const CodePoint next = ReadCodePoint(text, end);
    if (!jinja::IsSpace(next.value)) break;
    end += next.num_bytes;
  }
  return {.begin = begin, .num_bytes = end - begin, .token = entry.token};
}

// Narrows the sorted entries to those that agree with the text, a byte at a time. In each such range the one that ends
// here, if any, comes first.
const SpecialMatcher::Entry* SpecialMatcher::MatchAt(std::string_view text, size_t begin, PlainBytes plain) const {
  const Entry* longest = nullptr;
  bool has_plain = false;
  const auto first_byte = static_cast<uint8_t>(text[begin]);
  auto first = entries_.begin() + first_bytes_[first_byte];
  auto last = entries_.begin() + first_bytes_[first_byte + 1];
  for (size_t depth = 0; begin + depth < text.size(); ++depth) {
    const auto byte = static_cast<uint8_t>(text[begin + depth]);
    const auto at_depth = [depth](const Entry& entry) { return static_cast<uint8_t>(entry.spelling[depth]); };
    first = std::partition_point(first, last, [&](const Entry& e) { return e.spelling.size() == depth || at_depth(e) < byte; });
    last = std::partition_point(first, last, [&](const Entry& e) { return at_depth(e) == byte; });
    if (first == last) break;

    has_plain = has_plain || plain[begin + depth];
    if (first->spelling.size() == depth + 1 && !(first->is_control && has_plain)) longest = &*first;
  }
  return longest;
}

std::optional<TokenId> SpecialMatcher::Find(std::string_view spelling) const {
  const auto entry = std::lower_bound(entries_.begin(), entries_.end(), spelling,
                                      [](const Entry& e, std::string_view sought) { return e.spelling < sought; });
  if (entry == entries_.end() || entry->spelling != spelling) return std::nullopt;
  return entry->token;
}

}  // namespace autoglm
