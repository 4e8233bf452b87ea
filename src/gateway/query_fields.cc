#include "gateway/query_fields.h"

#include <algorithm>

#include "web/url.h"

namespace autoglm::gateway {

std::string QueryField(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view field = query.substr(0, end);
    const size_t equals = std::min(field.find('='), field.size());
    if (PercentDecode(field.substr(0, equals)) == name) return PercentDecode(field.substr(std::min(equals + 1, field.size())));
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return {};
}

}  // namespace autoglm::gateway
