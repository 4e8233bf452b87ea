#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "base/check.h"
#include "tokenizer/vocabulary.h"

namespace autoglm {

// A part of a piece that is a token, or a character that is none.
struct Symbol {
  static constexpr TokenId kNoToken = -1;
  TokenId token = kNoToken;
  uint32_t begin = 0;  // its bytes in the piece
  uint32_t num_bytes = 0;
};

// Of all neighbouring symbols, those whose merge has the lowest rank are merged, the leftmost on ties, until no two merge.
// `Rules` says which do: std::optional<Vocabulary::Merge> Find(const Symbol& left, const Symbol& right).
// Two ways that always agree: MergeShort is O(n^2), the plain one and the faster one for words.

inline constexpr size_t kShortSymbols = 64;

// Merges in place and returns how many symbols are left. At most kShortSymbols.
template <typename Rules>
size_t MergeShort(std::span<Symbol> symbols, Rules& rules) {
  constexpr int32_t kNoRank = std::numeric_limits<int32_t>::max();
  AUTOGLM_CHECK(symbols.size() <= kShortSymbols);
  size_t num_symbols = symbols.size();
  std::array<Vocabulary::Merge, kShortSymbols> merges;  // of each symbol with its right neighbour
  const auto refresh = [&](size_t i) {
    merges[i] = rules.Find(symbols[i], symbols[i + 1]).value_or(Vocabulary::Merge{.rank = kNoRank});
  };
  for (size_t i = 0; i + 1 < num_symbols; ++i) refresh(i);

  while (num_symbols > 1) {
    const auto* const best = std::min_element(merges.begin(), merges.begin() + num_symbols - 1,
                                              [](const auto& a, const auto& b) { return a.rank < b.rank; });
    if (best->rank == kNoRank) break;
    const auto i = static_cast<size_t>(best - merges.begin());
    symbols[i].token = best->merged;
    symbols[i].num_bytes += symbols[i + 1].num_bytes;
    --num_symbols;
    std::copy(symbols.begin() + i + 2, symbols.begin() + num_symbols + 1, symbols.begin() + i + 1);
    std::copy(merges.begin() + i + 1, merges.begin() + num_symbols, merges.begin() + i);
    if (i + 1 < num_symbols) refresh(i);
    if (i > 0) refresh(i - 1);
  }
  return num_symbols;
}

// O(n log n): a heap of pairs over a list of neighbours.
template <typename Rules>
class LongMerger {
 public:
  LongMerger(std::vector<Symbol>& symbols, Rules& rules) : symbols_(symbols), rules_(rules), links_(symbols.size()) {
    AUTOGLM_CHECK(symbols.size() < std::numeric_limits<int32_t>::max());
    candidates_.reserve(symbols.size());
    for (int32_t i = 0; i < static_cast<int32_t>(symbols.size()); ++i) {
      links_[Index(i)] = {.previous = i - 1, .next = i + 1 < static_cast<int32_t>(symbols.size()) ? i + 1 : kNone};
    }
    for (int32_t i = 0; i < static_cast<int32_t>(symbols.size()); ++i) {
      if (const auto merge = MergeAt(i)) candidates_.push_back(MakeCandidate(merge->rank, i));
    }
    std::make_heap(candidates_.begin(), candidates_.end(), std::greater<>());
  }

  // Afterwards `symbols` holds what is left.
  void MergeAll() {
    while (!candidates_.empty()) {
      std::pop_heap(candidates_.begin(), candidates_.end(), std::greater<>());
      const Candidate candidate = candidates_.back();
      candidates_.pop_back();
      const auto merge = MergeAt(PositionOf(candidate));
      // An earlier merge may have changed the pair. If another of this rank stands there now, it is its turn as well.
      if (merge && merge->rank == RankOf(candidate)) Merge(PositionOf(candidate), merge->merged);
    }
    size_t num_left = 0;
    for (size_t i = 0; i < symbols_.size(); ++i) {
      if (links_[i].next != kMergedAway) symbols_[num_left++] = symbols_[i];
    }
    symbols_.resize(num_left);
  }

 private:
  static constexpr int32_t kNone = -1;
  static constexpr int32_t kMergedAway = -2;  // as `next`: the left neighbour took this symbol over
  struct Links {
    int32_t previous = kNone;
    int32_t next = kNone;
  };
  // A pair as one number, so that a smaller one goes first: its rank, then the position of its left symbol.
  using Candidate = uint64_t;
  static Candidate MakeCandidate(int32_t rank, int32_t position) {
    return static_cast<uint64_t>(static_cast<uint32_t>(rank)) << 32 | static_cast<uint32_t>(position);
  }
  static int32_t RankOf(Candidate candidate) { return static_cast<int32_t>(candidate >> 32); }
  static int32_t PositionOf(Candidate candidate) { return static_cast<int32_t>(candidate & 0xFFFFFFFF); }
  static size_t Index(int32_t position) { return static_cast<size_t>(position); }

  std::optional<Vocabulary::Merge> MergeAt(int32_t position) {
    const int32_t next = links_[Index(position)].next;
    if (next < 0) return std::nullopt;
    return rules_.Find(symbols_[Index(position)], symbols_[Index(next)]);
  }

  void Merge(int32_t position, TokenId merged) {
    Links& left = links_[Index(position)];
    Links& right = links_[Index(left.next)];
    symbols_[Index(position)].token = merged;
    symbols_[Index(position)].num_bytes += symbols_[Index(left.next)].num_bytes;
    left.next = right.next;
    right.next = kMergedAway;
    if (left.next != kNone) links_[Index(left.next)].previous = position;
    Offer(position);
    if (left.previous != kNone) Offer(left.previous);
  }

  void Offer(int32_t position) {
    const auto merge = MergeAt(position);
    if (!merge) return;
    candidates_.push_back(MakeCandidate(merge->rank, position));
    std::push_heap(candidates_.begin(), candidates_.end(), std::greater<>());
  }

  std::vector<Symbol>& symbols_;
  Rules& rules_;
  std::vector<Links> links_;
  std::vector<Candidate> candidates_;  // a heap, the best first; may hold pairs that are gone
};

template <typename Rules>
void MergeLong(std::vector<Symbol>& symbols, Rules& rules) {
  LongMerger<Rules>(symbols, rules).MergeAll();
}

// No request is that long; the cut keeps positions in 32 bits.
inline constexpr size_t kPieceBytesMax = size_t{1} << 30;

}  // namespace autoglm
