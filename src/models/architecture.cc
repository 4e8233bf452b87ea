#include "models/architecture.h"

#include <algorithm>
#include <array>
#include <string>

#include "models/architectures/families.h"

namespace autoglm {
namespace {

std::string KnownNames(bool (*is_listed)(const Architecture&), std::string (*names_of)(const Architecture&)) {
  std::string names;
  for (const Architecture* architecture : Architectures()) {
    if (is_listed(*architecture)) names += (names.empty() ? "" : ", ") + names_of(*architecture);
  }
  return names;
}

std::string JoinedModelTypes(const Architecture& architecture) {
  std::string names;
  for (const std::string_view type : architecture.model_types) {
    if (!names.empty()) names += ", ";
    names += type;
  }
  return names;
}

}  // namespace

std::span<const Architecture* const> Architectures() {
  static const std::array all = {&Llama(), &Qwen2(), &Qwen3(), &Gemma2(), &Gemma3(), &ChatGlm(), &Glm(), &Glm4(), &Glm4Moe()};
  return all;
}

Result<const Architecture*> FindGgufArchitecture(std::string_view name) {
  for (const Architecture* architecture : Architectures()) {
    if (!architecture->gguf_name.empty() && architecture->gguf_name == name) return architecture;
  }
  return Fail(ErrorCode::kUnsupported, "architecture \"" + std::string(name) + "\" is not supported; known: " +
                                           KnownNames([](const Architecture& a) { return !a.gguf_name.empty(); },
                                                      [](const Architecture& a) { return std::string(a.gguf_name); }));
}

Result<const Architecture*> FindModelType(std::string_view model_type) {
  for (const Architecture* architecture : Architectures()) {
    if (std::ranges::count(architecture->model_types, model_type) > 0) return architecture;
  }
  return Fail(ErrorCode::kUnsupported,
              "model_type \"" + std::string(model_type) + "\" is not supported; known: " +
                  KnownNames([](const Architecture& a) { return !a.model_types.empty(); }, JoinedModelTypes));
}

TensorNames NamesInFolder(const Architecture& architecture, const TensorSource& folder) {
  const TensorNames& plain = architecture.folder_tensors;
  if (folder.HasTensor(plain.embedding)) return plain;
  const auto prefixed = [&](std::string_view prefix) {
    TensorNames names = plain;
    for (std::string* name : {&names.embedding, &names.final_norm, &names.layer}) {
      if (name->starts_with("model.")) name->replace(0, 6, prefix);
    }
    return names;
  };
  for (const std::string_view prefix : {"model.language_model.", "language_model.model."}) {
    TensorNames names = prefixed(prefix);
    if (!folder.HasTensor(names.embedding)) continue;
    if (!folder.HasTensor(names.lm_head)) names.lm_head = "language_model." + names.lm_head;
    return names;
  }
  return plain;
}

}  // namespace autoglm
