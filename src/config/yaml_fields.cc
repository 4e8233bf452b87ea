#include "config/yaml_fields.h"

#include <fmt/format.h>

#include <set>

namespace autoglm {

tl::unexpected<Error> FailAt(std::string_view file_name, const YAML::Mark& mark, std::string_view what) {
  return Fail(ErrorCode::kInvalidArgument, fmt::format("{}:{}: {}", file_name, mark.line + 1, what));
}

Result<std::string> ScalarValue(const YAML::Node& node) {
  if (node.IsScalar()) return node.Scalar();
  return Fail(ErrorCode::kInvalidArgument, node.IsNull() ? "has no value" : "must be one plain value");
}

Result<std::vector<std::string>> ScalarValues(const YAML::Node& node) {
  if (node.IsScalar()) return std::vector<std::string>{node.Scalar()};
  if (!node.IsSequence() || node.size() == 0) return Fail(ErrorCode::kInvalidArgument, "must be a value or a list of values");
  std::vector<std::string> values;
  for (const auto& item : node) {
    if (!item.IsScalar()) return Fail(ErrorCode::kInvalidArgument, "must be a list of plain values");
    values.push_back(item.Scalar());
  }
  return values;
}

Status ForEachField(const YAML::Node& map, std::string_view file_name, std::string_view what,
                    const std::function<Status(const std::string& key, const YAML::Node& value)>& set) {
  if (!map.IsMap()) return FailAt(file_name, map.Mark(), fmt::format("{}: must be lines such as 'key: value'", what));
  std::set<std::string> seen;
  for (const auto& field : map) {
    if (!field.first.IsScalar()) return FailAt(file_name, field.first.Mark(), "a key must be plain text");
    const std::string& key = field.first.Scalar();
    if (!seen.insert(key).second) {
      return FailAt(file_name, field.first.Mark(), fmt::format("'{}' stands here a second time", key));
    }
    const Status status = set(key, field.second);
    if (!status) return FailAt(file_name, field.first.Mark(), fmt::format("{}: {}", key, status.error().message));
  }
  return {};
}

}  // namespace autoglm
