#include "tokenizer/jinja_functions.h"

#include <fmt/core.h>

#include <array>

#include "tokenizer/jinja_access.h"
#include "tokenizer/jinja_arguments.h"
#include "tokenizer/jinja_print.h"

namespace autoglm::jinja {
namespace {

struct RangeBounds {
  int64_t start = 0;
  int64_t stop = 0;
  int64_t step = 1;
};

Result<RangeBounds> ReadRangeBounds(const Arguments& arguments) {
  if (!arguments.named.empty()) return RenderError("range takes no named arguments");
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("range", arguments, {"start", "stop", "step"}, 1));
  AUTOGLM_TRY(const int64_t first, parameters.Int(0, 0));
  if (parameters.Get(1) == nullptr) return RangeBounds{.stop = first};
  AUTOGLM_TRY(const int64_t stop, parameters.Int(1, 0));
  AUTOGLM_TRY(const int64_t step, parameters.Int(2, 1));
  return RangeBounds{.start = first, .stop = stop, .step = step};
}

std::string RangeText(const RangeBounds& bounds) {
  if (bounds.step == 1) return fmt::format("range({}, {})", bounds.start, bounds.stop);
  return fmt::format("range({}, {}, {})", bounds.start, bounds.stop, bounds.step);
}

Result<Value> Range(Runtime& runtime, const Value& /*self*/, const Arguments& arguments) {
  AUTOGLM_TRY(const RangeBounds bounds, ReadRangeBounds(arguments));
  if (bounds.step == 0) return RenderError("range() arg 3 must not be zero");
  std::vector<Value> items;
  int64_t at = bounds.start;
  while (bounds.step > 0 ? at < bounds.stop : at > bounds.stop) {
    if (static_cast<int64_t>(items.size()) == kRangeItemsMax) {
      return RenderError(fmt::format("a range may have at most {} items", kRangeItemsMax));
    }
    items.push_back(Value::Int(at));
    if (__builtin_add_overflow(at, bounds.step, &at)) break;
  }
  AUTOGLM_TRY_VOID(runtime.budget.Allocate(sizeof(Sequence) + items.size() * sizeof(Value)));
  AUTOGLM_TRY_VOID(runtime.budget.Spend(static_cast<int64_t>(items.size() / 4)));
  auto sequence = std::make_shared<Sequence>();
  sequence->kind = SequenceKind::kRange;
  sequence->items = std::move(items);
  sequence->range_text = RangeText(bounds);
  return Value(Value::Storage(std::shared_ptr<const Sequence>(std::move(sequence))));
}

// The entries of dict(mapping or pairs, name=value, ...), also those of namespace().
Result<std::vector<std::pair<Value, Value>>> ReadEntries(Runtime& runtime, const Arguments& arguments) {
  std::vector<std::pair<Value, Value>> entries;
  if (arguments.positional.size() > 1) return RenderError("at most one argument without a name is expected");
  if (arguments.positional.size() == 1) {
    const Value& source = arguments.positional.front();
    if (const Dict* dict = source.AsDict()) {
      AUTOGLM_TRY_VOID(runtime.budget.Allocate(dict->entries.size() * 2 * sizeof(Value)));
      entries = dict->entries;
    } else {
      AUTOGLM_TRY(const std::vector<Value> pairs, Iterate(runtime, source));
      for (const Value& pair : pairs) {
        AUTOGLM_TRY(std::vector<Value> parts, Iterate(runtime, pair));
        if (parts.size() != 2) return RenderError("a dict is made of pairs");
        entries.emplace_back(std::move(parts[0]), std::move(parts[1]));
      }
    }
  }
  for (const auto& [name, value] : arguments.named) entries.emplace_back(Value::String(name), value);
  return entries;
}

Result<Value> MakeDictFromArguments(Runtime& runtime, const Value& /*self*/, const Arguments& arguments) {
  AUTOGLM_TRY(auto entries, ReadEntries(runtime, arguments));
  return MakeDict(runtime, std::move(entries));
}

Result<Value> MakeNamespace(Runtime& runtime, const Value& /*self*/, const Arguments& arguments) {
  AUTOGLM_TRY(auto entries, ReadEntries(runtime, arguments));
  AUTOGLM_TRY_VOID(runtime.budget.Allocate(sizeof(Namespace) + entries.size() * sizeof(Namespace::entries.front())));
  auto space = std::make_unique<Namespace>();
  for (auto& [key, value] : entries) {
    const Text* const name = key.AsText();
    if (name == nullptr) return RenderError("the names of a namespace are strings");
    AUTOGLM_TRY_VOID(runtime.budget.SpendSearch(space->entries.size()));
    space->Set(name->bytes(), std::move(value));
  }
  runtime.namespaces.push_back(std::move(space));
  return Value(Value::Storage(runtime.namespaces.back().get()));
}

Result<Value> RaiseException(Runtime& runtime, const Value& /*self*/, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("raise_exception", arguments, {"message"}, 1));
  AUTOGLM_TRY(const Text message, PrintText(runtime, parameters.Required(0)));
  runtime.raised = true;
  return RenderError(message.bytes());
}

Result<Value> FormatNow(Runtime& runtime, const Value& /*self*/, const Arguments& arguments) {
  AUTOGLM_TRY(const Parameters parameters, Parameters::Bind("strftime_now", arguments, {"format"}, 1));
  AUTOGLM_TRY(const Text* const format, parameters.RequiredText(0));
  AUTOGLM_TRY_VOID(runtime.budget.Spend(static_cast<int64_t>(format->size())));
  AUTOGLM_TRY(std::string formatted, FormatTime(format->bytes(), runtime.now));
  return MakeString(runtime, Text(std::move(formatted)));
}

constexpr std::array kFunctions = {
    NamedFunction{"range", Range},
    NamedFunction{"dict", MakeDictFromArguments},
    NamedFunction{"namespace", MakeNamespace},
    NamedFunction{"raise_exception", RaiseException},
    NamedFunction{"strftime_now", FormatNow},
};

}  // namespace

NativeFunction FindFunction(std::string_view name) { return FindNamed(kFunctions, name); }

}  // namespace autoglm::jinja
