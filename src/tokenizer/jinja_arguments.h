#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/jinja_value.h"

namespace autoglm::jinja {

// The arguments of one call, matched to the names of a function's parameters as Python does. Refers to the Arguments.
class Parameters {
 public:
  // Refuses too many, unknown, doubled and (of the first `num_required`) missing arguments.
  static Result<Parameters> Bind(std::string_view function, const Arguments& arguments,
                                 std::initializer_list<std::string_view> names, size_t num_required = 0);

  // nullptr where it was not passed.
  const Value* Get(size_t index) const { return values_[index]; }
  const Value& Required(size_t index) const { return *values_[index]; }
  bool Bool(size_t index, bool absent) const { return values_[index] == nullptr ? absent : values_[index]->IsTrue(); }
  Result<int64_t> Int(size_t index, int64_t absent) const;
  // nullptr where it was not passed or is none.
  Result<const Text*> OptionalText(size_t index) const;
  Result<const Text*> RequiredText(size_t index) const;

 private:
  std::string function_;
  std::vector<std::string_view> names_;
  std::vector<const Value*> values_;
};

}  // namespace autoglm::jinja
