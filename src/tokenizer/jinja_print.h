#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tokenizer/jinja_value.h"

namespace autoglm::jinja {

// Python's str(): what `{{ value }}` prints. A string keeps the origin of its bytes; what prints a container with text from
// the context in it counts as context throughout.
Result<Text> PrintText(Runtime& runtime, const Value& value);
// Python's repr() of a string: quoted and escaped.
void AppendRepr(std::string& out, std::string_view text);
// Python's repr() of a float: the shortest digits that read back as the same number.
std::string FloatText(double value);

struct JsonOptions {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool has_indent = false;
  std::string indent = {};  // of one level
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
// Python's json.dumps().
Result<Text> PrintJson(Runtime& runtime, const Value& value, const JsonOptions& options);

}  // namespace autoglm::jinja
