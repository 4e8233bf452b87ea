#include "tokenizer/jinja_value.h"

#include <algorithm>

#include "tokenizer/jinja_operators.h"

namespace autoglm::jinja {
namespace {

template <typename T>
const T* SharedOrNull(const Value::Storage& storage) {
  const auto* pointer = std::get_if<std::shared_ptr<const T>>(&storage);
  return pointer == nullptr ? nullptr : pointer->get();
}

std::string_view SequenceTypeName(SequenceKind kind) {
  switch (kind) {
    case SequenceKind::kList:
      return "list";
    case SequenceKind::kTuple:
      return "tuple";
    case SequenceKind::kRange:
      return "range";
    case SequenceKind::kKeys:
      return "dict_keys";
    case SequenceKind::kValues:
      return "dict_values";
    case SequenceKind::kItems:
      return "dict_items";
    case SequenceKind::kGenerator:
      return "generator";
  }
  return "list";
}

Status CheckDepth(int depth) {
  if (depth > kValueDepthMax) return RenderError("values are nested too deeply");
  return {};
}

int DepthOf(const std::vector<Value>& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.Depth());
  return depth + 1;
}

}  // namespace

Value Value::Undefined(std::string hint) {
  return Value(Storage(UndefinedType{std::make_shared<const std::string>(std::move(hint))}));
}

Value Value::String(Text text) { return Value(Storage(std::make_shared<const Text>(std::move(text)))); }

const Text* Value::AsText() const { return SharedOrNull<Text>(storage_); }
const Sequence* Value::AsSequence() const { return SharedOrNull<Sequence>(storage_); }
const Dict* Value::AsDict() const { return SharedOrNull<Dict>(storage_); }
const Callable* Value::AsCallable() const { return SharedOrNull<Callable>(storage_); }

Namespace* Value::AsNamespace() const {
  const auto* pointer = std::get_if<Namespace*>(&storage_);
  return pointer == nullptr ? nullptr : *pointer;
}

LoopState* Value::AsLoop() const {
  const auto* pointer = std::get_if<std::shared_ptr<LoopState>>(&storage_);
  return pointer == nullptr ? nullptr : pointer->get();
}

std::optional<int64_t> Value::AsInt() const {
  if (const auto* integer = std::get_if<int64_t>(&storage_)) return *integer;
  if (const auto* boolean = std::get_if<bool>(&storage_)) return *boolean ? 1 : 0;
  return std::nullopt;
}

std::optional<double> Value::AsDouble() const {
  if (const auto* number = std::get_if<double>(&storage_)) return *number;
  if (const auto integer = AsInt()) return static_cast<double>(*integer);
  return std::nullopt;
}

std::string_view Value::TypeName() const {
  if (IsUndefined()) return "Undefined";
  if (IsNone()) return "NoneType";
  if (IsBool()) return "bool";
  if (IsInt()) return "int";
  if (IsFloat()) return "float";
  if (AsText() != nullptr) return "str";
  if (AsDict() != nullptr) return "dict";
  if (AsNamespace() != nullptr) return "Namespace";
  if (AsLoop() != nullptr) return "LoopContext";
  if (const Callable* callable = AsCallable()) return callable->macro != nullptr ? "Macro" : "function";
  return SequenceTypeName(AsSequence()->kind);
}

std::string Value::UndefinedHint() const {
  const auto* undefined = std::get_if<UndefinedType>(&storage_);
  return undefined == nullptr || undefined->hint == nullptr ? "a value is undefined" : *undefined->hint;
}

bool Value::IsTrue() const {
  if (IsUndefined() || IsNone()) return false;
  if (const auto number = AsDouble()) return *number != 0;
  if (const Text* text = AsText()) return !text->empty();
  if (const Dict* dict = AsDict()) return !dict->entries.empty();
  if (const Sequence* sequence = AsSequence()) return sequence->kind == SequenceKind::kGenerator || !sequence->items.empty();
  return true;
}

int Value::Depth() const {
  if (const Sequence* sequence = AsSequence()) return sequence->depth;
  if (const Dict* dict = AsDict()) return dict->depth;
  if (const LoopState* loop = AsLoop()) return loop->depth;
  if (const Callable* callable = AsCallable()) return callable->self.Depth() + 1;
  return 0;
}

const Value* Namespace::Find(std::string_view name) const {
  for (const auto& [key, value] : entries) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Namespace::Set(std::string_view name, Value value) {
  for (auto& [key, old] : entries) {
    if (key != name) continue;
    // The old value may hold the last reference to what the caller is still reading.
    std::swap(old, value);
    return;
  }
  entries.emplace_back(std::string(name), std::move(value));
}

Status CheckStringSize(size_t num_bytes) {
  if (num_bytes > static_cast<size_t>(kStringBytesMax)) return RenderError("a string becomes too long");
  return {};
}

Result<Value> MakeString(Runtime& runtime, Text text) {
  AUTOGLM_TRY_VOID(CheckStringSize(text.size()));
  const size_t num_bytes = sizeof(Text) + text.size() + text.runs().size() * sizeof(Text::Run);
  AUTOGLM_TRY_VOID(runtime.budget.Allocate(num_bytes));
  AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(num_bytes));
  return Value::String(std::move(text));
}

Result<Value> MakeSequence(Runtime& runtime, SequenceKind kind, std::vector<Value> items) {
  AUTOGLM_TRY_VOID(runtime.budget.Allocate(sizeof(Sequence) + items.size() * sizeof(Value)));
  AUTOGLM_TRY_VOID(runtime.budget.Spend(1 + static_cast<int64_t>(items.size())));
  const int depth = DepthOf(items);
  AUTOGLM_TRY_VOID(CheckDepth(depth));
  auto sequence = std::make_shared<Sequence>();
  sequence->kind = kind;
  sequence->items = std::move(items);
  sequence->depth = depth;
  return Value(Value::Storage(std::shared_ptr<const Sequence>(std::move(sequence))));
}

Result<Value> MakeDict(Runtime& runtime, std::vector<std::pair<Value, Value>> entries) {
  AUTOGLM_TRY_VOID(runtime.budget.Allocate(sizeof(Dict) + entries.size() * 2 * sizeof(Value)));
  auto dict = std::make_shared<Dict>();
  for (auto& [key, value] : entries) {
    AUTOGLM_TRY_VOID(runtime.budget.Spend(1));
    AUTOGLM_TRY_VOID(CheckHashable(key));
    AUTOGLM_TRY(const Value* found, FindItem(runtime, *dict, key));
    dict->depth = std::max({dict->depth, key.Depth() + 1, value.Depth() + 1});
    if (found == nullptr) {
      dict->entries.emplace_back(std::move(key), std::move(value));
    } else {
      const auto at =
          std::find_if(dict->entries.begin(), dict->entries.end(), [found](const auto& entry) { return &entry.second == found; });
      at->second = std::move(value);
    }
  }
  AUTOGLM_TRY_VOID(CheckDepth(dict->depth));
  return Value(Value::Storage(std::shared_ptr<const Dict>(std::move(dict))));
}

Result<Value> MakeMethod(std::string name, NativeFunction function, const Value& self) {
  auto method = std::make_shared<Callable>();
  method->name = std::move(name);
  method->function = function;
  method->self = self;
  Value value(Value::Storage(std::shared_ptr<const Callable>(std::move(method))));
  AUTOGLM_TRY_VOID(CheckDepth(value.Depth()));
  return value;
}

Result<std::shared_ptr<LoopState>> MakeLoop(Runtime& runtime, std::vector<Value> items) {
  AUTOGLM_TRY_VOID(runtime.budget.Allocate(sizeof(LoopState) + items.size() * sizeof(Value)));
  auto loop = std::make_shared<LoopState>();
  loop->depth = DepthOf(items);
  AUTOGLM_TRY_VOID(CheckDepth(loop->depth));
  loop->items = std::move(items);
  return loop;
}

tl::unexpected<Error> RenderError(std::string message) { return Fail(ErrorCode::kInvalidArgument, std::move(message)); }

}  // namespace autoglm::jinja
