#include "tokenizer/gguf_tokenizer_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>

#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_config.h"
#include "tokenizer/tokenizer_folder.h"
#include "tokenizer/tokenizer_json_reader.h"
#include "tokenizer/tokenizer_json_steps.h"

namespace autoglm {
namespace {

constexpr const char* kPreTokenizers[] = {"smollm", "gpt-2", "llama-bpe", "qwen2", "glm4", "chatglm-bpe"};

// Where pre-tokenizers differ: digits, contractions, spaces before and after line ends, punctuation, scripts, marks to be
// composed.
constexpr const char* kProbes[] = {
    "Hello, world! It's 12345678 o'clock, and I'LL say: don't (ever) 3.14159 1,000,000.",
    "  two  spaces\n\n\nthree lines \n \n  and\ttabs\t\t\r\nend   ",
    "caf\u00e9 cafe\u0301 na\u00efve \u00c5ngstr\u00f6m A\u030angstro\u0308m",
    "\u4f60\u597d\uff0c\u4e16\u754c \u0645\u0631\u062d\u0628\u0627 \u043f\u0440\u0438\u0432\u0435\u0442 \U0001f600",
    "x=1;if(a<b&&c!=d){return f[0]->y*2;}//comment\n#include <stdio.h>\n$100 50% a_b-c e@f.g",
    "99 bottles 9 9 99 999 9999 \u0663\u0664 IV \u2167 \u00bd x\u00b2",
    "a b  c   d    e \u00a0f\u3000g\u200bh",
    "s't 're've'm'll'd 'S 'T ''quotes'' \"and\" \u2019s",
};

struct Parts {
  std::vector<std::string> tokens;
  std::vector<int64_t> types;
  std::vector<std::string> merges;
};

Result<std::string> ReadTokenizerJson(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer.json";
  std::error_code error;
  const uintmax_t num_bytes = std::filesystem::file_size(path, error);
  if (error) {
    return Fail(ErrorCode::kUnsupported,
                folder.string() + " has no tokenizer.json: other tokenizers cannot be written into a GGUF file yet");
  }
  if (num_bytes > TokenizerJson::kBytesMax) return Fail(ErrorCode::kPayloadTooLarge, path.string() + " is too long");
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Spelled as GGUF spells them: as tokenizer.json does, and what no id names as filling.
Result<Parts> ReadParts(const TokenizerJson& json, int64_t vocab_size) {
  Parts parts;
  for (int64_t id = 0; id < vocab_size; ++id) parts.tokens.push_back(fmt::format("[PAD{}]", id));
  parts.types.assign(static_cast<size_t>(vocab_size), static_cast<int64_t>(TokenType::kUnused));
  const auto place = [&](int64_t id, const std::string& spelling, TokenType type) -> Status {
    if (id < 0 || id >= vocab_size) {
      return Fail(ErrorCode::kCorruptFile,
                  fmt::format("tokenizer.json: the id {} is outside the model's {} tokens", id, vocab_size));
    }
    parts.tokens[static_cast<size_t>(id)] = spelling;
    parts.types[static_cast<size_t>(id)] = static_cast<int64_t>(type);
    return {};
  };
  for (const TokenizerJson::Entry& entry : json.vocab) AUTOGLM_TRY_VOID(place(entry.id, entry.spelling, TokenType::kNormal));
  const auto added = json.rest.find("added_tokens");
  if (added != json.rest.end() && added->is_array()) {
    for (const Json& object : *added) {
      AUTOGLM_TRY(const AddedToken token, AddedToken::Read(object));
      AUTOGLM_TRY_VOID(place(token.id, token.content, token.is_special ? TokenType::kControl : TokenType::kUserDefined));
    }
  }
  parts.merges.reserve(json.merges.size());
  for (const auto& [left, right] : json.merges) parts.merges.push_back(fmt::format("{} {}", left, right));
  return parts;
}

bool TokenisesAlike(const Tokenizer& one, const Tokenizer& other, const Parts& parts) {
  for (const char* probe : kProbes) {
    if (one.Encode(probe, SpecialTokens::kPlain) != other.Encode(probe, SpecialTokens::kPlain)) return false;
  }
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    const auto type = static_cast<TokenType>(parts.types[id]);
    if (type != TokenType::kControl && type != TokenType::kUserDefined) continue;
    const std::string text = "a" + parts.tokens[id] + " b";
    if (one.Encode(text, SpecialTokens::kParse) != other.Encode(text, SpecialTokens::kParse)) return false;
  }
  const auto sorted = [](std::vector<TokenId> tokens) {
    std::ranges::sort(tokens);
    return tokens;
  };
  return sorted(one.eos_tokens()) == sorted(other.eos_tokens()) && one.add_bos() == other.add_bos();
}

}  // namespace

Result<std::vector<std::pair<std::string, GgufValue>>> ExportTokenizer(const std::filesystem::path& folder,
                                                                       const std::vector<int64_t>& extra_eos_ids,
                                                                       int64_t vocab_size) {
  AUTOGLM_TRY(const std::unique_ptr<Tokenizer> wanted, Tokenizer::FromFolder(folder, extra_eos_ids));
  AUTOGLM_TRY(const std::string text, ReadTokenizerJson(folder));
  AUTOGLM_TRY(const TokenizerJson json, TokenizerJson::Parse(text));
  AUTOGLM_TRY(const TokenizerJsonSteps steps, TokenizerJsonSteps::Read(json.rest));
  if (!steps.is_byte_level()) {
    return Fail(ErrorCode::kUnsupported, folder.string() + ": only byte-level BPE can be written into a GGUF file yet");
  }
  AUTOGLM_TRY(const Parts parts, ReadParts(json, vocab_size));
  const std::vector<TokenId>& ends = wanted->eos_tokens();
  VocabularyData data{
      .model = "gpt2", .tokens = parts.tokens, .types = parts.types, .merges = parts.merges, .add_bos = wanted->add_bos()};
  if (wanted->has_bos()) data.bos = wanted->bos_token();
  data.eos.assign(ends.begin(), ends.begin() + std::min<std::ptrdiff_t>(std::ssize(ends), 3));
  const auto fits = [&](const char* pre) {
    data.pre = pre;
    const auto tokenizer = Tokenizer::Create(data);
    return tokenizer && TokenisesAlike(**tokenizer, *wanted, parts);
  };
  const auto* const pre = std::ranges::find_if(kPreTokenizers, fits);
  if (pre == std::end(kPreTokenizers)) {
    return Fail(ErrorCode::kUnsupported,
                folder.string() + ": none of the pre-tokenizers that GGUF has names for cuts texts as this one does");
  }

  std::vector<std::pair<std::string, GgufValue>> metadata = {
      {"tokenizer.ggml.model", std::string("gpt2")}, {"tokenizer.ggml.pre", std::string(*pre)},
      {"tokenizer.ggml.tokens", parts.tokens},       {"tokenizer.ggml.token_type", parts.types},
      {"tokenizer.ggml.merges", parts.merges},       {"tokenizer.ggml.add_bos_token", wanted->add_bos()}};
  if (data.bos) metadata.emplace_back("tokenizer.ggml.bos_token_id", *data.bos);
  constexpr const char* kEndKeys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                      "tokenizer.ggml.eom_token_id"};
  for (size_t i = 0; i < data.eos.size(); ++i) metadata.emplace_back(kEndKeys[i], data.eos[i]);
  AUTOGLM_TRY(const std::optional<std::string> chat_template, ReadChatTemplateSource(folder));
  if (chat_template) metadata.emplace_back("tokenizer.chat_template", *chat_template);
  return metadata;
}

}  // namespace autoglm
