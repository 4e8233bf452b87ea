#include "tokenizer/jinja_operators.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tokenizer/jinja_search.h"

namespace autoglm::jinja {
namespace {

template <typename T>
int ThreeWay(const T& left, const T& right) {
  if (left < right) return -1;
  return right < left ? 1 : 0;
}

int OrderNumbers(const Value& left, const Value& right) {
  const auto left_int = left.AsInt();
  const auto right_int = right.AsInt();
  if (left_int && right_int) return ThreeWay(*left_int, *right_int);
  // A long double holds every 64-bit integer, so that an integer never equals a double it was merely rounded to.
  const auto widen = [](const Value& value, const std::optional<int64_t>& integer) {
    return integer ? static_cast<long double>(*integer) : static_cast<long double>(*value.AsDouble());
  };
  return ThreeWay(widen(left, left_int), widen(right, right_int));
}

bool IsNan(const Value& value) { return value.IsFloat() && std::isnan(*value.AsDouble()); }

Result<bool> SequencesEqual(Runtime& runtime, const Sequence& left, const Sequence& right) {
  if (left.kind != right.kind || left.items.size() != right.items.size()) return false;
  if (left.kind == SequenceKind::kGenerator) return &left == &right;
  for (size_t i = 0; i < left.items.size(); ++i) {
    AUTOGLM_TRY(const bool equal, Equals(runtime, left.items[i], right.items[i]));
    if (!equal) return false;
  }
  return true;
}

Result<bool> DictsEqual(Runtime& runtime, const Dict& left, const Dict& right) {
  if (left.entries.size() != right.entries.size()) return false;
  for (const auto& [key, value] : left.entries) {
    AUTOGLM_TRY(const Value* const other, FindItem(runtime, right, key));
    if (other == nullptr) return false;
    AUTOGLM_TRY(const bool equal, Equals(runtime, value, *other));
    if (!equal) return false;
  }
  return true;
}

Result<int> OrderSequences(Runtime& runtime, const Sequence& left, const Sequence& right) {
  const size_t num_common = std::min(left.items.size(), right.items.size());
  for (size_t i = 0; i < num_common; ++i) {
    AUTOGLM_TRY(const bool equal, Equals(runtime, left.items[i], right.items[i]));
    if (!equal) return Order(runtime, left.items[i], right.items[i]);
  }
  return ThreeWay(left.items.size(), right.items.size());
}

bool IsOrdered(const Sequence& sequence) { return sequence.kind == SequenceKind::kList || sequence.kind == SequenceKind::kTuple; }

Result<bool> SequenceContains(Runtime& runtime, const Sequence& sequence, const Value& item) {
  const bool is_generator = sequence.kind == SequenceKind::kGenerator;
  for (size_t i = is_generator ? sequence.num_consumed : 0; i < sequence.items.size(); ++i) {
    if (is_generator) sequence.num_consumed = i + 1;
    AUTOGLM_TRY(const bool equal, Equals(runtime, sequence.items[i], item));
    if (equal) return true;
  }
  return false;
}

}  // namespace

Result<bool> Equals(Runtime& runtime, const Value& left, const Value& right) {
  AUTOGLM_TRY_VOID(runtime.budget.Spend(1));
  if (left.IsNumber() && right.IsNumber()) return !IsNan(left) && !IsNan(right) && OrderNumbers(left, right) == 0;
  if (left.storage().index() != right.storage().index()) return false;
  if (left.IsUndefined() || left.IsNone()) return true;
  if (const Text* text = left.AsText()) {
    AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(std::min(text->size(), right.AsText()->size())));
    return text->bytes() == right.AsText()->bytes();
  }
  if (const Sequence* sequence = left.AsSequence()) return SequencesEqual(runtime, *sequence, *right.AsSequence());
  if (const Dict* dict = left.AsDict()) return DictsEqual(runtime, *dict, *right.AsDict());
  if (const Namespace* space = left.AsNamespace()) return space == right.AsNamespace();
  if (const Callable* callable = left.AsCallable()) return callable == right.AsCallable();
  return left.AsLoop() == right.AsLoop();
}

Result<int> Order(Runtime& runtime, const Value& left, const Value& right) {
  AUTOGLM_TRY_VOID(runtime.budget.Spend(1));
  if (left.IsUndefined()) return RenderError(left.UndefinedHint());
  if (right.IsUndefined()) return RenderError(right.UndefinedHint());
  if (left.IsNumber() && right.IsNumber()) return OrderNumbers(left, right);
  const Text* const left_text = left.AsText();
  const Text* const right_text = right.AsText();
  if (left_text != nullptr && right_text != nullptr) {
    AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(std::min(left_text->size(), right_text->size())));
    return ThreeWay(left_text->bytes().compare(right_text->bytes()), 0);
  }
  const Sequence* const left_items = left.AsSequence();
  const Sequence* const right_items = right.AsSequence();
  if (left_items != nullptr && right_items != nullptr && left_items->kind == right_items->kind && IsOrdered(*left_items)) {
    return OrderSequences(runtime, *left_items, *right_items);
  }
  return RenderError(fmt::format("'{}' and '{}' have no order", left.TypeName(), right.TypeName()));
}

Result<bool> Contains(Runtime& runtime, const Value& container, const Value& item) {
  AUTOGLM_TRY_VOID(runtime.budget.Spend(1));
  if (container.IsUndefined()) return false;
  if (const Text* text = container.AsText()) {
    const Text* const part = item.AsText();
    if (part == nullptr) {
      return RenderError(fmt::format("'in <string>' requires string as left operand, not {}", item.TypeName()));
    }
    AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(text->size() * 4));
    return FindBytes(text->bytes(), part->bytes(), 0) != std::string_view::npos;
  }
  if (const Dict* dict = container.AsDict()) {
    AUTOGLM_TRY_VOID(CheckHashable(item));
    AUTOGLM_TRY(const Value* const found, FindItem(runtime, *dict, item));
    return found != nullptr;
  }
  if (const Sequence* sequence = container.AsSequence()) return SequenceContains(runtime, *sequence, item);
  return RenderError(fmt::format("argument of type '{}' is not iterable", container.TypeName()));
}

Result<bool> Compare(Runtime& runtime, CompareOperator op, const Value& left, const Value& right) {
  switch (op) {
    case CompareOperator::kEqual:
      return Equals(runtime, left, right);
    case CompareOperator::kNotEqual:
      return Equals(runtime, left, right).map([](bool equal) { return !equal; });
    case CompareOperator::kIn:
      return Contains(runtime, right, left);
    case CompareOperator::kNotIn:
      return Contains(runtime, right, left).map([](bool contains) { return !contains; });
    default:
      break;
  }
  AUTOGLM_TRY(const int order, Order(runtime, left, right));
  if (IsNan(left) || IsNan(right)) return false;
  switch (op) {
    case CompareOperator::kLess:
      return order < 0;
    case CompareOperator::kLessEqual:
      return order <= 0;
    case CompareOperator::kGreater:
      return order > 0;
    default:
      return order >= 0;
  }
}

Status CheckHashable(const Value& key) {
  const Sequence* const sequence = key.AsSequence();
  if (sequence != nullptr && sequence->kind == SequenceKind::kTuple) {
    for (const Value& item : sequence->items) AUTOGLM_TRY_VOID(CheckHashable(item));
    return {};
  }
  if (key.AsDict() != nullptr || (sequence != nullptr && sequence->kind != SequenceKind::kRange)) {
    return RenderError(fmt::format("unhashable type: '{}'", key.TypeName()));
  }
  return {};
}

Result<const Value*> FindItem(Runtime& runtime, const Dict& dict, const Value& key) {
  if (const Text* text = key.AsText()) return FindItem(runtime, dict, text->bytes());
  for (const auto& [other, value] : dict.entries) {
    AUTOGLM_TRY(const bool equal, Equals(runtime, other, key));
    if (equal) return &value;
  }
  return nullptr;
}

Result<const Value*> FindItem(Runtime& runtime, const Dict& dict, std::string_view key) {
  AUTOGLM_TRY_VOID(runtime.budget.SpendSearch(dict.entries.size()));
  for (const auto& [other, value] : dict.entries) {
    const Text* const text = other.AsText();
    if (text == nullptr || text->bytes() != key) continue;
    AUTOGLM_TRY_VOID(runtime.budget.SpendBytes(key.size()));
    return &value;
  }
  return nullptr;
}

// A merge sort of our own: a comparison may fail, and std::stable_sort may not be left halfway.
Result<std::vector<size_t>> SortedOrder(Runtime& runtime, const std::vector<Value>& keys) {
  std::vector<size_t> order(keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<size_t> merged(keys.size());
  for (size_t width = 1; width < keys.size(); width *= 2) {
    for (size_t begin = 0; begin < keys.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, keys.size());
      const size_t end = std::min(begin + 2 * width, keys.size());
      size_t left = begin;
      size_t right = middle;
      for (size_t out = begin; out < end; ++out) {
        bool take_right = left == middle;
        if (left < middle && right < end) {
          AUTOGLM_TRY(const int right_to_left, Order(runtime, keys[order[right]], keys[order[left]]));
          take_right = right_to_left < 0;
        }
        merged[out] = take_right ? order[right++] : order[left++];
      }
    }
    order.swap(merged);
  }
  return order;
}

}  // namespace autoglm::jinja
