#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/model_registry.h"
#include "server/prompt.h"

namespace autoglm {

// A model in use, under the name that its answers carry. Immutable, so any thread may use it.
class ServedModel {
 public:
  // `prompt_encoder` is the engine's model's. `version` goes into the fingerprint.
  ServedModel(ModelRegistry::Lease engine, std::string name, std::shared_ptr<const PromptEncoder> prompt_encoder,
              std::string_view version);

  Engine& engine() const { return *engine_; }
  const ModelRegistry::Lease& lease() const { return engine_; }
  const Tokenizer& tokenizer() const;
  const PromptEncoder& prompt_encoder() const { return *prompt_encoder_; }
  const std::string& name() const { return name_; }
  const std::string& system_fingerprint() const { return system_fingerprint_; }

 private:
  ModelRegistry::Lease engine_;
  std::string name_;
  std::shared_ptr<const PromptEncoder> prompt_encoder_;
  std::string system_fingerprint_;
};

}  // namespace autoglm
