#include "tokenizer/gguf_tokenizer.h"

#include "tokenizer/byte_pair_encoder.h"
#include "tokenizer/gguf_pre_tokenizer.h"
#include "tokenizer/sentencepiece_encoder.h"

namespace autoglm {
namespace {

constexpr std::string_view kByteLevelModel = "gpt2";
constexpr std::string_view kSentencePieceModel = "llama";
constexpr std::string_view kChatGlm3Pre = "chatglm-spm";

// nullopt where absent.
template <typename T>
Result<std::optional<T>> Optional(const Result<T>& value) {
  if (value) return *value;
  if (value.error().code == ErrorCode::kNotFound) return std::nullopt;
  return tl::unexpected(value.error());
}

Result<std::span<const std::string>> Strings(const GgufFile& file, std::string_view key) {
  const auto* const strings = file.FindStrings(key);
  if (strings == nullptr) return Fail(ErrorCode::kCorruptFile, std::string(key) + " is missing or not an array of strings");
  return std::span(*strings);
}

Status CheckModel(std::string_view model) {
  if (model == kByteLevelModel || model == kSentencePieceModel) return {};
  return Fail(ErrorCode::kUnsupported,
              "tokenizer.ggml.model \"" + std::string(model) + "\" is not known; known are gpt2 and llama");
}

Status ReadLists(const GgufFile& file, VocabularyData& data) {
  AUTOGLM_TRY(data.tokens, Strings(file, "tokenizer.ggml.tokens"));
  if (data.model == kByteLevelModel) {
    AUTOGLM_TRY(data.merges, Strings(file, "tokenizer.ggml.merges"));
  } else {
    const auto* const scores = file.FindFloats("tokenizer.ggml.scores");
    if (scores == nullptr) return Fail(ErrorCode::kCorruptFile, "tokenizer.ggml.scores is missing or not an array of numbers");
    data.scores = *scores;
  }
  if (file.metadata().contains("tokenizer.ggml.token_type")) {
    const auto* const types = file.FindIntegers("tokenizer.ggml.token_type");
    if (types == nullptr) return Fail(ErrorCode::kCorruptFile, "tokenizer.ggml.token_type is not an array of integers");
    data.types = *types;
  }
  return {};
}

Status ReadValues(const GgufFile& file, VocabularyData& data) {
  AUTOGLM_TRY(data.bos, Optional(file.Integer("tokenizer.ggml.bos_token_id")));
  AUTOGLM_TRY(data.unknown, Optional(file.Integer("tokenizer.ggml.unknown_token_id")));
  AUTOGLM_TRY(data.add_bos, Optional(file.Bool("tokenizer.ggml.add_bos_token")));
  AUTOGLM_TRY(data.add_space_prefix, Optional(file.Bool("tokenizer.ggml.add_space_prefix")));
  for (const char* const key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    AUTOGLM_TRY(const std::optional<int64_t> id, Optional(file.Integer(key)));
    if (id) data.eos.push_back(*id);
  }
  return {};
}

Status SetEnds(const VocabularyData& data, TokenizerModel& model) {
  if (data.bos) {
    AUTOGLM_TRY(model.bos, CheckedToken(*model.vocabulary, *data.bos, "bos"));
  }
  for (const int64_t id : data.eos) {
    AUTOGLM_TRY(const TokenId token, CheckedToken(*model.vocabulary, id, "end"));
    model.eos.push_back(token);
  }
  return {};
}

Result<TokenizerModel> BuildByteLevel(const VocabularyData& data) {
  AUTOGLM_TRY(const GgufPreTokenizer* const kind, GgufPreTokenizer::Find(data.pre));
  AUTOGLM_TRY(Vocabulary vocabulary, ReadByteLevelVocabulary(data));
  TokenizerModel model;
  model.vocabulary = std::make_unique<const Vocabulary>(std::move(vocabulary));
  AUTOGLM_TRY_VOID(SetEnds(data, model));
  model.add_bos = model.bos && !kind->is_glm && data.add_bos.value_or(kind->adds_bos_by_default);
  model.ends_at_glm_roles = kind->is_glm;

  using WholePieces = BytePairEncoder::WholePieces;
  const BytePairEncoder::Options options{.whole_pieces = kind->ignores_merges ? WholePieces::kAsTokens : WholePieces::kByMerges};
  std::vector<Normalizer::Step> steps;
  if (kind->normalizes_nfc) steps.emplace_back(Normalizer::Nfc());
  model.text_encoder = std::make_unique<const TextEncoder>(Normalizer(std::move(steps), {}), kind->Build(),
                                                           std::make_unique<const BytePairEncoder>(*model.vocabulary, options));
  return model;
}

// Defaults where the file is silent: those of llama.cpp.
Result<TokenizerModel> BuildSentencePiece(const VocabularyData& data) {
  AUTOGLM_TRY(Vocabulary vocabulary, ReadSentencePieceVocabulary(data));
  TokenizerModel model;
  model.vocabulary = std::make_unique<const Vocabulary>(std::move(vocabulary));
  AUTOGLM_TRY_VOID(SetEnds(data, model));
  model.ends_at_glm_roles = data.pre == kChatGlm3Pre;
  model.add_bos = model.bos && !model.ends_at_glm_roles && data.add_bos.value_or(true);

  std::optional<TokenId> unknown;
  if (data.unknown) {
    AUTOGLM_TRY(unknown, CheckedToken(*model.vocabulary, *data.unknown, "unknown"));
  }
  AUTOGLM_TRY(auto pieces, SentencePieceEncoder::Create(*model.vocabulary, data.scores, unknown));
  SpacePrefix prefix;
  if (data.add_space_prefix.value_or(true)) prefix.where = SpacePrefix::Where::kTextStartAndAfterControl;
  model.drops_first_space = data.add_space_prefix.value_or(true);
  model.text_encoder = std::make_unique<const TextEncoder>(SentencePieceNormalizer(prefix), PreTokenizer(), std::move(pieces));
  return model;
}

}  // namespace

Result<TokenizerModel> ReadGgufTokenizer(const GgufFile& file) {
  const std::string* const model = file.FindString("tokenizer.ggml.model");
  if (model == nullptr) return Fail(ErrorCode::kUnsupported, "the file has no tokenizer (tokenizer.ggml.model is missing)");
  AUTOGLM_TRY_VOID(CheckModel(*model));

  VocabularyData data{.model = *model};
  if (const std::string* const pre = file.FindString("tokenizer.ggml.pre")) data.pre = *pre;
  AUTOGLM_TRY_VOID(ReadLists(file, data));
  AUTOGLM_TRY_VOID(ReadValues(file, data));
  return BuildGgufTokenizer(data);
}

Result<TokenizerModel> BuildGgufTokenizer(const VocabularyData& data) {
  AUTOGLM_TRY_VOID(CheckModel(data.model));
  return data.model == kByteLevelModel ? BuildByteLevel(data) : BuildSentencePiece(data);
}

}  // namespace autoglm
