#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "tokenizer/jinja_budget.h"
#include "tokenizer/jinja_text.h"

namespace autoglm::jinja {

struct Sequence;
struct Dict;
struct Namespace;
struct Callable;
struct LoopState;

struct NoneType {};
struct UndefinedType {
  std::shared_ptr<const std::string> hint;  // "'x' is undefined"; may be null
};

// A value as a template sees it, with Python's types. Cheap to copy; all but namespaces are immutable.
class Value {
 public:
  using Storage =
      std::variant<UndefinedType, NoneType, bool, int64_t, double, std::shared_ptr<const Text>, std::shared_ptr<const Sequence>,
                   std::shared_ptr<const Dict>, Namespace*, std::shared_ptr<const Callable>, std::shared_ptr<LoopState>>;

  Value() = default;  // undefined
  explicit Value(Storage storage) : storage_(std::move(storage)) {}
  static Value None() { return Value(Storage(NoneType{})); }
  static Value Undefined(std::string hint);
  static Value Bool(bool value) { return Value(Storage(value)); }
  static Value Int(int64_t value) { return Value(Storage(value)); }
  static Value Float(double value) { return Value(Storage(value)); }
  static Value String(Text text);
  static Value String(std::string_view literal) { return String(Text(std::string(literal))); }

  bool IsUndefined() const { return std::holds_alternative<UndefinedType>(storage_); }
  bool IsNone() const { return std::holds_alternative<NoneType>(storage_); }
  bool IsBool() const { return std::holds_alternative<bool>(storage_); }
  bool IsFloat() const { return std::holds_alternative<double>(storage_); }
  bool IsInt() const { return std::holds_alternative<int64_t>(storage_); }  // false for a bool
  bool IsNumber() const { return IsBool() || IsInt() || IsFloat(); }

  // nullptr or nullopt where the value is of another type.
  const Text* AsText() const;
  const Sequence* AsSequence() const;
  const Dict* AsDict() const;
  Namespace* AsNamespace() const;
  const Callable* AsCallable() const;
  LoopState* AsLoop() const;
  std::optional<int64_t> AsInt() const;    // also of a bool, as in Python
  std::optional<double> AsDouble() const;  // of any number

  // What Python calls the type: "str", "dict", ...
  std::string_view TypeName() const;
  // Why an undefined value is undefined.
  std::string UndefinedHint() const;
  bool IsTrue() const;
  // How many values lie within each other; 0 for what holds no values.
  int Depth() const;

  const Storage& storage() const { return storage_; }

 private:
  Storage storage_;
};

enum class SequenceKind : uint8_t { kList, kTuple, kRange, kKeys, kValues, kItems, kGenerator };

struct Sequence {
  SequenceKind kind = SequenceKind::kList;
  std::vector<Value> items;
  int depth = 1;
  std::string range_text;           // how a range prints
  mutable size_t num_consumed = 0;  // a generator gives each item once
};

// Keys are unique and keep their order.
struct Dict {
  std::vector<std::pair<Value, Value>> entries;
  int depth = 1;
};

// namespace(): the one value that changes. The Runtime owns them all, since they can refer to each other in circles.
struct Namespace {
  std::vector<std::pair<std::string, Value>> entries;

  const Value* Find(std::string_view name) const;
  void Set(std::string_view name, Value value);
};

// What `loop` stands for inside a for.
struct LoopState {
  std::vector<Value> items;
  size_t index0 = 0;
  int depth = 1;
};

// What one rendering shares.
struct Runtime {
  Budget budget;
  std::chrono::system_clock::time_point now;
  bool raised = false;  // by raise_exception, whose message is passed on as it is
  std::vector<std::unique_ptr<Namespace>> namespaces;
};

// What a call passes, evaluated.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

using NativeFunction = Result<Value> (*)(Runtime& runtime, const Value& self, const Arguments& arguments);

// An entry of the tables of methods, filters and functions.
struct NamedFunction {
  std::string_view name;
  NativeFunction function;
};

template <typename Functions>
NativeFunction FindNamed(const Functions& functions, std::string_view name) {
  for (const NamedFunction& entry : functions) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}

struct MacroDefinition;
struct Scope;

// Exactly one of `function` and `macro` is set.
struct Callable {
  std::string name;
  NativeFunction function = nullptr;
  Value self;                              // what a method belongs to
  const MacroDefinition* macro = nullptr;  // lives as long as the template
  std::weak_ptr<Scope> scope;              // where the macro was defined; weak, since a scope holds its macros
};

// These charge the budget, and refuse values that lie too deep within each other.
Result<Value> MakeString(Runtime& runtime, Text text);
Result<Value> MakeSequence(Runtime& runtime, SequenceKind kind, std::vector<Value> items);
// Of a key given twice the last value counts, at the place of the first.
Result<Value> MakeDict(Runtime& runtime, std::vector<std::pair<Value, Value>> entries);
Result<Value> MakeMethod(std::string name, NativeFunction function, const Value& self);
Result<std::shared_ptr<LoopState>> MakeLoop(Runtime& runtime, std::vector<Value> items);
Status CheckStringSize(size_t num_bytes);

// An error of the rendering: what Python would raise.
tl::unexpected<Error> RenderError(std::string message);

}  // namespace autoglm::jinja
