#include <fmt/core.h>

#include <array>

#include "tokenizer/jinja_access.h"
#include "tokenizer/jinja_arguments.h"
#include "tokenizer/jinja_filters.h"
#include "tokenizer/jinja_predicates.h"

namespace autoglm::jinja {
namespace {

constexpr size_t kShownBytesMax = 32;

// The arguments after the first `count`.
Arguments Without(const Arguments& arguments, size_t count) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(), rest.positional.begin() + static_cast<std::ptrdiff_t>(count));
  return rest;
}

Result<Value> MapAttribute(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Arguments named{.positional = {}, .named = arguments.named};
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("map", named, {"attribute", "default"}, 1));
  const bool has_default = parameters.Get(1) != nullptr && !parameters.Get(1)->IsNone();
  AUTOGLM_TRY(std::vector<Value> items, Iterate(runtime, self));
  for (Value& item : items) {
    AUTOGLM_TRY(item, GetPath(runtime, item, parameters.Required(0)));
    if (has_default && item.IsUndefined()) item = *parameters.Get(1);
  }
  return MakeSequence(runtime, SequenceKind::kGenerator, std::move(items));
}

Result<Value> Map(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty()) return MapAttribute(runtime, self, arguments);
  const Text* const name = arguments.positional.front().AsText();
  const NativeFunction filter = name == nullptr ? nullptr : FindFilter(name->bytes());
  if (filter == nullptr) {
    const std::string shown = name == nullptr ? "" : name->bytes().substr(0, kShownBytesMax);
    return Fail(ErrorCode::kUnsupported, fmt::format("map: there is no filter '{}'", shown));
  }
  // A filter that is map again would nest without bound.
  if (filter == Map) return Fail(ErrorCode::kUnsupported, "map cannot map itself");
  const Arguments rest = Without(arguments, 1);
  AUTOGLM_TRY(std::vector<Value> items, Iterate(runtime, self));
  for (Value& item : items) {
    AUTOGLM_TRY_VOID(runtime.budget.Spend(1));
    AUTOGLM_TRY(item, filter(runtime, item, rest));
  }
  return MakeSequence(runtime, SequenceKind::kGenerator, std::move(items));
}

// A test by its name with its arguments; without a name, whether the value is true.
class Selector {
 public:
  static Result<Selector> Create(const Arguments& arguments, size_t name_index) {
    if (name_index >= arguments.positional.size()) return Selector(nullptr, {});
    const Text* const name = arguments.positional[name_index].AsText();
    const Predicate predicate = name == nullptr ? nullptr : FindPredicate(name->bytes());
    if (predicate == nullptr) {
      const std::string shown = name == nullptr ? "" : name->bytes().substr(0, kShownBytesMax);
      return Fail(ErrorCode::kUnsupported, fmt::format("there is no test '{}'", shown));
    }
    return Selector(predicate, Without(arguments, name_index + 1));
  }

  Result<bool> Accepts(Runtime& runtime, const Value& value) const {
    AUTOGLM_TRY_VOID(runtime.budget.Spend(1));
    if (predicate_ == nullptr) return value.IsTrue();
    return predicate_(runtime, value, arguments_);
  }

 private:
  Selector(Predicate predicate, Arguments arguments) : predicate_(predicate), arguments_(std::move(arguments)) {}

  Predicate predicate_;
  Arguments arguments_;
};

enum class Keeps : uint8_t { kAccepted, kRejected };
enum class LooksAt : uint8_t { kItem, kAttribute };

template <Keeps keeps, LooksAt looks_at>
Result<Value> Select(Runtime& runtime, const Value& self, const Arguments& arguments) {
  constexpr bool kHasAttribute = looks_at == LooksAt::kAttribute;
  if (kHasAttribute && arguments.positional.empty()) return RenderError("Missing parameter for attribute name");
  AUTOGLM_TRY(const Selector selector, Selector::Create(arguments, kHasAttribute ? 1 : 0));
  // Jinja2 takes whatever is false for an empty list.
  AUTOGLM_TRY(const std::vector<Value> items, Iterate(runtime, self.IsTrue() ? self : Value()));
  std::vector<Value> kept;
  for (const Value& item : items) {
    Value attribute;
    if constexpr (kHasAttribute) {
      AUTOGLM_TRY(attribute, GetPath(runtime, item, arguments.positional.front()));
    }
    AUTOGLM_TRY(const bool accepted, selector.Accepts(runtime, kHasAttribute ? attribute : item));
    if (accepted == (keeps == Keeps::kAccepted)) kept.push_back(item);
  }
  return MakeSequence(runtime, SequenceKind::kGenerator, std::move(kept));
}

constexpr std::array kFilters = {
    NamedFunction{"map", Map},
    NamedFunction{"select", Select<Keeps::kAccepted, LooksAt::kItem>},
    NamedFunction{"reject", Select<Keeps::kRejected, LooksAt::kItem>},
    NamedFunction{"selectattr", Select<Keeps::kAccepted, LooksAt::kAttribute>},
    NamedFunction{"rejectattr", Select<Keeps::kRejected, LooksAt::kAttribute>},
};

}  // namespace

NativeFunction FindSelectionFilter(std::string_view name) { return FindNamed(kFilters, name); }

}  // namespace autoglm::jinja
