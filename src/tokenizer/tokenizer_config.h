#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/json.h"
#include "tokenizer/special_matcher.h"
#include "tokenizer/tokenizer_model.h"

namespace autoglm {

// A token beside the vocabulary proper, as tokenizer.json and tokenizer_config.json list them.
struct AddedToken {
  int64_t id = 0;
  std::string content;
  SpecialMatcher::Options options;
  bool is_special = false;
  bool is_normalized = false;  // looked for after normalisation

  // Errors: kCorruptFile. Without `id`, the object itself must have one.
  static Result<AddedToken> Read(const Json& object, std::optional<int64_t> id = std::nullopt);
};

// What a tokenizer_config.json says, of which everything may be absent.
struct TokenizerConfig {
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<std::string> pad_token;
  std::optional<bool> add_bos_token;
  std::vector<AddedToken> added_tokens;      // added_tokens_decoder, by id
  std::optional<std::string> chat_template;  // of several, the one named "default"

  // Errors: kCorruptFile, kPayloadTooLarge.
  static Result<TokenizerConfig> Parse(std::string_view text);
};

// Sets the ends of a model that its own file does not know: BOS, whether it is added, and EOS by their spellings, and
// `extra_eos_ids` (from generation_config.json). Errors: kCorruptFile for a token that the vocabulary lacks.
Status ApplyConfig(const TokenizerConfig& config, const std::vector<int64_t>& extra_eos_ids, TokenizerModel& model);

}  // namespace autoglm
