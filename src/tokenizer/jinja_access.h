#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/jinja_value.h"

namespace autoglm::jinja {

// `object.name`: Python's attribute, else the item of that name, else undefined. Errors: what is undefined has no attributes.
Result<Value> GetAttribute(Runtime& runtime, const Value& object, std::string_view name);
// `object[index]`: the item, else the attribute of that name, else undefined.
Result<Value> GetItem(Runtime& runtime, const Value& object, const Value& index);
// "a.b.0", as the `attribute` argument of filters spells it; an integer is one index.
Result<Value> GetPath(Runtime& runtime, const Value& object, const Value& path);

// none stands for what is left out.
struct SliceBounds {
  Value begin = Value::None();
  Value end = Value::None();
  Value step = Value::None();
};
Result<Value> GetSlice(Runtime& runtime, const Value& object, const SliceBounds& bounds);

// What a for loop over `value` visits: items, keys, code points. A generator is empty afterwards.
Result<std::vector<Value>> Iterate(Runtime& runtime, const Value& value);
bool IsIterable(const Value& value);
// Python's len().
Result<int64_t> Length(Runtime& runtime, const Value& value);

// An undefined value whose hint names `name`, cut where it is long.
Value MissingAttribute(const Value& object, std::string_view name);

}  // namespace autoglm::jinja
