#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "base/check.h"

namespace autoglm {
namespace {

uint64_t PairOf(TokenId left, TokenId right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

uint64_t HashOf(std::string_view bytes) { return std::hash<std::string_view>()(bytes); }
uint32_t TagOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }

size_t SlotsFor(size_t num_entries) { return std::bit_ceil(2 * num_entries + 2); }

}  // namespace

Vocabulary::Vocabulary(size_t num_tokens, size_t num_merges)
    : normal_slots_(SlotsFor(num_tokens)), merge_slots_(SlotsFor(num_merges)), num_merges_left_(num_merges) {
  AUTOGLM_CHECK(num_tokens <= kTokensMax && num_merges <= kMergesMax);
  ends_.reserve(num_tokens);
  types_.reserve(num_tokens);
  byte_tokens_.fill(kNoToken);
}

TokenId Vocabulary::Add(std::string_view token_bytes, TokenType type, Lookup lookup) {
  AUTOGLM_CHECK(2 * types_.size() < normal_slots_.size());
  const TokenId token = size();
  arena_.append(token_bytes);
  ends_.push_back(arena_.size());
  types_.push_back(type);
  if (lookup == Lookup::kByText) IndexNormal(token);
  return token;
}

void Vocabulary::IndexNormal(TokenId token) {
  const std::string_view token_bytes = bytes(token);
  if (token_bytes.empty()) return;
  const uint64_t hash = HashOf(token_bytes);
  NormalSlot& slot = normal_slots_[NormalPlace(token_bytes, hash)];
  if (slot.token != kNoToken) return;  // of two tokens with the same bytes, the first is used
  slot = {TagOf(hash), token};
  normal_bytes_max_ = std::max(normal_bytes_max_, token_bytes.size());
  if (token_bytes.size() != 1) return;
  TokenId& byte_token = byte_tokens_[static_cast<uint8_t>(token_bytes[0])];
  if (byte_token == kNoToken) byte_token = token;
}

void Vocabulary::AddMerge(TokenId left, TokenId right, int32_t rank, TokenId merged) {
  AUTOGLM_CHECK(Contains(left) && Contains(right) && Contains(merged) && num_merges_left_-- > 0);
  MergeSlot& slot = merge_slots_[MergePlace(PairOf(left, right))];
  if (slot.pair == kNoPair || rank < slot.merge.rank) slot = {PairOf(left, right), {rank, merged}};
}

std::string_view Vocabulary::bytes(TokenId token) const {
  const auto index = static_cast<size_t>(token);
  const size_t begin = index == 0 ? 0 : ends_[index - 1];
  return std::string_view(arena_).substr(begin, ends_[index] - begin);
}

// The slot that holds these bytes, or the empty one where they belong.
size_t Vocabulary::NormalPlace(std::string_view bytes_sought, uint64_t hash) const {
  const size_t mask = normal_slots_.size() - 1;
  for (size_t place = hash & mask;; place = (place + 1) & mask) {
    const NormalSlot& slot = normal_slots_[place];
    if (slot.token == kNoToken || (slot.tag == TagOf(hash) && bytes(slot.token) == bytes_sought)) return place;
  }
}

size_t Vocabulary::MergePlace(uint64_t pair) const {
  const size_t mask = merge_slots_.size() - 1;
  // Fibonacci hashing: the high bits of the product depend on every bit of the pair.
  size_t place = (pair * 0x9E3779B97F4A7C15ULL) >> 32 & mask;
  while (merge_slots_[place].pair != kNoPair && merge_slots_[place].pair != pair) place = (place + 1) & mask;
  return place;
}

std::optional<Vocabulary::Merge> Vocabulary::FindMerge(TokenId left, TokenId right) const {
  const MergeSlot& slot = merge_slots_[MergePlace(PairOf(left, right))];
  if (slot.pair == kNoPair) return std::nullopt;
  return slot.merge;
}

std::optional<TokenId> Vocabulary::FindNormal(std::string_view bytes_sought) const {
  if (bytes_sought.empty() || bytes_sought.size() > normal_bytes_max_) return std::nullopt;
  const NormalSlot& slot = normal_slots_[NormalPlace(bytes_sought, HashOf(bytes_sought))];
  if (slot.token == kNoToken) return std::nullopt;
  return slot.token;
}

std::optional<TokenId> Vocabulary::FindByte(uint8_t byte) const {
  if (byte_tokens_[byte] == kNoToken) return std::nullopt;
  return byte_tokens_[byte];
}

}  // namespace autoglm
