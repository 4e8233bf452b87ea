#pragma once

#include <string_view>

#include "base/result.h"
#include "tokenizer/jinja_ast.h"

namespace autoglm::jinja {

// Errors: kInvalidArgument where Jinja2 would refuse, kUnsupported for what it has and this engine lacks; both name the line.
Result<Body> ParseTemplate(std::string_view source);

}  // namespace autoglm::jinja
