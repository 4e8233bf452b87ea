#include "tokenizer/gguf_vocabulary.h"

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/byte_token.h"

namespace autoglm {
namespace {

tl::unexpected<Error> Corrupt(std::string message) { return Fail(ErrorCode::kCorruptFile, std::move(message)); }

// llama.cpp's converters fill the rows that the model has beyond its tokens with "[PAD<id>]".
bool IsFiller(std::string_view spelling, size_t token) {
  return spelling.starts_with("[PAD") && spelling == "[PAD" + std::to_string(token) + "]";
}

Result<TokenType> TypeOf(const VocabularyData& data, size_t token) {
  const int64_t type = data.types.empty() ? static_cast<int64_t>(TokenType::kNormal) : data.types[token];
  if (type < 0 || type > static_cast<int64_t>(TokenType::kByte)) {
    return Corrupt("tokenizer.ggml.token_type of token " + std::to_string(token) + " is " + std::to_string(type));
  }
  if (IsFiller(data.tokens[token], token)) return TokenType::kUnused;
  return static_cast<TokenType>(type);
}

Status CheckLengths(const VocabularyData& data) {
  if (data.tokens.empty()) return Corrupt("tokenizer.ggml.tokens is empty");
  if (data.tokens.size() > Vocabulary::kTokensMax) return Corrupt("tokenizer.ggml.tokens has too many tokens");
  if (data.merges.size() > Vocabulary::kMergesMax) return Corrupt("tokenizer.ggml.merges has too many merges");
  if (!data.types.empty() && data.types.size() != data.tokens.size()) {
    return Corrupt("tokenizer.ggml.tokens has " + std::to_string(data.tokens.size()) + " items, tokenizer.ggml.token_type " +
                   std::to_string(data.types.size()));
  }
  return {};
}

Status AddByteLevelMerge(std::string_view merge, int32_t rank, Vocabulary& vocabulary) {
  const size_t space = merge.find(' ');
  std::string joined;
  const bool has_left = AppendBytesFromAlphabet(merge.substr(0, space), joined);
  const size_t num_left = joined.size();
  const bool has_right = space != std::string_view::npos && AppendBytesFromAlphabet(merge.substr(space + 1), joined);
  const auto left = vocabulary.FindNormal(std::string_view(joined).substr(0, num_left));
  const auto right = vocabulary.FindNormal(std::string_view(joined).substr(num_left));
  const auto merged = vocabulary.FindNormal(joined);
  if (!has_left || !has_right || !left || !right || !merged) {
    return Corrupt("tokenizer.ggml.merges: \"" + std::string(merge) +
                   "\" is not two tokens of tokenizer.ggml.tokens that join to a third");
  }
  vocabulary.AddMerge(*left, *right, rank, *merged);
  return {};
}

Status AddSentencePiece(const std::string& spelling, TokenType type, Vocabulary& vocabulary) {
  if (type == TokenType::kByte) {
    const auto byte = ByteFromSpelling(spelling);
    if (!byte) return Corrupt("tokenizer.ggml.tokens: the byte token \"" + spelling + "\" is not spelled <0xXX>");
    const auto character = static_cast<char>(*byte);
    vocabulary.SetByteToken(*byte, vocabulary.Add({&character, 1}, TokenType::kNormal, Vocabulary::Lookup::kNever));
    return {};
  }
  const bool is_control = type == TokenType::kControl || type == TokenType::kUnknown;
  vocabulary.Add(SpacesFromMarks(spelling), type, is_control ? Vocabulary::Lookup::kNever : Vocabulary::Lookup::kByText);
  return {};
}

}  // namespace

Result<Vocabulary> ReadByteLevelVocabulary(const VocabularyData& data) {
  AUTOGLM_TRY_VOID(CheckLengths(data));
  Vocabulary vocabulary(data.tokens.size(), data.merges.size());
  std::string bytes;
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    AUTOGLM_TRY(TokenType type, TypeOf(data, i));
    if (type == TokenType::kByte) type = TokenType::kNormal;
    bytes.clear();
    // A normal token outside the alphabet is read as it is written; no merge leads to it.
    const bool is_in_alphabet = type == TokenType::kNormal && AppendBytesFromAlphabet(data.tokens[i], bytes);
    vocabulary.Add(is_in_alphabet ? bytes : data.tokens[i], type,
                   is_in_alphabet ? Vocabulary::Lookup::kByText : Vocabulary::Lookup::kNever);
  }
  for (size_t i = 0; i < data.merges.size(); ++i) {
    AUTOGLM_TRY_VOID(AddByteLevelMerge(data.merges[i], static_cast<int32_t>(i), vocabulary));
  }
  return vocabulary;
}

Result<Vocabulary> ReadSentencePieceVocabulary(const VocabularyData& data) {
  AUTOGLM_TRY_VOID(CheckLengths(data));
  Vocabulary vocabulary(data.tokens.size(), 0);
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    AUTOGLM_TRY(const TokenType type, TypeOf(data, i));
    AUTOGLM_TRY_VOID(AddSentencePiece(data.tokens[i], type, vocabulary));
  }
  return vocabulary;
}

}  // namespace autoglm
