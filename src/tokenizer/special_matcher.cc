#include "tokenizer/special_matcher.h"

#include <algorithm>

namespace autoglm {

SpecialMatcher::SpecialMatcher(const Vocabulary& vocabulary) {
  for (TokenId token = 0; token < vocabulary.size(); ++token) {
    const TokenType type = vocabulary.type(token);
    const bool is_control = type == TokenType::kControl || type == TokenType::kUnknown;
    if ((!is_control && type != TokenType::kUserDefined) || vocabulary.bytes(token).empty()) continue;
    entries_.push_back({vocabulary.bytes(token), token, is_control});
    first_bytes_[static_cast<uint8_t>(entries_.back().spelling[0])] = true;
  }
  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.spelling < b.spelling; });
}

std::optional<SpecialMatcher::Match> SpecialMatcher::FindNext(std::string_view text, size_t from, PlainBytes plain) const {
  for (size_t i = from; i < text.size(); ++i) {
    if (!first_bytes_[static_cast<uint8_t>(text[i])]) continue;
    if (const auto match = MatchAt(text, i, plain)) return match;
  }
  return std::nullopt;
}

// Narrows the sorted entries to those that agree with the text, a byte at a time. In each such range the one that ends
// here, if any, comes first.
std::optional<SpecialMatcher::Match> SpecialMatcher::MatchAt(std::string_view text, size_t begin, PlainBytes plain) const {
  std::optional<Match> longest;
  bool has_plain = false;
  auto first = entries_.begin();
  auto last = entries_.end();
  for (size_t depth = 0; begin + depth < text.size(); ++depth) {
    const auto byte = static_cast<uint8_t>(text[begin + depth]);
    const auto at_depth = [depth](const Entry& entry) { return static_cast<uint8_t>(entry.spelling[depth]); };
    first = std::partition_point(first, last, [&](const Entry& e) { return e.spelling.size() == depth || at_depth(e) < byte; });
    last = std::partition_point(first, last, [&](const Entry& e) { return at_depth(e) == byte; });
    if (first == last) break;

    has_plain = has_plain || plain[begin + depth];
    if (first->spelling.size() == depth + 1 && !(first->is_control && has_plain)) {
      longest = {.begin = begin, .num_bytes = depth + 1, .token = first->token};
    }
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
