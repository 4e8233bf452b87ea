#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "json/json.h"

namespace autoglm {

// The fields of one JSON object, read by name and type. A field that is null counts as absent. Errors are kInvalidArgument
// with the field's path in the message and in Error::param. Refers to the object, which must outlive it.
class JsonFields {
 public:
  // `path` goes before the names: "messages[2]" makes "messages[2].role". Refuses a value that is no object.
  static Result<JsonFields> Of(const Json& value, std::string path = {});

  Result<std::optional<std::string>> String(std::string_view name) const;
  Result<std::optional<bool>> Bool(std::string_view name) const;
  // 5 and 5.0 are integers, 5.5 and "5" are not.
  Result<std::optional<int64_t>> Integer(std::string_view name) const;
  Result<std::optional<double>> Number(std::string_view name) const;
  // nullptr where absent.
  Result<const Json*> Array(std::string_view name) const;
  Result<const Json*> Object(std::string_view name) const;
  // Of any type; nullptr where absent.
  const Json* Find(std::string_view name) const;

  std::string Path(std::string_view name) const;
  // "<path> <what>", as in Refuse("stop", "must be a string or a list of strings").
  tl::unexpected<Error> Refuse(std::string_view name, std::string_view what) const;

 private:
  JsonFields(const Json& object, std::string path) : object_(&object), path_(std::move(path)) {}
  tl::unexpected<Error> WrongType(std::string_view name, std::string_view wanted, const Json& found) const;

  const Json* object_;
  std::string path_;
};

// "a string", "an object", "null", ...: what a value is, for messages.
std::string_view JsonTypeName(const Json& value);

// An integer of 64 bits, also where it is written as 5.0.
std::optional<int64_t> JsonInteger(const Json& value);

}  // namespace autoglm
