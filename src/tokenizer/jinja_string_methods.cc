#include <fmt/core.h>

#include <array>

#include "tokenizer/jinja_access.h"
#include "tokenizer/jinja_arguments.h"
#include "tokenizer/jinja_methods.h"
#include "tokenizer/jinja_search.h"
#include "tokenizer/jinja_string_ops.h"
#include "tokenizer/jinja_unicode.h"

namespace autoglm::jinja {
namespace {

template <Side side>
Result<Value> StripMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("strip", arguments, {"chars"}));
  AUTOGLM_TRY(const Text* const chars, parameters.OptionalText(0));
  return Strip(runtime, *self.AsText(), chars, side);
}

template <Case to>
Result<Value> CaseMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("the method", arguments, {}));
  return ChangeCase(runtime, *self.AsText(), to);
}

template <Side from>
Result<Value> SplitMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("split", arguments, {"sep", "maxsplit"}));
  AUTOGLM_TRY(const Text* const separator, parameters.OptionalText(0));
  AUTOGLM_TRY(const int64_t count_max, parameters.Int(1, -1));
  return Split(runtime, *self.AsText(), separator, count_max, from);
}

Result<Value> SplitLinesMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("splitlines", arguments, {"keepends"}));
  const LineEnds line_ends = parameters.Bool(0, false) ? LineEnds::kKeep : LineEnds::kDrop;
  AUTOGLM_TRY(std::vector<Text> lines, SplitLines(runtime, *self.AsText(), line_ends));
  std::vector<Value> values;
  values.reserve(lines.size());
  for (Text& line : lines) values.push_back(Value::String(std::move(line)));
  return MakeSequence(runtime, SequenceKind::kList, std::move(values));
}

enum class End : uint8_t { kStart, kFinish };

template <End end>
bool HasPart(std::string_view text, std::string_view part) {
  return end == End::kStart ? text.starts_with(part) : text.ends_with(part);
}

template <End end>
Result<Value> HasPartMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("startswith or endswith", arguments, {"part"}, 1));
  const std::string_view text = self.AsText()->bytes();
  const Sequence* const parts = parameters.Required(0).AsSequence();
  if (parts == nullptr || parts->kind != SequenceKind::kTuple) {
    AUTOGLM_TRY(const Text* const part, parameters.RequiredText(0));
    AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(part->size()));
    return Value::Bool(HasPart<end>(text, part->bytes()));
  }
  for (const Value& part : parts->items) {
    const Text* const part_text = part.AsText();
    if (part_text == nullptr) return RenderError("startswith and endswith take a string or a tuple of strings");
    AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(part_text->size()));
    if (HasPart<end>(text, part_text->bytes())) return Value::Bool(true);
  }
  return Value::Bool(false);
}

template <End end>
Result<Value> RemovePartMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("removeprefix or removesuffix", arguments, {"part"}, 1));
  AUTOGLM_TRY(const Text* const part, parameters.RequiredText(0));
  const Text& text = *self.AsText();
  if (!HasPart<end>(text.bytes(), part->bytes())) return self;
  if (end == End::kStart) return MakeString(runtime, text.Slice(part->size(), text.size()));
  return MakeString(runtime, text.Slice(0, text.size() - part->size()));
}

Result<Value> ReplaceMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("replace", arguments, {"old", "new", "count"}, 2));
  AUTOGLM_TRY(const Text* const old_part, parameters.RequiredText(0));
  AUTOGLM_TRY(const Text* const new_part, parameters.RequiredText(1));
  AUTOGLM_TRY(const int64_t count, parameters.Int(2, -1));
  return Replace(runtime, *self.AsText(), *old_part, *new_part, count);
}

Result<Value> JoinMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("join", arguments, {"items"}, 1));
  AUTOGLM_TRY(const std::vector<Value> items, Iterate(runtime, parameters.Required(0)));
  for (const Value& item : items) {
    if (item.AsText() == nullptr) return RenderError(fmt::format("join: expected strings, found {}", item.TypeName()));
  }
  return Join(runtime, items, *self.AsText());
}

// The index of the code point at which `part` is found, -1 where it is not.
template <Side from>
Result<int64_t> FindPart(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("find or index", arguments, {"sub"}, 1));
  AUTOGLM_TRY(const Text* const part, parameters.RequiredText(0));
  const std::string_view text = self.AsText()->bytes();
  AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(text.size() * 8));
  const size_t found = from == Side::kLeft ? FindBytes(text, part->bytes(), 0) : FindLastBytes(text, part->bytes());
  if (found == std::string_view::npos) return -1;
  return static_cast<int64_t>(CountCodePoints(text.substr(0, found)));
}

template <Side from>
Result<Value> FindMethodOf(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const int64_t index, FindPart<from>(runtime, self, arguments));
  return Value::Int(index);
}

template <Side from>
Result<Value> IndexMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const int64_t index, FindPart<from>(runtime, self, arguments));
  if (index < 0) return RenderError("substring not found");
  return Value::Int(index);
}

Result<Value> CountMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("count", arguments, {"sub"}, 1));
  AUTOGLM_TRY(const Text* const part, parameters.RequiredText(0));
  const std::string_view text = self.AsText()->bytes();
  AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(text.size() * 8));
  if (part->empty()) return Value::Int(static_cast<int64_t>(CountCodePoints(text)) + 1);
  int64_t count = 0;
  for (size_t at = FindBytes(text, part->bytes(), 0); at != std::string_view::npos;
       at = FindBytes(text, part->bytes(), at + part->size())) {
    ++count;
  }
  return Value::Int(count);
}

template <Side from>
Result<Value> PartitionMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("partition", arguments, {"sep"}, 1));
  AUTOGLM_TRY(const Text* const separator, parameters.RequiredText(0));
  if (separator->empty()) return RenderError("empty separator");
  const Text& text = *self.AsText();
  AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(text.size()));
  const size_t found =
      from == Side::kLeft ? FindBytes(text.bytes(), separator->bytes(), 0) : FindLastBytes(text.bytes(), separator->bytes());
  const Value empty = Value::String("");
  if (found == std::string_view::npos) {
    std::vector<Value> parts = {self, empty, empty};
    if (from == Side::kRight) std::swap(parts[0], parts[2]);
    return MakeSequence(runtime, SequenceKind::kTuple, std::move(parts));
  }
  const size_t after = found + separator->size();
  AUTOGLM_TRY(Value before_text, MakeString(runtime, text.Slice(0, found)));
  AUTOGLM_TRY(Value separator_text, MakeString(runtime, text.Slice(found, after)));
  AUTOGLM_TRY(Value after_text, MakeString(runtime, text.Slice(after, text.size())));
  return MakeSequence(runtime, SequenceKind::kTuple, {std::move(before_text), std::move(separator_text), std::move(after_text)});
}

// Whether the string has characters and all of them pass.
template <bool (*Passes)(uint32_t)>
Result<Value> AllMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("the method", arguments, {}));
  const std::string_view text = self.AsText()->bytes();
  AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(text.size() * 8));
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = ReadCodePoint(text, at);
    if (!Passes(point.value)) return Value::Bool(false);
    at += point.num_bytes;
  }
  return Value::Bool(!text.empty());
}

bool IsAlphanumeric(uint32_t value) { return IsAlphabetic(value) || IsDigit(value); }

// Whether the string has cased characters and none of them is `Opposite`.
template <bool (*Wanted)(uint32_t), bool (*Opposite)(uint32_t)>
Result<Value> IsCaseMethod(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("the method", arguments, {}));
  const std::string_view text = self.AsText()->bytes();
  AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(text.size() * 8));
  bool has_wanted = false;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = ReadCodePoint(text, at);
    if (Opposite(point.value)) return Value::Bool(false);
    has_wanted = has_wanted || Wanted(point.value);
    at += point.num_bytes;
  }
  return Value::Bool(has_wanted);
}

constexpr std::array kStringMethods = {
    NamedFunction{"capitalize", CaseMethod<Case::kCapitalize>},
    NamedFunction{"count", CountMethod},
    NamedFunction{"endswith", HasPartMethod<End::kFinish>},
    NamedFunction{"find", FindMethodOf<Side::kLeft>},
    NamedFunction{"index", IndexMethod<Side::kLeft>},
    NamedFunction{"isalnum", AllMethod<IsAlphanumeric>},
    NamedFunction{"isalpha", AllMethod<IsAlphabetic>},
    NamedFunction{"isdigit", AllMethod<IsDigit>},
    NamedFunction{"islower", IsCaseMethod<IsLower, IsUpper>},
    NamedFunction{"isspace", AllMethod<IsSpace>},
    NamedFunction{"isupper", IsCaseMethod<IsUpper, IsLower>},
    NamedFunction{"join", JoinMethod},
    NamedFunction{"lower", CaseMethod<Case::kLower>},
    NamedFunction{"lstrip", StripMethod<Side::kLeft>},
    NamedFunction{"partition", PartitionMethod<Side::kLeft>},
    NamedFunction{"removeprefix", RemovePartMethod<End::kStart>},
    NamedFunction{"removesuffix", RemovePartMethod<End::kFinish>},
    NamedFunction{"replace", ReplaceMethod},
    NamedFunction{"rfind", FindMethodOf<Side::kRight>},
    NamedFunction{"rindex", IndexMethod<Side::kRight>},
    NamedFunction{"rpartition", PartitionMethod<Side::kRight>},
    NamedFunction{"rsplit", SplitMethod<Side::kRight>},
    NamedFunction{"rstrip", StripMethod<Side::kRight>},
    NamedFunction{"split", SplitMethod<Side::kLeft>},
    NamedFunction{"splitlines", SplitLinesMethod},
    NamedFunction{"startswith", HasPartMethod<End::kStart>},
    NamedFunction{"strip", StripMethod<Side::kBoth>},
    NamedFunction{"title", CaseMethod<Case::kTitle>},
    NamedFunction{"upper", CaseMethod<Case::kUpper>},
};

}  // namespace

NativeFunction FindStringMethod(std::string_view name) { return FindNamed(kStringMethods, name); }

}  // namespace autoglm::jinja
