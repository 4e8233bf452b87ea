#pragma once

#include <string_view>

#include "tokenizer/jinja_value.h"

namespace autoglm::jinja {

// The methods of Python's types that templates may call: nullptr where the type of `object` has none of that name.
NativeFunction FindMethod(const Value& object, std::string_view name);
// A method that Python has and this engine lacks.
bool IsUnsupportedMethod(const Value& object, std::string_view name);
// A method that would change a list or a dict, which Jinja2's sandbox hides from templates.
bool IsForbiddenMethod(const Value& object, std::string_view name);

NativeFunction FindStringMethod(std::string_view name);

}  // namespace autoglm::jinja
