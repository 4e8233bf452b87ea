#include "tokenizer/tiktoken_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "tokenizer/byte_pair_encoder.h"
#include "tokenizer/gguf_pre_tokenizer.h"

namespace autoglm {
namespace {

// cl100k's longest token has 128 bytes. Merges are sought at every place of each token.
constexpr size_t kTokenBytesMax = 512;
constexpr size_t kGlm4Tokens = 151'329;
// Source: GLM4Tokenizer of THUDM/glm-4-9b-chat; they follow the tokens of the file in this order.
constexpr auto kGlm4Specials = std::to_array<std::string_view>(
    {"<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>",
     "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"});

tl::unexpected<Error> Corrupt(size_t line, const std::string& what) {
  return Fail(ErrorCode::kCorruptFile, "line " + std::to_string(line) + " of the tiktoken file " + what);
}

constexpr auto kBase64Values = [] {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<int8_t, 256> values{};
  values.fill(-1);
  for (size_t i = 0; i < kDigits.size(); ++i) values[static_cast<uint8_t>(kDigits[i])] = static_cast<int8_t>(i);
  return values;
}();

std::optional<std::string> FromBase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  int num_bits = 0;
  for (const char c : text) {
    const int8_t value = kBase64Values[static_cast<uint8_t>(c)];
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    num_bits += 6;
    if (num_bits < 8) continue;
    num_bits -= 8;
    bytes.push_back(static_cast<char>(bits >> num_bits & 0xFF));
  }
  return bytes;
}

std::string_view TakeLine(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// The bytes of every token, by rank.
Result<std::vector<std::string>> ReadRanks(std::string_view text) {
  std::vector<std::string> tokens;
  for (size_t line_number = 1; !text.empty(); ++line_number) {
    const std::string_view line = TakeLine(text);
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) return Corrupt(line_number, "is not a token and its rank");
    auto bytes = FromBase64(line.substr(0, space));
    if (!bytes || bytes->empty()) return Corrupt(line_number, "does not begin with a token in base64");
    if (bytes->size() > kTokenBytesMax) return Corrupt(line_number, "has a token that is too long");
    size_t rank = 0;
    const auto [stop, error] = std::from_chars(line.data() + space + 1, line.data() + line.size(), rank);
    if (error != std::errc() || stop != line.data() + line.size() || rank != tokens.size()) {
      return Corrupt(line_number, "should have the rank " + std::to_string(tokens.size()));
    }
    if (tokens.size() == Vocabulary::kTokensMax) return Corrupt(line_number, "is one token too many");
    tokens.push_back(*std::move(bytes));
  }
  if (tokens.empty()) return Corrupt(1, "is missing");
  return tokens;
}

struct Join {
  TokenId left = 0;
  TokenId right = 0;
  TokenId joined = 0;
};

// tiktoken merges two tokens where their bytes together are a token, that of the lowest rank first. As every part of a piece
// is a token at every moment, that is the same as a list of all pairs that join to a token.
std::vector<Join> FindJoins(const Vocabulary& tokens) {
  std::vector<Join> joins;
  for (TokenId token = 0; token < tokens.size(); ++token) {
    const std::string_view bytes = tokens.bytes(token);
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      const auto left = tokens.FindNormal(bytes.substr(0, cut));
      const auto right = left ? tokens.FindNormal(bytes.substr(cut)) : std::nullopt;
      if (right) joins.push_back({*left, *right, token});
    }
  }
  return joins;
}

Result<std::vector<AddedToken>> SpecialTokens(const std::vector<AddedToken>& given, size_t num_tokens) {
  if (!given.empty()) return given;
  if (num_tokens != kGlm4Tokens) {
    return Fail(ErrorCode::kUnsupported,
                "a tiktoken file does not name its special tokens: tokenizer_config.json must have added_tokens_decoder");
  }
  std::vector<AddedToken> tokens;
  tokens.reserve(kGlm4Specials.size());
  for (const std::string_view content : kGlm4Specials) {
    tokens.push_back(
        {.id = static_cast<int64_t>(num_tokens + tokens.size()), .content = std::string(content), .is_special = true});
  }
  return tokens;
}

// `specials` in the order of their ids.
Status AddSpecials(const std::vector<AddedToken>& specials, Vocabulary& vocabulary, TokenizerModel& model) {
  for (const AddedToken& special : specials) {
    if (special.id < vocabulary.size()) {
      return Fail(ErrorCode::kCorruptFile, "the special token \"" + special.content + "\" has the id of another token");
    }
    while (vocabulary.size() < special.id) vocabulary.Add({}, TokenType::kUnused, Vocabulary::Lookup::kNever);
    const TokenId id = vocabulary.Add(special.content, special.is_special ? TokenType::kControl : TokenType::kUserDefined,
                                      Vocabulary::Lookup::kNever);
    model.special_options[id] = special.options;
  }
  return {};
}

}  // namespace

Result<TokenizerModel> BuildTiktoken(std::string_view text, const std::vector<AddedToken>& special_tokens) {
  constexpr int64_t kGapMax = 65'536;
  AUTOGLM_TRY(const std::vector<std::string> tokens, ReadRanks(text));
  AUTOGLM_TRY(const std::vector<AddedToken> specials, SpecialTokens(special_tokens, tokens.size()));
  const auto num_tokens = static_cast<int64_t>(tokens.size());
  const int64_t last_special = specials.empty() ? 0 : specials.back().id;
  if (last_special >= num_tokens + kGapMax) {
    return Fail(ErrorCode::kCorruptFile, "the special token \"" + specials.back().content + "\" has an id out of range");
  }
  const int64_t size = std::max(num_tokens, last_special + 1);

  Vocabulary plain(tokens.size(), 0);
  for (const std::string& bytes : tokens) plain.Add(bytes, TokenType::kNormal, Vocabulary::Lookup::kByText);
  const std::vector<Join> joins = FindJoins(plain);
  if (joins.size() > Vocabulary::kMergesMax) return Fail(ErrorCode::kCorruptFile, "the tiktoken file has too many merges");
  auto vocabulary = std::make_unique<Vocabulary>(static_cast<size_t>(size), joins.size());
  for (const std::string& bytes : tokens) vocabulary->Add(bytes, TokenType::kNormal, Vocabulary::Lookup::kByText);
  for (const Join& join : joins) vocabulary->AddMerge(join.left, join.right, join.joined, join.joined);

  TokenizerModel model;
  AUTOGLM_TRY_VOID(AddSpecials(specials, *vocabulary, model));
  model.vocabulary = std::move(vocabulary);
  model.ends_at_glm_roles = std::any_of(specials.begin(), specials.end(), [](const auto& s) { return s.content == "[gMASK]"; });
  AUTOGLM_TRY(const GgufPreTokenizer* const kind, GgufPreTokenizer::Find("glm4"));
  const BytePairEncoder::Options options{.whole_pieces = BytePairEncoder::WholePieces::kAsTokens};
  model.text_encoder = std::make_unique<const TextEncoder>(Normalizer(), kind->Build(),
                                                           std::make_unique<const BytePairEncoder>(*model.vocabulary, options));
  return model;
}

bool LooksLikeTiktoken(std::string_view text) {
  std::string_view line = TakeLine(text);
  const size_t space = line.find(' ');
  return space != std::string_view::npos && FromBase64(line.substr(0, space)).has_value() &&
         std::all_of(line.begin() + static_cast<std::ptrdiff_t>(space) + 1, line.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace autoglm
