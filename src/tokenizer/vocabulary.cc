#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>

#include "tokenizer/byte_alphabet.h"

namespace autoglm {
namespace {

constexpr size_t kTokensMax = std::numeric_limits<TokenId>::max() / 4;

uint64_t PairOf(TokenId left, TokenId right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

uint64_t HashOf(std::string_view bytes) { return std::hash<std::string_view>()(bytes); }
uint32_t TagOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }

size_t SlotsFor(size_t num_entries) { return std::bit_ceil(2 * num_entries + 2); }

// llama.cpp's converters fill the rows that the model has beyond its tokens with "[PAD<id>]".
bool IsFiller(std::string_view spelling, size_t token) {
  return spelling.starts_with("[PAD") && spelling == "[PAD" + std::to_string(token) + "]";
}

Result<TokenType> TypeOf(const VocabularyData& data, size_t token) {
  const int64_t type = data.types.empty() ? static_cast<int64_t>(TokenType::kNormal) : data.types[token];
  if (type < 0 || type > static_cast<int64_t>(TokenType::kByte)) {
    return Fail(ErrorCode::kCorruptFile,
                "tokenizer.ggml.token_type of token " + std::to_string(token) + " is " + std::to_string(type));
  }
  if (IsFiller(data.tokens[token], token)) return TokenType::kUnused;
  return static_cast<TokenType>(type) == TokenType::kByte ? TokenType::kNormal : static_cast<TokenType>(type);
}

}  // namespace

Result<Vocabulary> Vocabulary::Create(const VocabularyData& data) {
  Vocabulary vocabulary;
  AUTOGLM_TRY_VOID(vocabulary.AddTokens(data));
  AUTOGLM_TRY_VOID(vocabulary.AddMerges(data.merges));
  return vocabulary;
}

Status Vocabulary::AddTokens(const VocabularyData& data) {
  if (data.tokens.empty()) return Fail(ErrorCode::kCorruptFile, "tokenizer.ggml.tokens is empty");
  if (data.tokens.size() > kTokensMax) return Fail(ErrorCode::kCorruptFile, "tokenizer.ggml.tokens has too many tokens");
  if (!data.types.empty() && data.types.size() != data.tokens.size()) {
    return Fail(ErrorCode::kCorruptFile, "tokenizer.ggml.tokens has " + std::to_string(data.tokens.size()) +
                                             " items, tokenizer.ggml.token_type " + std::to_string(data.types.size()));
  }

  ends_.reserve(data.tokens.size());
  types_.reserve(data.tokens.size());
  normal_slots_.resize(SlotsFor(data.tokens.size()));
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    AUTOGLM_TRY(const TokenType type, TypeOf(data, i));
    // A normal token outside the alphabet is read as it is written; no merge leads to it.
    const bool is_in_alphabet = type == TokenType::kNormal && AppendBytesFromAlphabet(data.tokens[i], arena_);
    if (!is_in_alphabet) arena_.append(data.tokens[i]);
    ends_.push_back(arena_.size());
    types_.push_back(type);
    if (is_in_alphabet) IndexNormal(static_cast<TokenId>(i));
  }

  for (size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
    const auto character = static_cast<char>(byte);
    byte_tokens_[byte] = FindNormal({&character, 1}).value_or(kNoToken);
  }
  return {};
}

Status Vocabulary::AddMerges(std::span<const std::string> merges) {
  if (merges.size() > kTokensMax) return Fail(ErrorCode::kCorruptFile, "tokenizer.ggml.merges has too many merges");
  merge_slots_.resize(SlotsFor(merges.size()));
  for (size_t i = 0; i < merges.size(); ++i) AUTOGLM_TRY_VOID(AddMerge(merges[i], static_cast<int32_t>(i)));
  return {};
}

Status Vocabulary::AddMerge(std::string_view merge, int32_t rank) {
  const size_t space = merge.find(' ');
  std::string joined;
  const bool has_left = AppendBytesFromAlphabet(merge.substr(0, space), joined);
  const size_t num_left = joined.size();
  const bool has_right = space != std::string_view::npos && AppendBytesFromAlphabet(merge.substr(space + 1), joined);
  const auto left = FindNormal(std::string_view(joined).substr(0, num_left));
  const auto right = FindNormal(std::string_view(joined).substr(num_left));
  const auto merged = FindNormal(joined);
  if (!has_left || !has_right || !left || !right || !merged) {
    return Fail(ErrorCode::kCorruptFile, "tokenizer.ggml.merges: \"" + std::string(merge) +
                                             "\" is not two tokens of tokenizer.ggml.tokens that join to a third");
  }
  MergeSlot& slot = merge_slots_[MergePlace(PairOf(*left, *right))];
  // Of a merge that is listed twice, the better rank counts.
  if (slot.pair == kNoPair) slot = {PairOf(*left, *right), {rank, *merged}};
  return {};
}

void Vocabulary::IndexNormal(TokenId token) {
  const std::string_view token_bytes = bytes(token);
  const uint64_t hash = HashOf(token_bytes);
  NormalSlot& slot = normal_slots_[NormalPlace(token_bytes, hash)];
  if (slot.token == kNoToken) slot = {TagOf(hash), token};  // of two tokens with the same bytes, the first is used
  normal_bytes_max_ = std::max(normal_bytes_max_, token_bytes.size());
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
