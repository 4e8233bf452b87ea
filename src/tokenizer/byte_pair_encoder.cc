#include "tokenizer/byte_pair_encoder.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/utf8.h"

namespace autoglm {
namespace {

// Merges join tokens by their ids; where a symbol's bytes lie is of no interest.
struct MergeList {
  const Vocabulary& vocabulary;
  std::optional<Vocabulary::Merge> Find(const Symbol& left, const Symbol& right) const {
    return vocabulary.FindMerge(left.token, right.token);
  }
};

class ShortSymbols {
 public:
  void push_back(const Symbol& symbol) { symbols_[size_++] = symbol; }
  bool empty() const { return size_ == 0; }
  const Symbol& back() const { return symbols_[size_ - 1]; }
  std::span<Symbol> span() { return std::span(symbols_).first(size_); }

 private:
  std::array<Symbol, kShortSymbols> symbols_;
  size_t size_ = 0;
};

}  // namespace

BytePairEncoder::BytePairEncoder(const Vocabulary& vocabulary, const Options& options)
    : vocabulary_(vocabulary), options_(options), words_(vocabulary), whole_tokens_(vocabulary.size()) {}

void BytePairEncoder::Append(std::string_view piece, std::vector<TokenId>& tokens) const {
  if (options_.whole_pieces == WholePieces::kAsTokens) {
    if (const auto token = vocabulary_.FindNormal(piece)) return tokens.push_back(*token);
  }
  // Pieces of a vocabulary of bytes are words already.
  while (options_.symbols == Symbols::kCharacters && !piece.empty()) {
    const size_t num_bytes = words_.WordBytes(piece);
    AppendWord(piece.substr(0, num_bytes), tokens);
    piece.remove_prefix(num_bytes);
  }
  if (!piece.empty()) AppendWord(piece, tokens);
}

void BytePairEncoder::AppendWord(std::string_view word, std::vector<TokenId>& tokens) const {
  const auto token = vocabulary_.FindNormal(word);
  if (!token) return Merge(word, tokens);
  whole_tokens_.Append(*token, tokens, [&](std::vector<TokenId>& merged) { Merge(word, merged); });
}

void BytePairEncoder::AppendByte(uint8_t byte, std::vector<TokenId>& tokens) const {
  const auto token = vocabulary_.FindByte(byte);
  if (token) return tokens.push_back(*token);
  if (options_.unknown_token) tokens.push_back(*options_.unknown_token);
}

void BytePairEncoder::Merge(std::string_view piece, std::vector<TokenId>& tokens) const {
  // A piece never has more symbols than bytes.
  if (piece.size() <= kShortSymbols) return MergeShort(piece, tokens);
  for (; !piece.empty(); piece.remove_prefix(std::min(piece.size(), kPieceBytesMax))) {
    MergeLong(piece.substr(0, kPieceBytesMax), tokens);
  }
}

void BytePairEncoder::MergeShort(std::string_view piece, std::vector<TokenId>& tokens) const {
  AUTOGLM_CHECK(piece.size() <= kShortSymbols);
  ShortSymbols symbols;
  ReadSymbols(piece, symbols);
  MergeList merges{vocabulary_};
  const size_t num_left = autoglm::MergeShort(symbols.span(), merges);
  for (const Symbol& symbol : symbols.span().first(num_left)) tokens.push_back(symbol.token);
}

void BytePairEncoder::MergeLong(std::string_view piece, std::vector<TokenId>& tokens) const {
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  ReadSymbols(piece, symbols);
  MergeList merges{vocabulary_};
  autoglm::MergeLong(symbols, merges);
  for (const Symbol& symbol : symbols) tokens.push_back(symbol.token);
}

template <typename SymbolSink>
void BytePairEncoder::ReadSymbols(std::string_view piece, SymbolSink& symbols) const {
  while (!piece.empty()) {
    const size_t num_bytes = options_.symbols == Symbols::kBytes ? 1 : ReadUtf8(piece).num_bytes;
    const std::string_view character = piece.substr(0, num_bytes);
    const auto token = options_.symbols == Symbols::kBytes ? vocabulary_.FindByte(static_cast<uint8_t>(character[0]))
                                                           : vocabulary_.FindNormal(character);
    if (token) {
      symbols.push_back({.token = *token});
    } else {
      AddUnknown(character, symbols);
    }
    piece.remove_prefix(num_bytes);
  }
}

template <typename SymbolSink>
void BytePairEncoder::AddUnknown(std::string_view character, SymbolSink& symbols) const {
  const auto byte_token = [this](char byte) { return vocabulary_.FindByte(static_cast<uint8_t>(byte)); };
  if (options_.fallback == Fallback::kBytes &&
      std::all_of(character.begin(), character.end(), [&](char byte) { return byte_token(byte).has_value(); })) {
    for (const char byte : character) symbols.push_back({.token = *byte_token(byte)});
    return;
  }
  if (!options_.unknown_token) return;
  const bool follows_unknown = !symbols.empty() && symbols.back().token == *options_.unknown_token;
  if (options_.unknown == Unknown::kEach || !follows_unknown) symbols.push_back({.token = *options_.unknown_token});
}

}  // namespace autoglm
