#include "tokenizer/jinja_filters.h"

namespace autoglm::jinja {

NativeFunction FindFilter(std::string_view name) {
  for (const auto find : {FindTextFilter, FindNumberFilter, FindSequenceFilter, FindSelectionFilter}) {
    if (const NativeFunction filter = find(name)) return filter;
  }
  return nullptr;
}

}  // namespace autoglm::jinja
