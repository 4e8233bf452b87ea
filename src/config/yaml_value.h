#pragma once

#include <yaml-cpp/yaml.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"

namespace autoglm {

// A value of a YAML file that knows its name and place, so that whoever refuses it can tell. The file's name must outlive it.
class YamlValue {
 public:
  // Whether ${NAME} in plain values stands for the environment's.
  enum class Environment { kIgnored, kPutIn };

  static YamlValue Root(const YAML::Node& node, std::string_view file_name, Environment environment);

  const std::string& name() const { return name_; }
  int line() const { return mark_.line + 1; }
  // What was left out: "key:" with nothing behind.
  bool IsNull() const { return node_.IsNull(); }
  bool IsPlain() const { return node_.IsScalar(); }
  bool IsMap() const { return node_.IsMap(); }
  bool IsList() const { return node_.IsSequence(); }
  // Whether it is this plain word.
  bool Is(std::string_view word) const { return IsPlain() && node_.Scalar() == word; }
  // A plain value as it stands in the file, for messages: what comes from the environment may be a secret.
  const std::string& AsWritten() const { return node_.Scalar(); }

  // kInvalidArgument with "FILE:LINE: NAME: " in front, and without the name.
  tl::unexpected<Error> Refuse(std::string_view what) const;
  tl::unexpected<Error> FailHere(std::string_view what) const;

  // A plain value, with what the environment has to say.
  Result<std::string> Text() const;
  // A plain value that `parse` takes (its error is put behind the name).
  template <typename Parser>
  auto Parse(Parser parse) const -> std::invoke_result_t<Parser, const std::string&>;

  // Of a list. `nouns` says of what, in messages.
  Result<std::vector<YamlValue>> Items(std::string_view nouns) const;
  // Of a list of plain values, or one of them alone. They carry this one's name.
  Result<std::vector<YamlValue>> PlainItems() const;
  Result<std::vector<std::string>> Texts() const;
  // Of a map, named by their keys. Refuses keys that stand there twice.
  Result<std::vector<YamlValue>> Fields() const;
  // A field of a map.
  std::optional<YamlValue> Find(const std::string& key) const;

 private:
  YamlValue(const YAML::Node& node, std::string name, const YAML::Mark& mark, const YamlValue& in);
  YamlValue(const YAML::Node& node, std::string_view file_name, Environment environment);

  YAML::Node node_;
  std::string name_;
  YAML::Mark mark_;  // of the key where it has one
  std::string_view file_name_;
  Environment environment_;
};

template <typename Parser>
auto YamlValue::Parse(Parser parse) const -> std::invoke_result_t<Parser, const std::string&> {
  AUTOGLM_TRY(const std::string text, Text());
  auto value = parse(text);
  if (value) return value;
  // Messages quote the value: as it is written, because what the environment has may be a secret.
  if (text == AsWritten()) return Refuse(value.error().message);
  const auto as_written = parse(AsWritten());
  return Refuse(as_written ? "what the environment has for it is not allowed here" : as_written.error().message);
}

// One key of a map that describes a T.
template <typename T>
struct YamlField {
  std::string_view key;
  Status (*set)(T& target, const YamlValue& value);
};

// Refuses keys that are none of `fields`.
template <typename T>
Status ReadFields(const YamlValue& map, std::span<const YamlField<std::type_identity_t<T>>> fields, T& target) {
  AUTOGLM_TRY(const std::vector<YamlValue> values, map.Fields());
  for (const YamlValue& value : values) {
    const YamlField<T>* known = nullptr;
    std::string keys;
    for (const YamlField<T>& field : fields) {
      if (field.key == value.name()) known = &field;
      keys += (keys.empty() ? "" : ", ") + std::string(field.key);
    }
    if (known == nullptr) return value.Refuse("unknown key; known are " + keys);
    AUTOGLM_TRY_VOID(known->set(target, value));
  }
  return {};
}

}  // namespace autoglm
