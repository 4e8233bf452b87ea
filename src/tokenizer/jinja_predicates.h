#pragma once

#include <string_view>

#include "base/result.h"
#include "tokenizer/jinja_value.h"

namespace autoglm::jinja {

// What Jinja calls a test: `value is defined`.
using Predicate = Result<bool> (*)(Runtime& runtime, const Value& value, const Arguments& arguments);

// nullptr where there is none of this name.
Predicate FindPredicate(std::string_view name);

}  // namespace autoglm::jinja
