#include "tokenizer/jinja_methods.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "tokenizer/jinja_arguments.h"
#include "tokenizer/jinja_operators.h"

namespace autoglm::jinja {
namespace {

enum class DictPart : uint8_t { kKeys, kValues, kItems };

template <DictPart part>
Result<Value> ViewDict(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("the method", arguments, {}));
  std::vector<Value> items;
  for (const auto& [key, value] : self.AsDict()->entries) {
    if constexpr (part == DictPart::kItems) {
      AUTOGLM_TRY(Value pair, MakeSequence(runtime, SequenceKind::kTuple, {key, value}));
      items.push_back(std::move(pair));
    } else {
      items.push_back(part == DictPart::kKeys ? key : value);
    }
  }
  constexpr SequenceKind kKind = part == DictPart::kKeys     ? SequenceKind::kKeys
                                 : part == DictPart::kValues ? SequenceKind::kValues
                                                             : SequenceKind::kItems;
  return MakeSequence(runtime, kKind, std::move(items));
}

Result<Value> GetFromDict(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("get", arguments, {"key", "default"}, 1));
  AUTOGLM_TRY_VOID(CheckHashable(parameters.Required(0)));
  AUTOGLM_TRY(const Value* const found, FindItem(runtime, *self.AsDict(), parameters.Required(0)));
  if (found != nullptr) return *found;
  return parameters.Get(1) == nullptr ? Value::None() : *parameters.Get(1);
}

// Nothing changes a list or a dict here, so a copy is the value itself.
Result<Value> Copy(Runtime& /*runtime*/, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("copy", arguments, {}));
  return self;
}

Result<Value> CountInSequence(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("count", arguments, {"value"}, 1));
  int64_t count = 0;
  for (const Value& item : self.AsSequence()->items) {
    AUTOGLM_TRY(const bool equal, Equals(runtime, item, parameters.Required(0)));
    count += equal ? 1 : 0;
  }
  return Value::Int(count);
}

Result<Value> IndexInSequence(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("index", arguments, {"value"}, 1));
  const std::vector<Value>& items = self.AsSequence()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    AUTOGLM_TRY(const bool equal, Equals(runtime, items[i], parameters.Required(0)));
    if (equal) return Value::Int(static_cast<int64_t>(i));
  }
  return RenderError("index: the value is not in the list");
}

Result<Value> CycleLoop(Runtime& /*runtime*/, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty()) return RenderError("no items for cycling given");
  return arguments.positional[self.AsLoop()->index0 % arguments.positional.size()];
}

constexpr std::array kDictMethods = {
    NamedFunction{"items", ViewDict<DictPart::kItems>},
    NamedFunction{"keys", ViewDict<DictPart::kKeys>},
    NamedFunction{"values", ViewDict<DictPart::kValues>},
    NamedFunction{"get", GetFromDict},
    NamedFunction{"copy", Copy},
};
constexpr std::array kListMethods = {NamedFunction{"count", CountInSequence}, NamedFunction{"index", IndexInSequence},
                                     NamedFunction{"copy", Copy}};
constexpr std::array kTupleMethods = {NamedFunction{"count", CountInSequence}, NamedFunction{"index", IndexInSequence}};
constexpr std::array kLoopMethods = {NamedFunction{"cycle", CycleLoop}};

constexpr std::array<std::string_view, 5> kForbiddenOfDict = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::array<std::string_view, 8> kForbiddenOfList = {"append", "clear",  "extend",  "insert",
                                                              "pop",    "remove", "reverse", "sort"};
constexpr std::array<std::string_view, 17> kUnsupportedOfString = {
    "casefold",  "center",  "encode",      "expandtabs", "format", "format_map", "isascii",   "isdecimal", "isidentifier",
    "isnumeric", "istitle", "isprintable", "ljust",      "rjust",  "swapcase",   "translate", "zfill"};

template <size_t count>
bool Includes(const std::array<std::string_view, count>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

NativeFunction FindMethod(const Value& object, std::string_view name) {
  if (object.AsText() != nullptr) return FindStringMethod(name);
  if (object.AsDict() != nullptr) return FindNamed(kDictMethods, name);
  if (object.AsLoop() != nullptr) return FindNamed(kLoopMethods, name);
  const Sequence* const sequence = object.AsSequence();
  if (sequence == nullptr) return nullptr;
  if (sequence->kind == SequenceKind::kList) return FindNamed(kListMethods, name);
  if (sequence->kind == SequenceKind::kTuple || sequence->kind == SequenceKind::kRange) return FindNamed(kTupleMethods, name);
  return nullptr;
}

bool IsUnsupportedMethod(const Value& object, std::string_view name) {
  if (object.AsText() != nullptr) return Includes(kUnsupportedOfString, name);
  return object.AsLoop() != nullptr && name == "changed";
}

bool IsForbiddenMethod(const Value& object, std::string_view name) {
  if (object.AsDict() != nullptr) return Includes(kForbiddenOfDict, name);
  const Sequence* const sequence = object.AsSequence();
  return sequence != nullptr && sequence->kind == SequenceKind::kList && Includes(kForbiddenOfList, name);
}

}  // namespace autoglm::jinja
