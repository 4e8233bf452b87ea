#include "tokenizer/character_map.h"

#include <cstring>

#include "base/utf8.h"

namespace autoglm {
namespace {

// A unit of the double array: a node's label and where its children lie, or the value of a key that ends at its parent.
bool HasLeaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t Value(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t Label(uint32_t unit) { return unit & 0x800000FF; }
uint32_t Offset(uint32_t unit) { return (unit >> 10) << ((unit & 0x200) >> 6); }

}  // namespace

Result<CharacterMap> CharacterMap::Parse(std::string_view bytes) {
  uint32_t trie_bytes = 0;
  if (bytes.size() < sizeof(trie_bytes)) return Fail(ErrorCode::kCorruptFile, "the precompiled_charsmap is cut off");
  std::memcpy(&trie_bytes, bytes.data(), sizeof(trie_bytes));
  bytes.remove_prefix(sizeof(trie_bytes));
  if (trie_bytes > bytes.size() || trie_bytes % sizeof(uint32_t) != 0 || trie_bytes == 0) {
    return Fail(ErrorCode::kCorruptFile, "the trie of the precompiled_charsmap has " + std::to_string(trie_bytes) + " bytes");
  }
  CharacterMap map;
  map.units_.resize(trie_bytes / sizeof(uint32_t));
  std::memcpy(map.units_.data(), bytes.data(), trie_bytes);
  map.replacements_ = bytes.substr(trie_bytes);
  if (ValidUtf8Prefix(map.replacements_) != map.replacements_.size()) {
    return Fail(ErrorCode::kCorruptFile, "the precompiled_charsmap has replacements that are no UTF-8");
  }
  return map;
}

std::string CharacterMap::Apply(std::string_view text) const {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    Match match = LongestMatch(text);
    if (match.num_bytes == 0) {
      match.num_bytes = ReadUtf8(text).num_bytes;
      match.replacement = text.substr(0, match.num_bytes);
    }
    result.append(match.replacement);
    text.remove_prefix(match.num_bytes);
  }
  return result;
}

CharacterMap::Match CharacterMap::LongestMatch(std::string_view text) const {
  Match longest;
  size_t node = Offset(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= units_.size() || Label(units_[node]) != byte) break;
    const uint32_t unit = units_[node];
    node ^= Offset(unit);
    if (!HasLeaf(unit) || node >= units_.size()) continue;
    // A hostile trie could end a key inside a character.
    const bool ends_character = i + 1 == text.size() || (static_cast<uint8_t>(text[i + 1]) & 0xC0) != 0x80;
    if (ends_character) longest = {.num_bytes = i + 1, .replacement = ReplacementAt(Value(units_[node]))};
  }
  return longest;
}

std::string_view CharacterMap::ReplacementAt(uint32_t offset) const {
  const std::string_view all = replacements_;
  if (offset >= all.size()) return {};
  // A hostile offset could point inside a character.
  if ((static_cast<uint8_t>(all[offset]) & 0xC0) == 0x80) return {};
  return all.substr(offset, all.find('\0', offset) - offset);
}

}  // namespace autoglm
