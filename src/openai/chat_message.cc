#include "openai/chat_message.h"

#include <optional>
#include <string_view>
#include <utility>

#include "json/fields.h"

namespace autoglm {
namespace {

struct Role {
  std::string_view given;
  std::string_view rendered;  // what chat templates know it as
};
constexpr Role kRoles[] = {{"system", "system"},       {"developer", "system"}, {"user", "user"},
                           {"assistant", "assistant"}, {"tool", "tool"},        {"function", "tool"}};

std::string Indexed(const std::string& path, size_t index) { return path + "[" + std::to_string(index) + "]"; }

Result<std::string> RequiredString(const JsonFields& fields, std::string_view name) {
  AUTOGLM_TRY(std::optional<std::string> text, fields.String(name));
  if (!text) return fields.Refuse(name, "is missing");
  return *std::move(text);
}

Result<std::string_view> ReadRole(const JsonFields& fields) {
  AUTOGLM_TRY(const std::string given, RequiredString(fields, "role"));
  for (const Role& role : kRoles) {
    if (role.given == given) return role.rendered;
  }
  return fields.Refuse("role", "must be system, developer, user, assistant, tool or function, not '" + given + "'");
}

Result<std::string> ReadTextPart(const Json& part, const std::string& path) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(part, path));
  AUTOGLM_TRY(const std::string type, RequiredString(fields, "type"));
  // What the assistant may have said: its text, or a refusal, each under its type's name.
  if (type == "text" || type == "refusal") return RequiredString(fields, type);
  std::string_view missing;
  if (type == "image_url" || type == "video_url") missing = "vision";
  if (type == "input_audio") missing = "audio";
  if (type == "file") missing = "file";
  if (missing.empty()) return fields.Refuse("type", "'" + type + "' is unknown; content parts must be of type 'text'");
  return Fail(ErrorCode::kUnsupported,
              path + " is of type '" + type + "', but this model is text-only: it has no " + std::string(missing) + " input",
              path);
}

// The text of a message, or nothing where content is absent.
Result<std::optional<std::string>> ReadContent(const JsonFields& fields) {
  const Json* content = fields.Find("content");
  if (content == nullptr) return std::nullopt;
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array())
    return fields.Refuse("content", "must be a string or a list of parts, not " + std::string(JsonTypeName(*content)));
  std::string text;
  for (size_t i = 0; i < content->size(); ++i) {
    AUTOGLM_TRY(const std::string part, ReadTextPart((*content)[i], Indexed(fields.Path("content"), i)));
    if (i > 0) text += '\n';
    text += part;
  }
  return text;
}

// Clients send arguments as a JSON string, templates iterate over an object.
Result<Json> ReadArguments(const JsonFields& function) {
  const Json* arguments = function.Find("arguments");
  if (arguments == nullptr) return Json::object();
  if (arguments->is_object()) return *arguments;
  if (!arguments->is_string()) return function.Refuse("arguments", "must be a string that holds a JSON object");
  const auto& text = arguments->get_ref<const std::string&>();
  if (text.empty()) return Json::object();
  Result<Json> parsed = ParseJson(text);
  if (!parsed) return function.Refuse("arguments", "must be a string that holds a JSON object: " + parsed.error().message);
  if (!parsed->is_object())
    return function.Refuse("arguments", "must hold a JSON object, not " + std::string(JsonTypeName(*parsed)));
  return parsed;
}

Result<Json> NormaliseToolCall(const Json& call, const std::string& path) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(call, path));
  AUTOGLM_TRY(const std::optional<std::string> type, fields.String("type"));
  if (type.value_or("function") != "function") return fields.Refuse("type", "must be 'function', not '" + *type + "'");
  AUTOGLM_TRY(const Json* function, fields.Object("function"));
  if (function == nullptr) return fields.Refuse("function", "is missing");
  AUTOGLM_TRY(const JsonFields function_fields, JsonFields::Of(*function, fields.Path("function")));
  AUTOGLM_TRY(const std::string name, RequiredString(function_fields, "name"));
  AUTOGLM_TRY(Json arguments, ReadArguments(function_fields));

  Json normalised = Json::object();
  AUTOGLM_TRY(const std::optional<std::string> id, fields.String("id"));
  if (id) normalised["id"] = *id;
  normalised["type"] = "function";
  normalised["function"] = {{"name", name}, {"arguments", std::move(arguments)}};
  return normalised;
}

// Empty where there are none.
Result<Json> ReadToolCalls(const JsonFields& fields) {
  AUTOGLM_TRY(const Json* calls, fields.Array("tool_calls"));
  Json normalised = Json::array();
  if (calls == nullptr) return normalised;
  for (size_t i = 0; i < calls->size(); ++i) {
    AUTOGLM_TRY(Json call, NormaliseToolCall((*calls)[i], Indexed(fields.Path("tool_calls"), i)));
    normalised.push_back(std::move(call));
  }
  return normalised;
}

}  // namespace

Result<Json> NormaliseChatMessage(const Json& message, const std::string& path) {
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(message, path));
  AUTOGLM_TRY(const std::string_view role, ReadRole(fields));
  AUTOGLM_TRY(const std::optional<std::string> content, ReadContent(fields));
  AUTOGLM_TRY(Json tool_calls, ReadToolCalls(fields));
  const bool is_assistant = role == "assistant";
  if (!tool_calls.empty() && !is_assistant) return fields.Refuse("tool_calls", "belong to messages of the assistant only");
  if (!content && tool_calls.empty())
    return fields.Refuse("content", is_assistant ? "is missing, and so are tool_calls" : "is missing");

  Json normalised = {{"role", role}, {"content", content.value_or("")}};
  if (!tool_calls.empty()) normalised["tool_calls"] = std::move(tool_calls);
  for (const char* name : {"name", "tool_call_id", "reasoning_content"}) {
    AUTOGLM_TRY(const std::optional<std::string> text, fields.String(name));
    if (text) normalised[name] = *text;
  }
  return normalised;
}

Status CheckTools(const Json& tools) {
  for (size_t i = 0; i < tools.size(); ++i) {
    AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(tools[i], Indexed("tools", i)));
    AUTOGLM_TRY(const std::string type, RequiredString(fields, "type"));
    if (type != "function") return fields.Refuse("type", "must be 'function', not '" + type + "'");
    AUTOGLM_TRY(const Json* function, fields.Object("function"));
    if (function == nullptr) return fields.Refuse("function", "is missing");
    AUTOGLM_TRY(const JsonFields function_fields, JsonFields::Of(*function, fields.Path("function")));
    AUTOGLM_TRY_VOID(RequiredString(function_fields, "name"));
  }
  return {};
}

}  // namespace autoglm
