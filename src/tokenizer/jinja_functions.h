#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tokenizer/jinja_value.h"

namespace autoglm::jinja {

// The functions every template sees: range, dict, namespace, raise_exception, strftime_now. nullptr for other names.
NativeFunction FindFunction(std::string_view name);

// `now` in local time, by Python's strftime. Errors: kUnsupported for a conversion that is not known.
Result<std::string> FormatTime(std::string_view format, std::chrono::system_clock::time_point now);

}  // namespace autoglm::jinja
