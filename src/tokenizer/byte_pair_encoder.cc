#include "tokenizer/byte_pair_encoder.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <optional>

#include "base/check.h"

namespace autoglm {
namespace {

// No request is that long; the cut keeps positions in 32 bits.
constexpr size_t kPieceBytesMax = size_t{1} << 30;
constexpr int32_t kNoRank = std::numeric_limits<int32_t>::max();
constexpr TokenId kMergedAway = -1;
constexpr int32_t kNone = -1;

// A list of neighbours through an array, so that a merge takes constant time.
struct Symbol {
  TokenId token = 0;  // kMergedAway: its left neighbour took it over
  int32_t previous = kNone;
  int32_t next = kNone;
};

// A pair as one number, so that a smaller one goes first: its rank, then the position of its left symbol.
using Candidate = uint64_t;
Candidate MakeCandidate(int32_t rank, int32_t position) {
  return static_cast<uint64_t>(static_cast<uint32_t>(rank)) << 32 | static_cast<uint32_t>(position);
}
int32_t RankOf(Candidate candidate) { return static_cast<int32_t>(candidate >> 32); }
int32_t PositionOf(Candidate candidate) { return static_cast<int32_t>(candidate & 0xFFFFFFFF); }

class LongPiece {
 public:
  LongPiece(const Vocabulary& vocabulary, std::string_view piece) : vocabulary_(vocabulary) {
    symbols_.reserve(piece.size());
    for (const char byte : piece) {
      const auto token = vocabulary.FindByte(static_cast<uint8_t>(byte));
      if (!token) continue;
      const auto position = static_cast<int32_t>(symbols_.size());
      if (position > 0) symbols_.back().next = position;
      symbols_.push_back({.token = *token, .previous = position - 1});
    }
    candidates_.reserve(symbols_.size());
    for (int32_t i = 0; i < static_cast<int32_t>(symbols_.size()); ++i) {
      if (const auto merge = MergeAt(i)) candidates_.push_back(MakeCandidate(merge->rank, i));
    }
    std::make_heap(candidates_.begin(), candidates_.end(), std::greater<>());
  }

  void MergeAll() {
    while (!candidates_.empty()) {
      std::pop_heap(candidates_.begin(), candidates_.end(), std::greater<>());
      const Candidate candidate = candidates_.back();
      candidates_.pop_back();
      const auto merge = MergeAt(PositionOf(candidate));
      // An earlier merge may have changed the pair. A rank belongs to one pair only.
      if (merge && merge->rank == RankOf(candidate)) Merge(PositionOf(candidate), merge->merged);
    }
  }

  void AppendTo(std::vector<TokenId>& tokens) const {
    for (const Symbol& symbol : symbols_) {
      if (symbol.token != kMergedAway) tokens.push_back(symbol.token);
    }
  }

 private:
  Symbol& At(int32_t position) { return symbols_[static_cast<size_t>(position)]; }

  std::optional<Vocabulary::Merge> MergeAt(int32_t position) {
    const Symbol& left = At(position);
    if (left.token == kMergedAway || left.next == kNone) return std::nullopt;
    return vocabulary_.FindMerge(left.token, At(left.next).token);
  }

  void Merge(int32_t position, TokenId merged) {
    Symbol& left = At(position);
    Symbol& right = At(left.next);
    left.token = merged;
    left.next = right.next;
    right.token = kMergedAway;
    if (left.next != kNone) At(left.next).previous = position;
    Offer(position);
    if (left.previous != kNone) Offer(left.previous);
  }

  void Offer(int32_t position) {
    const auto merge = MergeAt(position);
    if (!merge) return;
    candidates_.push_back(MakeCandidate(merge->rank, position));
    std::push_heap(candidates_.begin(), candidates_.end(), std::greater<>());
  }

  const Vocabulary& vocabulary_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> candidates_;  // a heap, the best first; may hold pairs that are gone
};

}  // namespace

BytePairEncoder::BytePairEncoder(const Vocabulary& vocabulary, WholePieces whole_pieces)
    : vocabulary_(vocabulary),
      whole_pieces_(whole_pieces),
      is_whole_(std::make_unique<std::atomic<Whole>[]>(static_cast<size_t>(vocabulary.size()))) {}

void BytePairEncoder::Append(std::string_view piece, std::vector<TokenId>& tokens) const {
  const auto token = vocabulary_.FindNormal(piece);
  if (!token) return Merge(piece, tokens);

  std::atomic<Whole>& is_whole = is_whole_[static_cast<size_t>(*token)];
  const Whole known = whole_pieces_ == WholePieces::kAsTokens ? Whole::kYes : is_whole.load(std::memory_order_relaxed);
  if (known == Whole::kYes) return tokens.push_back(*token);

  const size_t num_before = tokens.size();
  Merge(piece, tokens);
  if (known == Whole::kNo) return;
  const bool gives_token = tokens.size() == num_before + 1 && tokens.back() == *token;
  is_whole.store(gives_token ? Whole::kYes : Whole::kNo, std::memory_order_relaxed);
}

void BytePairEncoder::Merge(std::string_view piece, std::vector<TokenId>& tokens) const {
  if (piece.size() <= kShortBytes) return MergeShort(piece, tokens);
  for (; !piece.empty(); piece.remove_prefix(std::min(piece.size(), kPieceBytesMax))) {
    MergeLong(piece.substr(0, kPieceBytesMax), tokens);
  }
}

void BytePairEncoder::MergeShort(std::string_view piece, std::vector<TokenId>& tokens) const {
  AUTOGLM_CHECK(piece.size() <= kShortBytes);
  std::array<TokenId, kShortBytes> parts;
  size_t num_parts = 0;
  for (const char byte : piece) {
    if (const auto token = vocabulary_.FindByte(static_cast<uint8_t>(byte))) parts[num_parts++] = *token;
  }

  std::array<Vocabulary::Merge, kShortBytes> merges;  // of each part with its right neighbour
  const auto refresh = [&](size_t i) {
    merges[i] = vocabulary_.FindMerge(parts[i], parts[i + 1]).value_or(Vocabulary::Merge{.rank = kNoRank});
  };
  for (size_t i = 0; i + 1 < num_parts; ++i) refresh(i);

  while (num_parts > 1) {
    const auto* const best = std::min_element(merges.begin(), merges.begin() + num_parts - 1,
                                              [](const auto& a, const auto& b) { return a.rank < b.rank; });
    if (best->rank == kNoRank) break;
    const auto i = static_cast<size_t>(best - merges.begin());
    parts[i] = best->merged;
    --num_parts;
    std::copy(parts.begin() + i + 2, parts.begin() + num_parts + 1, parts.begin() + i + 1);
    std::copy(merges.begin() + i + 1, merges.begin() + num_parts, merges.begin() + i);
    if (i + 1 < num_parts) refresh(i);
    if (i > 0) refresh(i - 1);
  }
  tokens.insert(tokens.end(), parts.begin(), parts.begin() + num_parts);
}

void BytePairEncoder::MergeLong(std::string_view piece, std::vector<TokenId>& tokens) const {
  LongPiece long_piece(vocabulary_, piece);
  long_piece.MergeAll();
  long_piece.AppendTo(tokens);
}

}  // namespace autoglm
