#pragma once

#include <string_view>

#include "tokenizer/jinja_value.h"

namespace autoglm::jinja {

// The filter of this name, whose `self` is what is filtered; nullptr where there is none.
NativeFunction FindFilter(std::string_view name);

// The parts of FindFilter, by what they work on.
NativeFunction FindTextFilter(std::string_view name);
NativeFunction FindNumberFilter(std::string_view name);
NativeFunction FindSequenceFilter(std::string_view name);
NativeFunction FindSelectionFilter(std::string_view name);

}  // namespace autoglm::jinja
