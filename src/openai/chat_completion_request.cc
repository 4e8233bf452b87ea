#include "openai/chat_completion_request.h"

#include <optional>
#include <string>
#include <utility>

#include "openai/chat_message.h"

namespace autoglm {
namespace {

Result<Json> ReadMessages(const JsonFields& body) {
  AUTOGLM_TRY(const Json* messages, body.Array("messages"));
  if (messages == nullptr) return body.Refuse("messages", "is missing");
  if (messages->empty()) return body.Refuse("messages", "must not be empty");
  Json normalised = Json::array();
  for (size_t i = 0; i < messages->size(); ++i) {
    AUTOGLM_TRY(Json message, NormaliseChatMessage((*messages)[i], "messages[" + std::to_string(i) + "]"));
    normalised.push_back(std::move(message));
  }
  return normalised;
}

// "auto" leaves the choice to the model; "required" and a named function need constrained decoding.
enum class ToolChoice { kAuto, kNone };

Result<ToolChoice> ReadToolChoice(const JsonFields& body) {
  const Json* choice = body.Find("tool_choice");
  if (choice == nullptr || *choice == "auto") return ToolChoice::kAuto;
  if (*choice == "none") return ToolChoice::kNone;
  if (*choice == "required" || choice->is_object()) {
    return Fail(ErrorCode::kUnsupported, "tool_choice other than 'auto' and 'none' is not supported yet", "tool_choice");
  }
  return body.Refuse("tool_choice", "must be 'auto' or 'none'");
}

Result<Json> ReadTools(const JsonFields& body) {
  AUTOGLM_TRY(const ToolChoice choice, ReadToolChoice(body));
  AUTOGLM_TRY(const Json* tools, body.Array("tools"));
  if (tools != nullptr) AUTOGLM_TRY_VOID(CheckTools(*tools));
  if (tools == nullptr || tools->empty() || choice == ToolChoice::kNone) return Json();
  return *tools;
}

}  // namespace

Result<ChatCompletionRequest> ParseChatCompletionRequest(std::string_view body) {
  AUTOGLM_TRY(const Json json, ParseJson(body));
  AUTOGLM_TRY(const JsonFields fields, JsonFields::Of(json));
  ChatCompletionRequest request;
  AUTOGLM_TRY(request.params, ReadGenerationParams(fields));
  AUTOGLM_TRY(request.messages, ReadMessages(fields));
  for (const std::string_view field : {"functions", "function_call"}) {
    if (IsTruthy(fields.Find(field)))
      return Fail(ErrorCode::kUnsupported, std::string(field) + " is not supported; use tools", std::string(field));
  }
  AUTOGLM_TRY(request.tools, ReadTools(fields));
  AUTOGLM_TRY(const Json* kwargs, fields.Object("chat_template_kwargs"));
  request.chat_template_kwargs = kwargs == nullptr ? Json::object() : *kwargs;
  AUTOGLM_TRY(const std::optional<bool> add_generation_prompt, fields.Bool("add_generation_prompt"));
  request.add_generation_prompt = add_generation_prompt.value_or(true);
  return request;
}

}  // namespace autoglm
