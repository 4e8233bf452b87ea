#include "server/served_model.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "engine/loaded_model.h"

namespace autoglm {
namespace {

// Answers with the same seed are equal as long as this is: it names the program and the model. FNV-1a, 64 bits.
std::string Fingerprint(std::string_view version, const LoadedModel& model) {
  const std::string facts = std::string(version) + '\n' + model.name() + '\n' + std::to_string(model.created_unix_seconds());
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : facts) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  std::string fingerprint = "fp_";
  for (int shift = 60; shift >= 0; shift -= 4) fingerprint += "0123456789abcdef"[(hash >> shift) & 15];
  return fingerprint;
}

std::vector<std::string> NamesOrOwn(std::vector<std::string> names, const LoadedModel& model) {
  if (names.empty()) names.push_back(model.name());
  return names;
}

}  // namespace

ServedModel::ServedModel(std::shared_ptr<Engine> engine, std::vector<std::string> names, std::string_view version)
    : engine_(std::move(engine)),
      names_(NamesOrOwn(std::move(names), engine_->model())),
      prompt_encoder_(engine_->model().tokenizer(), engine_->model().chat_template(), engine_->context_length()),
      system_fingerprint_(Fingerprint(version, engine_->model())) {}

const Tokenizer& ServedModel::tokenizer() const { return engine_->model().tokenizer(); }

Status ServedModel::CheckName(const std::string& name) const {
  const bool is_known = name.empty() || name == "default" || std::find(names_.begin(), names_.end(), name) != names_.end();
  if (is_known) return {};
  return Fail(ErrorCode::kNotFound,
              "The model '" + name + "' does not exist. This server has '" + names_.front() + "'; see /v1/models.", "model");
}

std::vector<ModelCard> ServedModel::Cards() const {
  std::vector<ModelCard> cards;
  cards.reserve(names_.size());
  for (const std::string& name : names_) {
    cards.push_back({.id = name,
                     .created_unix_seconds = engine_->model().created_unix_seconds(),
                     .context_length = engine_->context_length()});
  }
  return cards;
}

}  // namespace autoglm
