#pragma once

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "tokenizer/jinja_value.h"

namespace autoglm::jinja {

// The values of a rendering's context. All text in it counts as written by the user, except what only says who speaks (a
// well-known name under the key "role") and the tokens `bos_token` and `eos_token`, which the caller took from the model.
// Errors: kInvalidArgument for what is no object or nested too deeply, kUnsupported for integers beyond 64 bits.
Result<Value> ContextFromJson(const nlohmann::ordered_json& context);

}  // namespace autoglm::jinja
