#include "tokenizer/jinja_context.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace autoglm::jinja {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 9> kRoles = {"system",    "user",     "assistant", "tool", "observation",
                                                    "developer", "function", "ipython",   "model"};

Result<Value> ToValue(const Json& json, Origin origin, int depth);

Result<Value> ToList(const Json& json, int depth) {
  auto list = std::make_shared<Sequence>();
  list->items.reserve(json.size());
  for (const Json& item : json) {
    AUTOGLM_TRY(Value value, ToValue(item, Origin::kContext, depth));
    list->depth = std::max(list->depth, value.Depth() + 1);
    list->items.push_back(std::move(value));
  }
  return Value(Value::Storage(std::shared_ptr<const Sequence>(std::move(list))));
}

bool IsRole(std::string_view key, const Json& value) {
  if (key != "role" || !value.is_string()) return false;
  return std::find(kRoles.begin(), kRoles.end(), value.get_ref<const std::string&>()) != kRoles.end();
}

Result<Value> ToDict(const Json& json, int depth) {
  auto dict = std::make_shared<Dict>();
  dict->entries.reserve(json.size());
  for (const auto& [key, item] : json.items()) {
    const bool is_token = depth == 1 && (key == "bos_token" || key == "eos_token");
    const Origin origin = is_token || IsRole(key, item) ? Origin::kTemplate : Origin::kContext;
    AUTOGLM_TRY(Value value, ToValue(item, origin, depth));
    dict->depth = std::max(dict->depth, value.Depth() + 1);
    dict->entries.emplace_back(Value::String(Text(key, Origin::kContext)), std::move(value));
  }
  return Value(Value::Storage(std::shared_ptr<const Dict>(std::move(dict))));
}

// `depth`: how many objects and lists are around the value.
Result<Value> ToValue(const Json& json, Origin origin, int depth) {
  if (depth >= kValueDepthMax) return RenderError(fmt::format("values are nested deeper than {} levels", kValueDepthMax));
  switch (json.type()) {
    case Json::value_t::null:
      return Value::None();
    case Json::value_t::boolean:
      return Value::Bool(json.get<bool>());
    case Json::value_t::number_float:
      return Value::Float(json.get<double>());
    case Json::value_t::number_integer:
      return Value::Int(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      if (number <= static_cast<uint64_t>(INT64_MAX)) return Value::Int(static_cast<int64_t>(number));
      return Fail(ErrorCode::kUnsupported, fmt::format("the integer {} is beyond the 64 bits that are supported", number));
    }
    case Json::value_t::string:
      return Value::String(Text(json.get_ref<const std::string&>(), origin));
    case Json::value_t::array:
      return ToList(json, depth + 1);
    case Json::value_t::object:
      return ToDict(json, depth + 1);
    default:
      return RenderError("a value of the context is no JSON");
  }
}

}  // namespace

Result<Value> ContextFromJson(const nlohmann::ordered_json& context) {
  if (!context.is_object()) return RenderError("the context of a chat template must be an object");
  return ToValue(context, Origin::kContext, 0);
}

}  // namespace autoglm::jinja
