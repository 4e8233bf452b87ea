#pragma once

#include <string>

#include "base/result.h"

namespace autoglm {

// An error as HTTP and OpenAI's clients see it: {"error": {message, type, param, code}}.
struct ErrorBody {
  int status = 500;
  std::string message = {};
  std::string type = {};
  std::string param = {};  // empty: null
  std::string code = {};   // empty: null
};

// The one place that maps what went wrong to status, type and code. kNotFound of the field "model" is model_not_found.
// A message longer than 1 KiB is cut.
ErrorBody ErrorBodyOf(const Error& error);

std::string ErrorJson(const ErrorBody& body);

}  // namespace autoglm
