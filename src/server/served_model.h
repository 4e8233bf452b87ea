#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "openai/response.h"
#include "server/prompt.h"

namespace autoglm {

// An engine under the names that clients know it by. Immutable, so any thread may use it.
class ServedModel {
 public:
  // `names`: ids in /v1/models; empty for the model's own. `version` goes into the fingerprint.
  ServedModel(std::shared_ptr<Engine> engine, std::vector<std::string> names, std::string_view version);

  Engine& engine() const { return *engine_; }
  const std::shared_ptr<Engine>& shared_engine() const { return engine_; }
  const Tokenizer& tokenizer() const;
  const PromptEncoder& prompt_encoder() const { return prompt_encoder_; }
  const std::string& name() const { return names_.front(); }  // what answers call it
  const std::string& system_fingerprint() const { return system_fingerprint_; }

  // "default" and the empty name mean this model, too. Error: kNotFound.
  Status CheckName(const std::string& name) const;
  std::vector<ModelCard> Cards() const;

 private:
  std::shared_ptr<Engine> engine_;
  std::vector<std::string> names_;
  PromptEncoder prompt_encoder_;
  std::string system_fingerprint_;
};

}  // namespace autoglm
