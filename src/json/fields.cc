#include "json/fields.h"

#include <cmath>
#include <limits>
#include <utility>

namespace autoglm {

std::string_view JsonTypeName(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_string()) return "a string";
  if (value.is_boolean()) return "a boolean";
  if (value.is_number_integer()) return "an integer";
  if (value.is_number()) return "a number";
  if (value.is_array()) return "a list";
  return "an object";
}

std::optional<int64_t> JsonInteger(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number()) return std::nullopt;
  const auto number = value.get<double>();
  // Doubles are whole numbers without gaps only up to 2^53.
  if (std::abs(number) > 0x1p53 || number != std::trunc(number)) return std::nullopt;
  return static_cast<int64_t>(number);
}

Result<JsonFields> JsonFields::Of(const Json& value, std::string path) {
  if (value.is_object()) return JsonFields(value, std::move(path));
  const std::string what = path.empty() ? "the body" : path;
  return Fail(ErrorCode::kInvalidArgument, what + " must be an object, not " + std::string(JsonTypeName(value)), std::move(path));
}

Result<std::optional<std::string>> JsonFields::String(std::string_view name) const {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return WrongType(name, "a string", *value);
  return value->get<std::string>();
}

Result<std::optional<bool>> JsonFields::Bool(std::string_view name) const {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) return WrongType(name, "true or false", *value);
  return value->get<bool>();
}

Result<std::optional<int64_t>> JsonFields::Integer(std::string_view name) const {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  const std::optional<int64_t> number = JsonInteger(*value);
  if (!number && value->is_number()) return Refuse(name, "must be an integer of at most 64 bits, not " + DumpJson(*value));
  if (!number) return WrongType(name, "an integer of at most 64 bits", *value);
  return number;
}

Result<std::optional<double>> JsonFields::Number(std::string_view name) const {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) return WrongType(name, "a number", *value);
  return value->get<double>();
}

Result<const Json*> JsonFields::Array(std::string_view name) const {
  const Json* value = Find(name);
  if (value != nullptr && !value->is_array()) return WrongType(name, "a list", *value);
  return value;
}

Result<const Json*> JsonFields::Object(std::string_view name) const {
  const Json* value = Find(name);
  if (value != nullptr && !value->is_object()) return WrongType(name, "an object", *value);
  return value;
}

const Json* JsonFields::Find(std::string_view name) const {
  const auto found = object_->find(name);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

std::string JsonFields::Path(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

tl::unexpected<Error> JsonFields::Refuse(std::string_view name, std::string_view what) const {
  const std::string path = Path(name);
  return Fail(ErrorCode::kInvalidArgument, path + " " + std::string(what), path);
}

tl::unexpected<Error> JsonFields::WrongType(std::string_view name, std::string_view wanted, const Json& found) const {
  return Refuse(name, "must be " + std::string(wanted) + ", not " + std::string(JsonTypeName(found)));
}

}  // namespace autoglm
