#include "server/served_model.h"

#include <cstdint>
#include <utility>

#include "engine/loaded_model.h"

namespace autoglm {
namespace {

// Answers with the same seed are equal as long as this is, but with Arithmetic::kMixed, where they depend on what is computed
// beside them: it names the program, the model and how it is computed. FNV-1a, 64 bits.
std::string Fingerprint(std::string_view version, const std::string& name, const LoadedModel& model) {
  const ModelLoadOptions& options = model.options();
  std::string facts = std::string(version) + '\n' + name;
  for (const int64_t fact :
       {model.created_unix_seconds(), static_cast<int64_t>(options.isa), static_cast<int64_t>(options.arithmetic),
        static_cast<int64_t>(options.precision), static_cast<int64_t>(model.lm().kv_layout().type)}) {
    facts += '\n' + std::to_string(fact);
  }
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : facts) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  std::string fingerprint = "fp_";
  for (int shift = 60; shift >= 0; shift -= 4) fingerprint += "0123456789abcdef"[(hash >> shift) & 15];
  return fingerprint;
}

}  // namespace

ServedModel::ServedModel(ModelRegistry::Lease engine, std::string name, std::shared_ptr<const PromptEncoder> prompt_encoder,
                         std::shared_ptr<const PublicPrefixes> public_prefixes, std::string_view version)
    : engine_(std::move(engine)),
      name_(std::move(name)),
      prompt_encoder_(std::move(prompt_encoder)),
      public_prefixes_(std::move(public_prefixes)),
      system_fingerprint_(Fingerprint(version, name_, engine_->model())) {}

const Tokenizer& ServedModel::tokenizer() const { return engine_->model().tokenizer(); }

}  // namespace autoglm
