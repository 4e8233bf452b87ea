#include "config/yaml_value.h"

#include <fmt/format.h>

#include <set>

#include "config/environment.h"
#include "config/yaml_file.h"

namespace autoglm {

YamlValue::YamlValue(const YAML::Node& node, std::string_view file_name, Environment environment)
    : node_(node), name_("the file"), mark_(node_.Mark()), file_name_(file_name), environment_(environment) {}

YamlValue::YamlValue(const YAML::Node& node, std::string name, const YAML::Mark& mark, const YamlValue& in)
    : node_(node),
      name_(std::move(name)),
      mark_(mark.is_null() ? in.mark_ : mark),
      file_name_(in.file_name_),
      environment_(in.environment_) {}

YamlValue YamlValue::Root(const YAML::Node& node, std::string_view file_name, Environment environment) {
  return {node, file_name, environment};
}

tl::unexpected<Error> YamlValue::Refuse(std::string_view what) const { return FailHere(fmt::format("{}: {}", name_, what)); }

tl::unexpected<Error> YamlValue::FailHere(std::string_view what) const { return FailAt(file_name_, mark_, what); }

Result<std::string> YamlValue::Text() const {
  if (!IsPlain()) return Refuse(node_.IsNull() ? "has no value" : "must be one plain value");
  if (environment_ == Environment::kIgnored) return node_.Scalar();
  Result<std::string> text = PutEnvironmentIn(node_.Scalar());
  if (!text) return Refuse(text.error().message);
  return text;
}

Result<std::vector<YamlValue>> YamlValue::Items(std::string_view nouns) const {
  if (!IsList()) return Refuse(fmt::format("must be a list of {}", nouns));
  std::vector<YamlValue> items;
  for (const auto& item : node_) items.push_back(YamlValue(item, "an entry of " + name_, item.Mark(), *this));
  return items;
}

Result<std::vector<YamlValue>> YamlValue::PlainItems() const {
  if (IsPlain()) return std::vector<YamlValue>{*this};
  if (!IsList() || node_.size() == 0) return Refuse("must be a value or a list of values");
  std::vector<YamlValue> items;
  for (const auto& item : node_) {
    if (!item.IsScalar()) return Refuse("must be a list of plain values");
    items.push_back(YamlValue(item, name_, item.Mark(), *this));
  }
  return items;
}

Result<std::vector<std::string>> YamlValue::Texts() const {
  AUTOGLM_TRY(const std::vector<YamlValue> items, PlainItems());
  std::vector<std::string> texts;
  for (const YamlValue& item : items) {
    AUTOGLM_TRY(std::string text, item.Text());
    texts.push_back(std::move(text));
  }
  return texts;
}

Result<std::vector<YamlValue>> YamlValue::Fields() const {
  if (!IsMap()) return Refuse("must be lines such as 'key: value'");
  std::vector<YamlValue> fields;
  std::set<std::string> seen;
  for (const auto& field : node_) {
    if (!field.first.IsScalar()) return FailAt(file_name_, field.first.Mark(), "a key must be plain text");
    const std::string& key = field.first.Scalar();
    if (!seen.insert(key).second)
      return FailAt(file_name_, field.first.Mark(), fmt::format("'{}' stands here a second time", key));
    fields.push_back(YamlValue(field.second, key, field.first.Mark(), *this));
  }
  return fields;
}

std::optional<YamlValue> YamlValue::Find(const std::string& key) const {
  if (!IsMap()) return std::nullopt;
  for (const auto& field : node_) {
    if (field.first.IsScalar() && field.first.Scalar() == key) return YamlValue(field.second, key, field.first.Mark(), *this);
  }
  return std::nullopt;
}

}  // namespace autoglm
