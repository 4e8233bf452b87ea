#include "scheduler/prompt_lookup.h"

#include <algorithm>

namespace autoglm {
namespace {

constexpr size_t kFirstCapacity = 1024;

}  // namespace

uint64_t PromptLookup::HashOf(std::span<const TokenId> ngram) {
  uint64_t hash = ngram.size();
  for (const TokenId token : ngram) {
    hash = (hash ^ static_cast<uint64_t>(token)) * 0x9e3779b97f4a7c15ULL;
    hash ^= hash >> 32;
  }
  return hash;
}

// The slot that holds the n-gram before `end`, or the empty one where it belongs.
PromptLookup::Place* PromptLookup::Slot(std::span<const TokenId> tokens, int64_t end, int length_index) {
  const int64_t length = kLengths[length_index];
  const auto ngram = tokens.subspan(end - length, length);
  for (size_t slot = HashOf(ngram);; ++slot) {
    Place& place = table_[slot & (table_.size() - 1)];
    if (place == 0) return &place;
    if ((place - 1) % kNumLengths != length_index) continue;
    if (std::ranges::equal(tokens.subspan((place - 1) / kNumLengths - length, length), ngram)) return &place;
  }
}

void PromptLookup::Index(std::span<const TokenId> tokens, int64_t end) {
  if (static_cast<size_t>(num_used_ + (end - num_indexed_) * kNumLengths) * 2 > table_.size()) {
    size_t capacity = std::max(table_.size(), kFirstCapacity);
    while (capacity < static_cast<size_t>(end) * kNumLengths * 2) capacity *= 2;
    table_.assign(std::max(capacity, table_.size() * 2), 0);
    num_used_ = 0;
    num_indexed_ = 0;
  }
  for (; num_indexed_ < end; ++num_indexed_) {
    for (int index = 0; index < kNumLengths; ++index) {
      if (num_indexed_ + 1 < kLengths[index]) continue;
      Place* place = Slot(tokens, num_indexed_ + 1, index);
      if (*place == 0) ++num_used_;
      *place = (num_indexed_ + 1) * kNumLengths + index + 1;
    }
  }
}

PromptLookup::Match PromptLookup::Find(std::span<const TokenId> tokens) {
  const int64_t end = std::ssize(tokens);
  Index(tokens, std::max<int64_t>(end - 1, 0));  // not the last n-gram, which would find itself
  for (int index = 0; index < kNumLengths; ++index) {
    if (end <= kLengths[index]) continue;
    const Place* place = Slot(tokens, end, index);
    if (*place != 0) return {index, (*place - 1) / kNumLengths};
  }
  return {};
}

void PromptLookup::Draft(std::span<const TokenId> tokens, int64_t next, int64_t count, std::vector<TokenId>& draft) {
  draft.clear();
  for (int64_t i = next; i < next + count; ++i) {
    draft.push_back(i < std::ssize(tokens) ? tokens[i] : draft[i - std::ssize(tokens)]);
  }
}

}  // namespace autoglm
