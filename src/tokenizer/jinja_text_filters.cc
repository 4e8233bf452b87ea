#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "tokenizer/jinja_arguments.h"
#include "tokenizer/jinja_filters.h"
#include "tokenizer/jinja_print.h"
#include "tokenizer/jinja_string_ops.h"

namespace autoglm::jinja {
namespace {

Result<Value> ToString(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("string", arguments, {}));
  if (self.AsText() != nullptr) return self;
  AUTOGLM_TRY(Text text, PrintText(runtime, self));
  return MakeString(runtime, std::move(text));
}

Result<Value> Trim(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("trim", arguments, {"chars"}));
  AUTOGLM_TRY(const Text* const chars, parameters.OptionalText(0));
  AUTOGLM_TRY(const Text text, PrintText(runtime, self));
  return Strip(runtime, text, chars, Side::kBoth);
}

template <Case to>
Result<Value> CaseFilter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("the filter", arguments, {}));
  AUTOGLM_TRY(const Text text, PrintText(runtime, self));
  return ChangeCase(runtime, text, to);
}

Result<Value> ReplaceFilter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("replace", arguments, {"old", "new", "count"}, 2));
  AUTOGLM_TRY(const Text text, PrintText(runtime, self));
  AUTOGLM_TRY(const Text old_part, PrintText(runtime, parameters.Required(0)));
  AUTOGLM_TRY(const Text new_part, PrintText(runtime, parameters.Required(1)));
  const bool replaces_all = parameters.Get(2) == nullptr || parameters.Get(2)->IsNone();
  AUTOGLM_TRY(const int64_t count, replaces_all ? Result<int64_t>(-1) : parameters.Int(2, -1));
  return Replace(runtime, text, old_part, new_part, count);
}

// A number of blanks, or the text itself.
Result<Text> ReadIndent(const Parameters& parameters, size_t index, int64_t absent) {
  if (parameters.Get(index) != nullptr && parameters.Get(index)->AsText() != nullptr) return *parameters.Get(index)->AsText();
  AUTOGLM_TRY(const int64_t width, parameters.Int(index, absent));
  if (width > kIndentColumnsMax) return RenderError(fmt::format("an indentation may have at most {} columns", kIndentColumnsMax));
  return Text(std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' '));
}

Result<Value> Indent(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("indent", arguments, {"width", "first", "blank"}));
  AUTOGLM_TRY(const Text indent, ReadIndent(parameters, 0, 4));
  const bool indents_first = parameters.Bool(1, false);
  const bool indents_blank = parameters.Bool(2, false);
  if (self.AsText() == nullptr) return RenderError(fmt::format("indent works on strings, not on {}", self.TypeName()));
  Text text = *self.AsText();
  text.Append("\n", Origin::kTemplate);  // so that an empty last line counts, as in Jinja2
  AUTOGLM_TRY(const std::vector<Text> lines, SplitLines(runtime, text, LineEnds::kDrop));

  Text out;
  for (size_t i = 0; i < lines.size(); ++i) {
    const bool is_first = i == 0;
    if (!is_first) out.Append("\n", Origin::kTemplate);
    if (is_first ? indents_first : indents_blank || !lines[i].empty()) out.Append(indent);
    out.Append(lines[i]);
    AUTOGLM_TRY_VOID(CheckStringSize(out.size()));
  }
  return MakeString(runtime, std::move(out));
}

Status ReadSeparators(const Value& separators, JsonOptions& options) {
  if (separators.IsNone()) return {};
  const Sequence* const pair = separators.AsSequence();
  const bool is_pair =
      pair != nullptr && pair->items.size() == 2 && pair->items[0].AsText() != nullptr && pair->items[1].AsText() != nullptr;
  if (!is_pair) return RenderError("tojson: 'separators' must be a pair of strings");
  options.item_separator = pair->items[0].AsText()->bytes();
  options.key_separator = pair->items[1].AsText()->bytes();
  return {};
}

// As Hugging Face defines it: json.dumps without the HTML escapes of Jinja2's own filter.
Result<Value> ToJson(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters,
              Parameters::Bind("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonOptions options{.ensure_ascii = parameters.Bool(0, false), .sort_keys = parameters.Bool(3, false)};
  if (parameters.Get(1) != nullptr && !parameters.Get(1)->IsNone()) {
    AUTOGLM_TRY(const Text indent, ReadIndent(parameters, 1, 0));
    options.has_indent = true;
    options.indent = indent.bytes();
    options.item_separator = ",";
  }
  if (parameters.Get(2) != nullptr) AUTOGLM_TRY_VOID(ReadSeparators(*parameters.Get(2), options));
  AUTOGLM_TRY(Text text, PrintJson(runtime, self, options));
  return MakeString(runtime, std::move(text));
}

constexpr std::array kFilters = {
    NamedFunction{"string", ToString},
    NamedFunction{"safe", ToString},  // marks a string as not to be escaped, and nothing is
    NamedFunction{"trim", Trim},
    NamedFunction{"upper", CaseFilter<Case::kUpper>},
    NamedFunction{"lower", CaseFilter<Case::kLower>},
    NamedFunction{"capitalize", CaseFilter<Case::kCapitalize>},
    NamedFunction{"title", CaseFilter<Case::kTitleFilter>},
    NamedFunction{"replace", ReplaceFilter},
    NamedFunction{"indent", Indent},
    NamedFunction{"tojson", ToJson},
};

}  // namespace

NativeFunction FindTextFilter(std::string_view name) { return FindNamed(kFilters, name); }

}  // namespace autoglm::jinja
