#include "tokenizer/sentencepiece_encoder.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <unordered_map>

#include "base/utf8.h"
#include "tokenizer/symbol_merger.h"

namespace autoglm {

// Which symbols of one word merge, and how tokens of type kUnused came about.
class SentencePieceEncoder::MergeByText {
 public:
  MergeByText(const SentencePieceEncoder& encoder, std::string_view word) : encoder_(encoder), word_(word) {}

  std::optional<Vocabulary::Merge> Find(const Symbol& left, const Symbol& right) {
    const std::string_view text = word_.substr(left.begin, size_t{left.num_bytes} + right.num_bytes);
    const auto token = encoder_.vocabulary_.FindNormal(text);
    if (!token) return std::nullopt;
    if (encoder_.vocabulary_.type(*token) == TokenType::kUnused) left_bytes_[text] = left.num_bytes;
    return Vocabulary::Merge{.rank = encoder_.ranks_[static_cast<size_t>(*token)], .merged = *token};
  }

  // Where the text of an unused token was last joined.
  std::optional<size_t> LeftBytes(std::string_view text) const {
    const auto found = left_bytes_.find(text);
    if (found == left_bytes_.end()) return std::nullopt;
    return found->second;
  }

 private:
  const SentencePieceEncoder& encoder_;
  std::string_view word_;
  std::unordered_map<std::string_view, size_t> left_bytes_;
};

Result<std::unique_ptr<SentencePieceEncoder>> SentencePieceEncoder::Create(const Vocabulary& vocabulary,
                                                                           std::span<const double> scores,
                                                                           std::optional<TokenId> unknown_token) {
  if (scores.size() != static_cast<size_t>(vocabulary.size())) {
    return Fail(ErrorCode::kCorruptFile, "the vocabulary has " + std::to_string(vocabulary.size()) + " tokens, but " +
                                             std::to_string(scores.size()) + " scores");
  }
  if (std::any_of(scores.begin(), scores.end(), [](double score) { return std::isnan(score); })) {
    return Fail(ErrorCode::kCorruptFile, "the score of a token is not a number");
  }
  return std::unique_ptr<SentencePieceEncoder>(new SentencePieceEncoder(vocabulary, scores, unknown_token));
}

SentencePieceEncoder::SentencePieceEncoder(const Vocabulary& vocabulary, std::span<const double> scores,
                                           std::optional<TokenId> unknown_token)
    : vocabulary_(vocabulary),
      unknown_token_(unknown_token),
      ranks_(scores.size()),
      words_(vocabulary),
      whole_tokens_(vocabulary.size()) {
  std::vector<size_t> by_score(scores.size());
  std::iota(by_score.begin(), by_score.end(), size_t{0});
  std::sort(by_score.begin(), by_score.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  int32_t rank = 0;
  for (size_t i = 0; i < by_score.size(); ++i) {
    if (i > 0 && scores[by_score[i]] != scores[by_score[i - 1]]) ++rank;
    ranks_[by_score[i]] = rank;
  }
}

void SentencePieceEncoder::Append(std::string_view piece, std::vector<TokenId>& tokens) const {
  while (!piece.empty()) {
    const size_t num_bytes = std::min(words_.WordBytes(piece), kPieceBytesMax);
    AppendWord(piece.substr(0, num_bytes), tokens);
    piece.remove_prefix(num_bytes);
  }
}

void SentencePieceEncoder::AppendWord(std::string_view word, std::vector<TokenId>& tokens) const {
  const auto token = vocabulary_.FindNormal(word);
  if (!token) return AppendMerged(word, tokens);
  whole_tokens_.Append(*token, tokens, [&](std::vector<TokenId>& merged) { AppendMerged(word, merged); });
}

void SentencePieceEncoder::AppendMerged(std::string_view word, std::vector<TokenId>& tokens) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (size_t begin = 0; begin < word.size(); begin += symbols.back().num_bytes) {
    const size_t num_bytes = ReadUtf8(word.substr(begin)).num_bytes;
    symbols.push_back({.token = vocabulary_.FindNormal(word.substr(begin, num_bytes)).value_or(Symbol::kNoToken),
                       .begin = static_cast<uint32_t>(begin),
                       .num_bytes = static_cast<uint32_t>(num_bytes)});
  }
  MergeByText merges(*this, word);
  if (symbols.size() <= kShortSymbols) {
    symbols.resize(MergeShort(std::span(symbols), merges));
  } else {
    MergeLong(symbols, merges);
  }
  for (const Symbol& symbol : symbols) {
    const auto token = symbol.token == Symbol::kNoToken ? std::nullopt : std::optional(symbol.token);
    AppendSymbol(word.substr(symbol.begin, symbol.num_bytes), token, merges, tokens);
  }
}

// Recurses no deeper than an unused token has characters.
void SentencePieceEncoder::AppendSymbol(std::string_view text, std::optional<TokenId> token, const MergeByText& merges,
                                        std::vector<TokenId>& tokens) const {
  if (token && vocabulary_.type(*token) != TokenType::kUnused) return tokens.push_back(*token);
  const auto left_bytes = merges.LeftBytes(text);
  if (left_bytes) {
    const std::string_view left = text.substr(0, *left_bytes);
    const std::string_view right = text.substr(*left_bytes);
    AppendSymbol(left, vocabulary_.FindNormal(left), merges, tokens);
    AppendSymbol(right, vocabulary_.FindNormal(right), merges, tokens);
    return;
  }
  // An unused token that no merge made is a single character; it is used all the same, as in SentencePiece.
  if (token) return tokens.push_back(*token);
  const bool has_bytes =
      std::all_of(text.begin(), text.end(), [&](char byte) { return vocabulary_.FindByte(static_cast<uint8_t>(byte)); });
  if (has_bytes) {
    for (const char byte : text) AppendByte(static_cast<uint8_t>(byte), tokens);
  } else if (unknown_token_ && (tokens.empty() || tokens.back() != *unknown_token_)) {
    tokens.push_back(*unknown_token_);  // one for a run of unknown characters
  }
}

void SentencePieceEncoder::AppendByte(uint8_t byte, std::vector<TokenId>& tokens) const {
  if (const auto token = vocabulary_.FindByte(byte)) return tokens.push_back(*token);
  if (unknown_token_ && (tokens.empty() || tokens.back() != *unknown_token_)) tokens.push_back(*unknown_token_);
}

}  // namespace autoglm
