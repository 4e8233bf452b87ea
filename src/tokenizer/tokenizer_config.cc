#include "tokenizer/tokenizer_config.h"

#include <algorithm>
#include <charconv>

#include "json/fields.h"

namespace autoglm {
namespace {

// Gemma lists 6,500 added tokens.
constexpr JsonLimits kLimits{.max_bytes = 64 << 20, .max_depth = 64, .max_members = 16'384, .max_values = 1 << 20};

tl::unexpected<Error> Corrupt(std::string message) { return Fail(ErrorCode::kCorruptFile, std::move(message)); }

bool Flag(const Json& object, const char* name) {
  const auto member = object.find(name);
  return member != object.end() && member->is_boolean() && member->get<bool>();
}

// A token is given as its spelling or as an object with its content.
std::optional<std::string> TokenSpelling(const Json& config, const char* name) {
  const auto token = config.find(name);
  if (token == config.end()) return std::nullopt;
  if (token->is_string()) return token->get<std::string>();
  if (!token->is_object()) return std::nullopt;
  const auto content = token->find("content");
  if (content == token->end() || !content->is_string()) return std::nullopt;
  return content->get<std::string>();
}

std::optional<std::string> ChatTemplateSource(const Json& config) {
  const auto source = config.find("chat_template");
  if (source == config.end()) return std::nullopt;
  if (source->is_string()) return source->get<std::string>();
  if (!source->is_array()) return std::nullopt;
  for (const Json& named : *source) {
    if (named.is_object() && TokenSpelling(named, "name") == "default") return TokenSpelling(named, "template");
  }
  return std::nullopt;
}

Result<std::vector<AddedToken>> ReadAddedTokens(const Json& config) {
  std::vector<AddedToken> tokens;
  const auto decoder = config.find("added_tokens_decoder");
  if (decoder == config.end() || decoder->is_null()) return tokens;
  if (!decoder->is_object()) return Corrupt("tokenizer_config.json: added_tokens_decoder is no object");
  for (const auto& [key, object] : decoder->items()) {
    int64_t id = 0;
    const auto [stop, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || stop != key.data() + key.size()) {
      return Corrupt("tokenizer_config.json: added_tokens_decoder has the id \"" + key.substr(0, 40) + "\"");
    }
    AUTOGLM_TRY(AddedToken token, AddedToken::Read(object, id));
    tokens.push_back(std::move(token));
  }
  std::sort(tokens.begin(), tokens.end(), [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  return tokens;
}

std::optional<TokenId> FindSpelling(const Vocabulary& vocabulary, std::string_view spelling) {
  for (TokenId token = vocabulary.size() - 1; token >= 0; --token) {
    if (vocabulary.bytes(token) == spelling) return token;
  }
  return std::nullopt;
}

Result<std::optional<TokenId>> FindConfigured(const Vocabulary& vocabulary, const std::optional<std::string>& spelling) {
  if (!spelling || spelling->empty()) return std::nullopt;
  const auto token = FindSpelling(vocabulary, *spelling);
  if (token) return token;
  return Corrupt("tokenizer_config.json names the token \"" + *spelling + "\", which the vocabulary lacks");
}

}  // namespace

Result<AddedToken> AddedToken::Read(const Json& object, std::optional<int64_t> id) {
  if (!object.is_object()) return Corrupt("an added token is no object");
  if (!id) {
    const auto own_id = object.find("id");
    if (own_id != object.end()) id = JsonInteger(*own_id);
  }
  const auto content = TokenSpelling(object, "content");
  if (!id || *id < 0 || !content || content->empty()) return Corrupt("an added token has no id or no content");
  return AddedToken{.id = *id,
                    .content = *content,
                    .options = {.takes_space_before = Flag(object, "lstrip"),
                                .takes_space_after = Flag(object, "rstrip"),
                                .is_single_word = Flag(object, "single_word")},
                    .is_special = Flag(object, "special"),
                    .is_normalized = Flag(object, "normalized")};
}

Result<TokenizerConfig> TokenizerConfig::Parse(std::string_view text) {
  const Result<Json> json = ParseJson(text, kLimits);
  if (!json) {
    const bool is_too_large = json.error().code == ErrorCode::kPayloadTooLarge;
    return Fail(is_too_large ? ErrorCode::kPayloadTooLarge : ErrorCode::kCorruptFile,
                "tokenizer_config.json: " + json.error().message);
  }
  if (!json->is_object()) return Corrupt("tokenizer_config.json is no JSON object");
  TokenizerConfig config;
  config.bos_token = TokenSpelling(*json, "bos_token");
  config.eos_token = TokenSpelling(*json, "eos_token");
  config.pad_token = TokenSpelling(*json, "pad_token");
  if (const auto add_bos = json->find("add_bos_token"); add_bos != json->end() && add_bos->is_boolean()) {
    config.add_bos_token = add_bos->get<bool>();
  }
  AUTOGLM_TRY(config.added_tokens, ReadAddedTokens(*json));
  config.chat_template = ChatTemplateSource(*json);
  return config;
}

Status ApplyConfig(const TokenizerConfig& config, const std::vector<int64_t>& extra_eos_ids, TokenizerModel& model) {
  AUTOGLM_TRY(const std::optional<TokenId> bos, FindConfigured(*model.vocabulary, config.bos_token));
  if (bos) model.bos = bos;
  model.add_bos = model.bos && !model.ends_at_glm_roles && config.add_bos_token.value_or(model.add_bos);
  AUTOGLM_TRY(const std::optional<TokenId> eos, FindConfigured(*model.vocabulary, config.eos_token));
  if (eos) model.eos.insert(model.eos.begin(), *eos);
  for (const int64_t id : extra_eos_ids) {
    AUTOGLM_TRY(const TokenId token, CheckedToken(*model.vocabulary, id, "end"));
    model.eos.push_back(token);
  }
  return {};
}

}  // namespace autoglm
