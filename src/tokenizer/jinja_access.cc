#include "tokenizer/jinja_access.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "tokenizer/jinja_methods.h"
#include "tokenizer/jinja_operators.h"
#include "tokenizer/jinja_unicode.h"

namespace autoglm::jinja {
namespace {

constexpr size_t kHintNameBytesMax = 64;
constexpr size_t kHintBytes = 160;  // roughly what an undefined value with its hint takes

Result<Value> Missing(Runtime& runtime, const Value& object, std::string_view name) {
  AUTOGLM_TRY_VOID(runtime.budget.Allocate(kHintBytes));
  return MissingAttribute(object, name);
}

Value LoopNeighbour(const LoopState& loop, bool exists, size_t index, std::string_view hint) {
  return exists ? loop.items[index] : Value::Undefined(std::string(hint));
}

// nullopt where a loop has no such attribute.
std::optional<Value> LoopAttribute(const LoopState& loop, std::string_view name) {
  const size_t count = loop.items.size();
  const auto integer = [](size_t value) { return Value::Int(static_cast<int64_t>(value)); };
  if (name == "index") return integer(loop.index0 + 1);
  if (name == "index0") return integer(loop.index0);
  if (name == "revindex") return integer(count - loop.index0);
  if (name == "revindex0") return integer(count - loop.index0 - 1);
  if (name == "first") return Value::Bool(loop.index0 == 0);
  if (name == "last") return Value::Bool(loop.index0 + 1 == count);
  if (name == "length") return integer(count);
  if (name == "depth") return Value::Int(1);  // it counts the calls of recursive loops
  if (name == "depth0") return Value::Int(0);
  if (name == "previtem") return LoopNeighbour(loop, loop.index0 > 0, loop.index0 - 1, "there is no previous item");
  if (name == "nextitem") return LoopNeighbour(loop, loop.index0 + 1 < count, loop.index0 + 1, "there is no next item");
  return std::nullopt;
}

// Python's attributes proper: methods, the fields of a loop or a namespace. nullopt where there is none.
Result<std::optional<Value>> OwnAttribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (const Namespace* space = object.AsNamespace()) {
    AUTOGLM_TRY_VOID(runtime.budget.SpendSearch(space->entries.size()));
    const Value* const value = space->Find(name);
    return value == nullptr ? std::nullopt : std::optional<Value>(*value);
  }
  if (const LoopState* loop = object.AsLoop()) {
    if (auto value = LoopAttribute(*loop, name)) return value;
  }
  if (const NativeFunction method = FindMethod(object, name)) {
    AUTOGLM_TRY(Value value, MakeMethod(std::string(name), method, object));
    return value;
  }
  if (IsForbiddenMethod(object, name)) {
    return Value::Undefined(fmt::format("access to '{}' of '{}' is unsafe", name, object.TypeName()));
  }
  if (IsUnsupportedMethod(object, name)) {
    return Fail(ErrorCode::kUnsupported, fmt::format("the method {}.{} is not supported", object.TypeName(), name));
  }
  return std::nullopt;
}

Result<Value> CodePointAt(Runtime& runtime, const Text& text, int64_t index) {
  AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(text.size() * 8));
  const int64_t count = static_cast<int64_t>(CountCodePoints(text.bytes()));
  if (index < 0) index += count;
  if (index < 0 || index >= count) return Value();
  const size_t begin = ByteOffset(text.bytes(), static_cast<size_t>(index));
  return MakeString(runtime, text.Slice(begin, begin + ReadCodePoint(text.bytes(), begin).num_bytes));
}

bool IsIndexable(SequenceKind kind) {
  return kind == SequenceKind::kList || kind == SequenceKind::kTuple || kind == SequenceKind::kRange;
}

// The item proper, undefined (without hint) where there is none.
Result<Value> FindSubscript(Runtime& runtime, const Value& object, const Value& index) {
  if (const Dict* dict = object.AsDict()) {
    if (!CheckHashable(index)) return Value();
    AUTOGLM_TRY(const Value* const found, FindItem(runtime, *dict, index));
    return found == nullptr ? Value() : *found;
  }
  const auto position = index.AsInt();
  if (!position) return Value();
  if (const Text* text = object.AsText()) return CodePointAt(runtime, *text, *position);
  const Sequence* const sequence = object.AsSequence();
  if (sequence == nullptr || !IsIndexable(sequence->kind)) return Value();
  const auto count = static_cast<int64_t>(sequence->items.size());
  const int64_t from_start = *position < 0 ? *position + count : *position;
  if (from_start < 0 || from_start >= count) return Value();
  return sequence->items[static_cast<size_t>(from_start)];
}

// Begin, step and number of the items a slice takes out of `length`.
struct SlicePlan {
  int64_t begin = 0;
  int64_t step = 1;
  int64_t count = 0;
};

Result<std::optional<int64_t>> SliceIndex(const Value& value) {
  if (value.IsNone()) return std::nullopt;
  if (const auto integer = value.AsInt()) return integer;
  return RenderError("slice indices must be integers or none");
}

Result<SlicePlan> PlanSlice(const SliceBounds& bounds, int64_t length) {
  AUTOGLM_TRY(const std::optional<int64_t> given_step, SliceIndex(bounds.step));
  AUTOGLM_TRY(const std::optional<int64_t> given_begin, SliceIndex(bounds.begin));
  AUTOGLM_TRY(const std::optional<int64_t> given_end, SliceIndex(bounds.end));
  // A step beyond the length takes one item, whichever it is; the clamp keeps the sums below in range.
  const int64_t step = std::clamp<int64_t>(given_step.value_or(1), -length - 1, length + 1);
  if (step == 0) return RenderError("slice step cannot be zero");

  const int64_t lowest = step < 0 ? -1 : 0;
  const int64_t highest = step < 0 ? length - 1 : length;
  const auto place = [&](std::optional<int64_t> index, int64_t absent) {
    if (!index) return absent;
    return std::clamp(*index < 0 ? *index + length : *index, lowest, highest);
  };
  const int64_t begin = place(given_begin, step < 0 ? highest : lowest);
  const int64_t end = place(given_end, step < 0 ? lowest : highest);
  const int64_t distance = step < 0 ? begin - end : end - begin;
  const int64_t stride = step < 0 ? -step : step;
  return SlicePlan{.begin = begin, .step = step, .count = distance <= 0 ? 0 : (distance + stride - 1) / stride};
}

Result<Value> SliceText(Runtime& runtime, const Text& text, const SliceBounds& bounds) {
  AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(text.size() * 8));
  AUTOGLM_TRY(const SlicePlan plan, PlanSlice(bounds, static_cast<int64_t>(CountCodePoints(text.bytes()))));
  if (plan.count == 0) return Value::String("");
  if (plan.step == 1) {
    const size_t begin = ByteOffset(text.bytes(), static_cast<size_t>(plan.begin));
    const size_t length = ByteOffset(std::string_view(text.bytes()).substr(begin), static_cast<size_t>(plan.count));
    return MakeString(runtime, text.Slice(begin, begin + length));
  }
  AUTOGLM_TRY_VOID(runtime.budget.Allocate(text.size() * sizeof(size_t)));
  std::vector<size_t> starts;
  for (size_t at = 0; at < text.size(); at += ReadCodePoint(text.bytes(), at).num_bytes) starts.push_back(at);
  starts.push_back(text.size());
  AUTOGLM_TRY_VOID(runtime.budget.Spend(plan.count / 8));
  Text slice;
  for (int64_t i = 0; i < plan.count; ++i) {
    const auto index = static_cast<size_t>(plan.begin + i * plan.step);
    slice.AppendSlice(text, starts[index], starts[index + 1]);
  }
  return MakeString(runtime, std::move(slice));
}

}  // namespace

Value MissingAttribute(const Value& object, std::string_view name) {
  return Value::Undefined(fmt::format("'{}' has no attribute '{}'", object.TypeName(), name.substr(0, kHintNameBytesMax)));
}

Result<Value> GetAttribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (object.IsUndefined()) return RenderError(object.UndefinedHint());
  AUTOGLM_TRY(std::optional<Value> own, OwnAttribute(runtime, object, name));
  if (own) return *std::move(own);
  if (const Dict* dict = object.AsDict()) {
    AUTOGLM_TRY(const Value* const found, FindItem(runtime, *dict, name));
    if (found != nullptr) return *found;
  }
  return Missing(runtime, object, name);
}

Result<Value> GetItem(Runtime& runtime, const Value& object, const Value& index) {
  if (object.IsUndefined()) return RenderError(object.UndefinedHint());
  AUTOGLM_TRY(Value found, FindSubscript(runtime, object, index));
  if (!found.IsUndefined()) return found;
  const Text* const name = index.AsText();
  if (name == nullptr) {
    if (const auto position = index.AsInt()) return Missing(runtime, object, std::to_string(*position));
    return Missing(runtime, object, index.TypeName());
  }
  AUTOGLM_TRY(std::optional<Value> own, OwnAttribute(runtime, object, name->bytes()));
  if (own) return *std::move(own);
  return Missing(runtime, object, name->bytes());
}

Result<Value> GetPath(Runtime& runtime, const Value& object, const Value& path) {
  const Text* const text = path.AsText();
  if (text == nullptr) return GetItem(runtime, object, path);
  Value value = object;
  std::string_view rest = text->bytes();
  while (true) {
    const size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    int64_t index = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool is_index = error == std::errc() && end == part.data() + part.size() && part.front() != '-';
    AUTOGLM_TRY(value, GetItem(runtime, value, is_index ? Value::Int(index) : Value::String(part)));
    if (dot == std::string_view::npos) return value;
    rest.remove_prefix(dot + 1);
  }
}

Result<Value> GetSlice(Runtime& runtime, const Value& object, const SliceBounds& bounds) {
  if (object.IsUndefined()) return RenderError(object.UndefinedHint());
  if (const Text* text = object.AsText()) return SliceText(runtime, *text, bounds);
  const Sequence* const sequence = object.AsSequence();
  if (sequence == nullptr || !IsIndexable(sequence->kind)) {
    return RenderError(fmt::format("'{}' object cannot be sliced", object.TypeName()));
  }
  AUTOGLM_TRY(const SlicePlan plan, PlanSlice(bounds, static_cast<int64_t>(sequence->items.size())));
  AUTOGLM_TRY_VOID(runtime.budget.Allocate(static_cast<size_t>(plan.count) * sizeof(Value)));
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(plan.count));
  for (int64_t i = 0; i < plan.count; ++i) items.push_back(sequence->items[static_cast<size_t>(plan.begin + i * plan.step)]);
  const bool is_tuple = sequence->kind == SequenceKind::kTuple;
  return MakeSequence(runtime, is_tuple ? SequenceKind::kTuple : SequenceKind::kList, std::move(items));
}

Result<std::vector<Value>> Iterate(Runtime& runtime, const Value& value) {
  std::vector<Value> items;
  if (value.IsUndefined()) return items;
  if (const Text* text = value.AsText()) {
    for (size_t at = 0; at < text->size();) {
      const size_t end = at + ReadCodePoint(text->bytes(), at).num_bytes;
      AUTOGLM_TRY(Value character, MakeString(runtime, text->Slice(at, end)));
      items.push_back(std::move(character));
      at = end;
    }
    return items;
  }
  if (const Dict* dict = value.AsDict()) {
    AUTOGLM_TRY_VOID(runtime.budget.Allocate(dict->entries.size() * sizeof(Value)));
    AUTOGLM_TRY_VOID(runtime.budget.Spend(static_cast<int64_t>(dict->entries.size())));
    for (const auto& entry : dict->entries) items.push_back(entry.first);
    return items;
  }
  const Sequence* const sequence = value.AsSequence();
  if (sequence == nullptr) return RenderError(fmt::format("'{}' object is not iterable", value.TypeName()));
  AUTOGLM_TRY_VOID(runtime.budget.Allocate(sequence->items.size() * sizeof(Value)));
  AUTOGLM_TRY_VOID(runtime.budget.Spend(static_cast<int64_t>(sequence->items.size() / 8)));
  items.assign(sequence->items.begin() + static_cast<std::ptrdiff_t>(sequence->num_consumed), sequence->items.end());
  if (sequence->kind == SequenceKind::kGenerator) sequence->num_consumed = sequence->items.size();
  return items;
}

bool IsIterable(const Value& value) {
  return value.IsUndefined() || value.AsText() != nullptr || value.AsDict() != nullptr || value.AsSequence() != nullptr ||
         value.AsLoop() != nullptr;
}

Result<int64_t> Length(Runtime& runtime, const Value& value) {
  if (value.IsUndefined()) return 0;
  if (const Text* text = value.AsText()) {
    AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(text->size() * 8));
    return static_cast<int64_t>(CountCodePoints(text->bytes()));
  }
  if (const Dict* dict = value.AsDict()) return static_cast<int64_t>(dict->entries.size());
  if (const LoopState* loop = value.AsLoop()) return static_cast<int64_t>(loop->items.size());
  const Sequence* const sequence = value.AsSequence();
  if (sequence == nullptr || sequence->kind == SequenceKind::kGenerator) {
    return RenderError(fmt::format("object of type '{}' has no len()", value.TypeName()));
  }
  return static_cast<int64_t>(sequence->items.size());
}

}  // namespace autoglm::jinja
