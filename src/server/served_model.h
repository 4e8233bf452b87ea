#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/model_registry.h"
#include "kvcache/cache_scope.h"
#include "prompts/prompt_encoder.h"
#include "server/public_prefixes.h"

namespace autoglm {

// A model in use, under the name that its answers carry. Immutable, so any thread may use it.
class ServedModel {
 public:
  // `prompt_encoder` and `public_prefixes` are the engine's model's. `version` goes into the fingerprint.
  ServedModel(ModelRegistry::Lease engine, std::string name, std::shared_ptr<const PromptEncoder> prompt_encoder,
              std::shared_ptr<const PublicPrefixes> public_prefixes, std::string_view version);

  Engine& engine() const { return *engine_; }
  const ModelRegistry::Lease& lease() const { return engine_; }
  const Tokenizer& tokenizer() const;
  const PromptEncoder& prompt_encoder() const { return *prompt_encoder_; }
  // Who may find the keys and values of a tenant's prompt.
  CacheScope ScopeOf(uint64_t tenant_salt, std::span<const TokenId> prompt) const {
    return {tenant_salt, public_prefixes_->NumPublicTokens(prompt)};
  }
  const std::string& name() const { return name_; }
  const std::string& system_fingerprint() const { return system_fingerprint_; }

 private:
  ModelRegistry::Lease engine_;
  std::string name_;
  std::shared_ptr<const PromptEncoder> prompt_encoder_;
  std::shared_ptr<const PublicPrefixes> public_prefixes_;
  std::string system_fingerprint_;
};

}  // namespace autoglm
