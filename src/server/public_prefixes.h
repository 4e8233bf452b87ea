#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "json/json.h"
#include "prompts/prompt_encoder.h"

namespace autoglm {

// The beginning of conversations or texts that every tenant may find in the cache, as an operator declares it.
struct PublicPrefix {
  std::string model;   // its name or an alias; empty: of every model
  Json messages;       // a list, as clients send it; null for a prompt
  std::string prompt;  // where messages are null
  std::string origin;  // where it was declared, for messages: "autoglm.yaml:7"

  bool operator==(const PublicPrefix&) const = default;
};

// Errors: kInvalidArgument naming the message or field at fault.
Status CheckPublicPrefix(const PublicPrefix& prefix);

// What of prompts is public in one model. Immutable, so any thread may use it.
class PublicPrefixes {
 public:
  PublicPrefixes() = default;
  // Errors: as PromptEncoder's.
  Status Add(const PublicPrefix& prefix, const PromptEncoder& encoder);

  // How many tokens a prompt has in common with the beginning of one of them.
  int64_t NumPublicTokens(std::span<const TokenId> prompt) const;

 private:
  std::vector<std::vector<TokenId>> prefixes_;
};

}  // namespace autoglm
