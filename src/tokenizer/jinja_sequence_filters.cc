#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>

#include "tokenizer/jinja_access.h"
#include "tokenizer/jinja_arguments.h"
#include "tokenizer/jinja_filters.h"
#include "tokenizer/jinja_operators.h"
#include "tokenizer/jinja_print.h"
#include "tokenizer/jinja_string_ops.h"
#include "tokenizer/jinja_unicode.h"

namespace autoglm::jinja {
namespace {

Result<Value> Count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("length", arguments, {}));
  AUTOGLM_TRY(const int64_t length, Length(runtime, self));
  return Value::Int(length);
}

Result<Value> ToList(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("list", arguments, {}));
  AUTOGLM_TRY(std::vector<Value> items, Iterate(runtime, self));
  return MakeSequence(runtime, SequenceKind::kList, std::move(items));
}

Result<Value> First(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("first", arguments, {}));
  const Sequence* const sequence = self.AsSequence();
  if (sequence != nullptr && sequence->num_consumed < sequence->items.size()) {
    return sequence->items[sequence->kind == SequenceKind::kGenerator ? sequence->num_consumed++ : 0];
  }
  if (const Text* text = self.AsText(); text != nullptr && !text->empty()) return GetItem(runtime, self, Value::Int(0));
  AUTOGLM_TRY(const std::vector<Value> items, Iterate(runtime, self));
  return items.empty() ? Value::Undefined("No first item, sequence was empty.") : items.front();
}

Result<Value> Last(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("last", arguments, {}));
  const Sequence* const sequence = self.AsSequence();
  if (sequence != nullptr && sequence->kind == SequenceKind::kGenerator) return RenderError("a generator has no last item");
  if (sequence != nullptr && !sequence->items.empty()) return sequence->items.back();
  if (const Text* text = self.AsText(); text != nullptr && !text->empty()) return GetItem(runtime, self, Value::Int(-1));
  AUTOGLM_TRY(const std::vector<Value> items, Iterate(runtime, self));
  return items.empty() ? Value::Undefined("No last item, sequence was empty.") : items.back();
}

Result<Value> Reverse(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("reverse", arguments, {}));
  if (self.AsText() != nullptr) return GetSlice(runtime, self, {.step = Value::Int(-1)});
  AUTOGLM_TRY(std::vector<Value> items, Iterate(runtime, self));
  std::reverse(items.begin(), items.end());
  return MakeSequence(runtime, SequenceKind::kGenerator, std::move(items));
}

Result<Value> JoinFilter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("join", arguments, {"d", "attribute"}));
  AUTOGLM_TRY(std::vector<Value> items, Iterate(runtime, self));
  const Value* const attribute = parameters.Get(1);
  if (attribute != nullptr && !attribute->IsNone()) {
    for (Value& item : items) {
      AUTOGLM_TRY(item, GetPath(runtime, item, *attribute));
    }
  }
  AUTOGLM_TRY(const Text separator, PrintText(runtime, parameters.Get(0) == nullptr ? Value() : *parameters.Get(0)));
  return Join(runtime, items, separator);
}

Result<Value> Items(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("items", arguments, {}));
  std::vector<Value> pairs;
  if (!self.IsUndefined()) {
    const Dict* const dict = self.AsDict();
    if (dict == nullptr) return RenderError("Can only get item pairs from a mapping.");
    for (const auto& [key, value] : dict->entries) {
      AUTOGLM_TRY(Value pair, MakeSequence(runtime, SequenceKind::kTuple, {key, value}));
      pairs.push_back(std::move(pair));
    }
  }
  return MakeSequence(runtime, SequenceKind::kGenerator, std::move(pairs));
}

Result<Value> Default(Runtime& /*runtime*/, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("default", arguments, {"default_value", "boolean"}));
  if (!self.IsUndefined() && !(parameters.Bool(1, false) && !self.IsTrue())) return self;
  return parameters.Get(0) == nullptr ? Value::String("") : *parameters.Get(0);
}

enum class Letters : uint8_t { kDistinct, kSame };  // whether upper and lower case differ

// What is compared in place of a value.
Result<Value> SortKey(Runtime& runtime, const Value& value, Letters letters) {
  if (letters == Letters::kDistinct || value.AsText() == nullptr) return value;
  return ChangeCase(runtime, *value.AsText(), Case::kLower);
}

// Of each item, its attribute as a key; several attributes with commas between them give a list.
Result<std::vector<Value>> SortKeys(Runtime& runtime, const std::vector<Value>& items, const Value* attribute, Letters letters) {
  std::vector<Value> paths;
  if (attribute != nullptr && attribute->AsText() != nullptr) {
    const Text comma(",");
    AUTOGLM_TRY(const Value parts, Split(runtime, *attribute->AsText(), &comma, -1, Side::kLeft));
    paths = parts.AsSequence()->items;
  } else if (attribute != nullptr && !attribute->IsNone()) {
    paths.push_back(*attribute);
  }
  std::vector<Value> keys;
  for (const Value& item : items) {
    std::vector<Value> parts;
    for (const Value& path : paths) {
      AUTOGLM_TRY(const Value part, GetPath(runtime, item, path));
      AUTOGLM_TRY(Value key, SortKey(runtime, part, letters));
      parts.push_back(std::move(key));
    }
    if (paths.empty()) {
      AUTOGLM_TRY(Value key, SortKey(runtime, item, letters));
      keys.push_back(std::move(key));
    } else if (paths.size() == 1) {
      keys.push_back(std::move(parts.front()));
    } else {
      AUTOGLM_TRY(Value key, MakeSequence(runtime, SequenceKind::kList, std::move(parts)));
      keys.push_back(std::move(key));
    }
  }
  return keys;
}

enum class Direction : uint8_t { kAscending, kDescending };

// Python sorts descending without turning round what is equal.
Result<std::vector<size_t>> OrderOf(Runtime& runtime, std::vector<Value> keys, Direction direction) {
  if (direction == Direction::kAscending) return SortedOrder(runtime, keys);
  std::reverse(keys.begin(), keys.end());
  AUTOGLM_TRY(std::vector<size_t> order, SortedOrder(runtime, keys));
  std::reverse(order.begin(), order.end());
  for (size_t& index : order) index = keys.size() - 1 - index;
  return order;
}

Letters LettersOf(const Parameters& parameters, size_t index) {
  return parameters.Bool(index, false) ? Letters::kDistinct : Letters::kSame;
}

Result<Value> InOrder(Runtime& runtime, const std::vector<Value>& items, const std::vector<size_t>& order) {
  std::vector<Value> sorted;
  sorted.reserve(order.size());
  for (const size_t index : order) sorted.push_back(items[index]);
  return MakeSequence(runtime, SequenceKind::kList, std::move(sorted));
}

Result<Value> Sort(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("sort", arguments, {"reverse", "case_sensitive", "attribute"}));
  AUTOGLM_TRY(const std::vector<Value> items, Iterate(runtime, self));
  AUTOGLM_TRY(std::vector<Value> keys, SortKeys(runtime, items, parameters.Get(2), LettersOf(parameters, 1)));
  const Direction direction = parameters.Bool(0, false) ? Direction::kDescending : Direction::kAscending;
  AUTOGLM_TRY(const std::vector<size_t> order, OrderOf(runtime, std::move(keys), direction));
  return InOrder(runtime, items, order);
}

Result<Value> SortDict(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("dictsort", arguments, {"case_sensitive", "by", "reverse"}));
  AUTOGLM_TRY(const Text* const by, parameters.OptionalText(1));
  const std::string name = by == nullptr ? "key" : by->bytes();
  if (name != "key" && name != "value") return RenderError("You can only sort by either \"key\" or \"value\"");
  if (self.AsDict() == nullptr) return RenderError(fmt::format("dictsort works on dicts, not on {}", self.TypeName()));
  AUTOGLM_TRY(const Value pairs, Items(runtime, self, {}));
  const std::vector<Value>& items = pairs.AsSequence()->items;
  const Value path = Value::Int(name == "key" ? 0 : 1);
  AUTOGLM_TRY(std::vector<Value> keys, SortKeys(runtime, items, &path, LettersOf(parameters, 0)));
  const Direction direction = parameters.Bool(2, false) ? Direction::kDescending : Direction::kAscending;
  AUTOGLM_TRY(const std::vector<size_t> order, OrderOf(runtime, std::move(keys), direction));
  return InOrder(runtime, items, order);
}

// Keeps the first of those that are equal.
Result<Value> Unique(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("unique", arguments, {"case_sensitive", "attribute"}));
  AUTOGLM_TRY(const std::vector<Value> items, Iterate(runtime, self));
  std::vector<Value> unique;
  std::vector<Value> seen;
  for (const Value& item : items) {
    AUTOGLM_TRY(const std::vector<Value> keys, SortKeys(runtime, {item}, parameters.Get(1), LettersOf(parameters, 0)));
    AUTOGLM_TRY_VOID(CheckHashable(keys.front()));
    bool is_new = true;
    for (const Value& other : seen) {
      AUTOGLM_TRY(const bool equal, Equals(runtime, other, keys.front()));
      is_new = is_new && !equal;
      if (equal) break;
    }
    if (!is_new) continue;
    seen.push_back(keys.front());
    unique.push_back(item);
  }
  return MakeSequence(runtime, SequenceKind::kGenerator, std::move(unique));
}

template <Direction direction>
Result<Value> Extreme(Runtime& runtime, const Value& self, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("min or max", arguments, {"case_sensitive", "attribute"}));
  AUTOGLM_TRY(const std::vector<Value> items, Iterate(runtime, self));
  if (items.empty()) return Value::Undefined("No aggregated item, sequence was empty.");
  AUTOGLM_TRY(const std::vector<Value> keys, SortKeys(runtime, items, parameters.Get(1), LettersOf(parameters, 0)));
  size_t best = 0;
  for (size_t i = 1; i < keys.size(); ++i) {
    AUTOGLM_TRY(const int order, Order(runtime, keys[i], keys[best]));
    if (direction == Direction::kAscending ? order < 0 : order > 0) best = i;
  }
  return items[best];
}

constexpr std::array kFilters = {
    NamedFunction{"length", Count},
    NamedFunction{"count", Count},
    NamedFunction{"list", ToList},
    NamedFunction{"first", First},
    NamedFunction{"last", Last},
    NamedFunction{"reverse", Reverse},
    NamedFunction{"join", JoinFilter},
    NamedFunction{"items", Items},
    NamedFunction{"default", Default},
    NamedFunction{"d", Default},
    NamedFunction{"sort", Sort},
    NamedFunction{"dictsort", SortDict},
    NamedFunction{"unique", Unique},
    NamedFunction{"min", Extreme<Direction::kAscending>},
    NamedFunction{"max", Extreme<Direction::kDescending>},
};

}  // namespace

NativeFunction FindSequenceFilter(std::string_view name) { return FindNamed(kFilters, name); }

}  // namespace autoglm::jinja
