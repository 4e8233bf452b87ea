#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/check.h"
#include "tokenizer/byte_pair_encoder.h"
#include "tokenizer/nfc.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/special_matcher.h"
#include "tokenizer/utf8.h"
#include "tokenizer/vocabulary.h"

namespace autoglm {
namespace {

// Control tokens of these spellings end an answer, also where the file's metadata does not name them.
constexpr auto kEndSpellings = std::to_array<std::string_view>(
    {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "</s>", "<|end_of_text|>"});
// GLM ends its turn by starting another's. In other models these spellings open a turn inside the prompt.
constexpr auto kGlmEndSpellings = std::to_array<std::string_view>({"<|user|>", "<|observation|>"});

Result<TokenId> CheckedId(const Vocabulary& vocabulary, int64_t id, std::string_view what) {
  if (vocabulary.Contains(id)) return static_cast<TokenId>(id);
  return Fail(ErrorCode::kCorruptFile, "the " + std::string(what) + " token is " + std::to_string(id) + ", but there are only " +
                                           std::to_string(vocabulary.size()) + " tokens");
}

bool IsControlType(TokenType type) { return type == TokenType::kControl || type == TokenType::kUnknown; }

// Without the filling at the end, which brings the vocabulary to the model's size.
int64_t SizeWithoutFilling(const Vocabulary& vocabulary) {
  TokenId size = vocabulary.size();
  while (size > 0 && vocabulary.type(size - 1) == TokenType::kUnused) --size;
  return size;
}

// nullopt where absent.
Result<std::optional<int64_t>> OptionalInteger(const GgufFile& file, std::string_view key) {
  const auto value = file.Integer(key);
  if (value) return *value;
  if (value.error().code == ErrorCode::kNotFound) return std::nullopt;
  return tl::unexpected(value.error());
}

Result<std::optional<bool>> OptionalBool(const GgufFile& file, std::string_view key) {
  const auto value = file.Bool(key);
  if (value) return *value;
  if (value.error().code == ErrorCode::kNotFound) return std::nullopt;
  return tl::unexpected(value.error());
}

Result<std::span<const std::string>> Strings(const GgufFile& file, std::string_view key) {
  const auto* const strings = file.FindStrings(key);
  if (strings == nullptr) return Fail(ErrorCode::kCorruptFile, std::string(key) + " is missing or not an array of strings");
  return std::span(*strings);
}

}  // namespace

struct Tokenizer::Impl {
  Impl(Vocabulary vocabulary_in, PreTokenizer pre_tokenizer_in)
      : vocabulary(std::move(vocabulary_in)),
        pre_tokenizer(std::move(pre_tokenizer_in)),
        specials(vocabulary),
        byte_pairs(vocabulary, pre_tokenizer.kind().ignores_merges ? BytePairEncoder::WholePieces::kAsTokens
                                                                   : BytePairEncoder::WholePieces::kByMerges),
        vocab_size(SizeWithoutFilling(vocabulary)) {}

  Status SetBos(const VocabularyData& data);
  Status SetEos(const VocabularyData& data);
  std::vector<TokenId> Encode(std::string_view text, PlainBytes plain) const;
  void AppendOrdinary(std::string_view text, std::vector<TokenId>& tokens) const;
  void AppendValid(std::string_view text, std::vector<TokenId>& tokens) const;

  const Vocabulary vocabulary;
  const PreTokenizer pre_tokenizer;
  const SpecialMatcher specials;
  const BytePairEncoder byte_pairs;
  const int64_t vocab_size;
  std::vector<TokenId> eos;
  std::optional<TokenId> bos;
  bool add_bos = false;
};

Status Tokenizer::Impl::SetBos(const VocabularyData& data) {
  if (!data.bos) return {};
  AUTOGLM_TRY(bos, CheckedId(vocabulary, *data.bos, "bos"));
  const PreTokenizerKind& kind = pre_tokenizer.kind();
  add_bos = !kind.is_glm && data.add_bos.value_or(kind.adds_bos_by_default);
  return {};
}

Status Tokenizer::Impl::SetEos(const VocabularyData& data) {
  const auto add = [this](TokenId token) {
    if (std::find(eos.begin(), eos.end(), token) == eos.end()) eos.push_back(token);
  };
  const auto add_spelling = [&](std::string_view spelling) {
    const auto token = specials.Find(spelling);
    if (token && IsControlType(vocabulary.type(*token))) add(*token);
  };
  for (const int64_t id : data.eos) {
    AUTOGLM_TRY(const TokenId token, CheckedId(vocabulary, id, "end"));
    add(token);
  }
  std::for_each(kEndSpellings.begin(), kEndSpellings.end(), add_spelling);
  if (pre_tokenizer.kind().is_glm) std::for_each(kGlmEndSpellings.begin(), kGlmEndSpellings.end(), add_spelling);
  return {};
}

std::vector<TokenId> Tokenizer::Impl::Encode(std::string_view text, PlainBytes plain) const {
  std::vector<TokenId> tokens;
  tokens.reserve(text.size() / 4 + 1);
  size_t position = 0;
  while (position < text.size()) {
    const auto special = specials.FindNext(text, position, plain);
    const size_t end = special ? special->begin : text.size();
    AppendOrdinary(text.substr(position, end - position), tokens);
    if (!special) break;
    tokens.push_back(special->token);
    position = end + special->num_bytes;
  }
  return tokens;
}

// Each byte that is not part of valid UTF-8 is a piece of its own.
void Tokenizer::Impl::AppendOrdinary(std::string_view text, std::vector<TokenId>& tokens) const {
  while (!text.empty()) {
    const size_t num_valid = ValidUtf8Prefix(text);
    AppendValid(text.substr(0, num_valid), tokens);
    text.remove_prefix(num_valid);
    const size_t num_invalid = text.empty() ? 0 : ReadUtf8(text).num_bytes;
    for (const char byte : text.substr(0, num_invalid)) {
      if (const auto token = vocabulary.FindByte(static_cast<uint8_t>(byte))) tokens.push_back(*token);
    }
    text.remove_prefix(num_invalid);
  }
}

void Tokenizer::Impl::AppendValid(std::string_view text, std::vector<TokenId>& tokens) const {
  std::string normalized;
  if (pre_tokenizer.kind().normalizes_nfc && !IsSurelyNfc(text)) {
    normalized = NormalizeNfc(text);
    text = normalized;
  }
  PieceReader pieces(pre_tokenizer, text);
  while (const auto piece = pieces.Next()) byte_pairs.Append(*piece, tokens);
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::FromGguf(const GgufFile& file) {
  const std::string* const model = file.FindString("tokenizer.ggml.model");
  if (model == nullptr) return Fail(ErrorCode::kUnsupported, "the file has no tokenizer (tokenizer.ggml.model is missing)");
  if (*model != "gpt2") {
    return Fail(ErrorCode::kUnsupported, "tokenizer.ggml.model \"" + *model + "\" is not known; known is gpt2");
  }

  VocabularyData data;
  if (const std::string* const pre = file.FindString("tokenizer.ggml.pre")) data.pre = *pre;
  AUTOGLM_TRY(data.tokens, Strings(file, "tokenizer.ggml.tokens"));
  AUTOGLM_TRY(data.merges, Strings(file, "tokenizer.ggml.merges"));
  if (file.metadata().contains("tokenizer.ggml.token_type")) {
    const auto* const types = file.FindIntegers("tokenizer.ggml.token_type");
    if (types == nullptr) return Fail(ErrorCode::kCorruptFile, "tokenizer.ggml.token_type is not an array of integers");
    data.types = *types;
  }
  AUTOGLM_TRY(data.bos, OptionalInteger(file, "tokenizer.ggml.bos_token_id"));
  AUTOGLM_TRY(data.add_bos, OptionalBool(file, "tokenizer.ggml.add_bos_token"));
  for (const char* const key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    AUTOGLM_TRY(const std::optional<int64_t> id, OptionalInteger(file, key));
    if (id) data.eos.push_back(*id);
  }
  return Create(data);
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::Create(const VocabularyData& data) {
  AUTOGLM_TRY(PreTokenizer pre_tokenizer, PreTokenizer::Create(data.pre));
  AUTOGLM_TRY(Vocabulary vocabulary, Vocabulary::Create(data));
  auto impl = std::make_unique<Impl>(std::move(vocabulary), std::move(pre_tokenizer));
  AUTOGLM_TRY_VOID(impl->SetBos(data));
  AUTOGLM_TRY_VOID(impl->SetEos(data));
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(impl)));
}

std::vector<TokenId> Tokenizer::Encode(std::string_view text, SpecialTokens specials) const {
  return impl_->Encode(text, specials == SpecialTokens::kParse ? PlainBytes::None() : PlainBytes::All());
}

std::vector<TokenId> Tokenizer::EncodeMarked(std::string_view text, const std::vector<bool>& is_plain) const {
  AUTOGLM_CHECK(is_plain.size() == text.size());
  return impl_->Encode(text, PlainBytes::Marked(is_plain));
}

std::string_view Tokenizer::TokenBytes(TokenId token) const {
  if (!impl_->vocabulary.Contains(token)) return {};
  const TokenType type = impl_->vocabulary.type(token);
  return type == TokenType::kNormal || type == TokenType::kUserDefined ? impl_->vocabulary.bytes(token) : std::string_view();
}

std::string_view Tokenizer::TokenSpelling(TokenId token) const {
  return IsControl(token) ? impl_->vocabulary.bytes(token) : TokenBytes(token);
}

bool Tokenizer::IsControl(TokenId token) const {
  return impl_->vocabulary.Contains(token) && IsControlType(impl_->vocabulary.type(token));
}

Result<TokenId> Tokenizer::FindToken(std::string_view spelling) const {
  if (const auto special = impl_->specials.Find(spelling)) return *special;
  if (const auto normal = impl_->vocabulary.FindNormal(spelling)) return *normal;
  return Fail(ErrorCode::kNotFound, "the vocabulary has no token \"" + std::string(spelling) + "\"");
}

std::string Tokenizer::Decode(const std::vector<TokenId>& tokens) const {
  std::string bytes;
  for (const TokenId token : tokens) bytes.append(TokenBytes(token));
  return bytes;
}

int64_t Tokenizer::vocab_size() const { return impl_->vocab_size; }
const std::vector<TokenId>& Tokenizer::eos_tokens() const { return impl_->eos; }
bool Tokenizer::add_bos() const { return impl_->add_bos; }
bool Tokenizer::has_bos() const { return impl_->bos.has_value(); }

TokenId Tokenizer::bos_token() const {
  AUTOGLM_CHECK(impl_->bos.has_value());
  return *impl_->bos;
}

}  // namespace autoglm
