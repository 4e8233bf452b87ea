#include "tokenizer/sentencepiece_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "tokenizer/gguf_tokenizer.h"
#include "tokenizer/protobuf_reader.h"

namespace autoglm {
namespace {

// Tokens that ChatGLM3's own code adds behind the pieces. Source: SPTokenizer of THUDM/chatglm3-6b.
constexpr size_t kChatGlm3Pieces = 64'789;
constexpr auto kChatGlm3Specials = std::to_array<std::string_view>(
    {"[MASK]", "[gMASK]", "[sMASK]", "sop", "eop", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"});

// How far behind the pieces an added token may lie.
constexpr int64_t kGapMax = 65'536;

tl::unexpected<Error> Corrupt(const std::string& what) {
  return Fail(ErrorCode::kCorruptFile, "the SentencePiece model " + what);
}

Status ReadPiece(std::string_view bytes, SentencePieceFile& file) {
  std::string text;
  float score = 0;
  int64_t type = static_cast<int64_t>(TokenType::kNormal);
  for (ProtobufReader reader(bytes); !reader.AtEnd();) {
    AUTOGLM_TRY(const auto field, reader.Next());
    if (field.number == 1) text = field.bytes;
    if (field.number == 2) score = std::bit_cast<float>(static_cast<uint32_t>(field.integer));
    if (field.number == 3) type = static_cast<int64_t>(field.integer);
  }
  if (file.pieces.size() == Vocabulary::kTokensMax) return Corrupt("has too many pieces");
  file.pieces.push_back(std::move(text));
  file.scores.push_back(static_cast<double>(score));
  file.types.push_back(type);
  return {};
}

Status ReadTrainerSpec(std::string_view bytes, SentencePieceFile& file) {
  constexpr uint64_t kBpe = 2;
  for (ProtobufReader reader(bytes); !reader.AtEnd();) {
    AUTOGLM_TRY(const auto field, reader.Next());
    if (field.number == 3) file.is_bpe = field.integer == kBpe;
    if (field.number == 24) file.puts_space_after = field.integer != 0;
    if (field.number == 40) file.unknown_id = static_cast<int32_t>(field.integer);
    if (field.number == 41) file.bos_id = static_cast<int32_t>(field.integer);
    if (field.number == 42) file.eos_id = static_cast<int32_t>(field.integer);
  }
  return {};
}

Status ReadNormalizerSpec(std::string_view bytes, SentencePieceFile& file) {
  for (ProtobufReader reader(bytes); !reader.AtEnd();) {
    AUTOGLM_TRY(const auto field, reader.Next());
    if (field.number == 2) file.character_map = field.bytes;
    if (field.number == 3) file.adds_space_prefix = field.integer != 0;
    if (field.number == 4) file.removes_extra_spaces = field.integer != 0;
    if (field.number == 5) file.escapes_spaces = field.integer != 0;
  }
  return {};
}

Status CheckSupported(const SentencePieceFile& file) {
  const auto refuse = [](const std::string& what) {
    return Fail(ErrorCode::kUnsupported, "the SentencePiece model " + what + ", which is not supported");
  };
  if (!file.is_bpe) return refuse("is not of type BPE");
  if (!file.escapes_spaces) return refuse("does not write spaces as U+2581 (escape_whitespaces)");
  if (file.puts_space_after) return refuse("puts spaces after words (treat_whitespace_as_suffix)");
  return {};
}

// ChatGLM3's are never parsed in a user's text, whatever a configuration says.
std::vector<AddedToken> ChatGlm3Tokens() {
  std::vector<AddedToken> tokens;
  tokens.reserve(kChatGlm3Specials.size());
  for (const std::string_view content : kChatGlm3Specials) {
    tokens.push_back(
        {.id = static_cast<int64_t>(kChatGlm3Pieces + tokens.size()), .content = std::string(content), .is_special = true});
  }
  return tokens;
}

// Places a token behind the pieces; one that is a piece already may be listed again.
Status Append(const AddedToken& token, int64_t id_max, SentencePieceFile& file) {
  const auto type = static_cast<int64_t>(token.is_special ? TokenType::kControl : TokenType::kUserDefined);
  if (std::cmp_less(token.id, file.pieces.size())) {
    const auto index = static_cast<size_t>(token.id);
    if (file.pieces[index] != token.content) return Corrupt("has another piece where \"" + token.content + "\" is added");
    if (token.is_special) file.types[index] = type;
    return {};
  }
  if (token.id > id_max) return Corrupt("lies far below the id of \"" + token.content + "\"");
  const auto size = static_cast<size_t>(token.id) + 1;
  file.pieces.resize(size);
  file.scores.resize(size);
  file.types.resize(size, static_cast<int64_t>(TokenType::kUnused));
  file.pieces.back() = token.content;
  file.types.back() = type;
  return {};
}

}  // namespace

Result<SentencePieceFile> SentencePieceFile::Parse(std::string_view bytes) {
  SentencePieceFile file;
  for (ProtobufReader reader(bytes); !reader.AtEnd();) {
    AUTOGLM_TRY(const auto field, reader.Next());
    if (field.number == 1) AUTOGLM_TRY_VOID(ReadPiece(field.bytes, file));
    if (field.number == 2) AUTOGLM_TRY_VOID(ReadTrainerSpec(field.bytes, file));
    if (field.number == 3) AUTOGLM_TRY_VOID(ReadNormalizerSpec(field.bytes, file));
  }
  if (file.pieces.empty()) return Corrupt("has no pieces");
  return file;
}

Result<TokenizerModel> BuildSentencePieceFile(std::string_view bytes, const std::vector<AddedToken>& added_tokens) {
  AUTOGLM_TRY(SentencePieceFile file, SentencePieceFile::Parse(bytes));
  AUTOGLM_TRY_VOID(CheckSupported(file));
  const bool is_chat_glm3 = file.pieces.size() == kChatGlm3Pieces;
  const auto id_max = static_cast<int64_t>(file.pieces.size()) + kGapMax;
  for (const AddedToken& token : is_chat_glm3 ? ChatGlm3Tokens() : added_tokens) AUTOGLM_TRY_VOID(Append(token, id_max, file));

  VocabularyData data{.model = "llama",
                      .pre = is_chat_glm3 ? "chatglm-spm" : "default",
                      .tokens = file.pieces,
                      .types = file.types,
                      .scores = file.scores,
                      .add_space_prefix = file.adds_space_prefix,
                      .character_map = file.character_map,
                      .removes_extra_spaces = file.removes_extra_spaces};
  if (file.bos_id >= 0) data.bos = file.bos_id;
  if (file.eos_id >= 0) data.eos = {file.eos_id};
  if (file.unknown_id >= 0) data.unknown = file.unknown_id;
  AUTOGLM_TRY(TokenizerModel model, BuildGgufTokenizer(data));
  for (const AddedToken& token : added_tokens) {
    if (!is_chat_glm3) model.special_options[static_cast<TokenId>(token.id)] = token.options;
  }
  return model;
}

}  // namespace autoglm
