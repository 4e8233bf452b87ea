#include "tokenizer/jinja_arguments.h"

#include <fmt/core.h>

#include <algorithm>

namespace autoglm::jinja {

Result<Parameters> Parameters::Bind(std::string_view function, const Arguments& arguments,
                                    std::initializer_list<std::string_view> names, size_t num_required) {
  if (arguments.positional.size() > names.size()) {
    return RenderError(
        fmt::format("{} takes at most {} arguments but got {}", function, names.size(), arguments.positional.size()));
  }
  Parameters parameters;
  parameters.function_ = function;
  parameters.names_ = names;
  parameters.values_.resize(names.size(), nullptr);
  for (size_t i = 0; i < arguments.positional.size(); ++i) parameters.values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) return RenderError(fmt::format("{} has no argument '{}'", function, name));
    const Value*& slot = parameters.values_[static_cast<size_t>(found - names.begin())];
    if (slot != nullptr) return RenderError(fmt::format("{} got '{}' twice", function, name));
    slot = &value;
  }
  for (size_t i = 0; i < num_required; ++i) {
    if (parameters.values_[i] == nullptr) {
      return RenderError(fmt::format("{} lacks its argument '{}'", function, parameters.names_[i]));
    }
  }
  return parameters;
}

Result<int64_t> Parameters::Int(size_t index, int64_t absent) const {
  if (values_[index] == nullptr) return absent;
  if (const auto integer = values_[index]->AsInt()) return *integer;
  return RenderError(fmt::format("{}: '{}' must be an integer, not {}", function_, names_[index], values_[index]->TypeName()));
}

Result<const Text*> Parameters::OptionalText(size_t index) const {
  if (values_[index] == nullptr || values_[index]->IsNone()) return nullptr;
  return RequiredText(index);
}

Result<const Text*> Parameters::RequiredText(size_t index) const {
  if (const Text* text = values_[index]->AsText()) return text;
  return RenderError(fmt::format("{}: '{}' must be a string, not {}", function_, names_[index], values_[index]->TypeName()));
}

}  // namespace autoglm::jinja
