#include "server/message_text.h"

#include <algorithm>
#include <string_view>
#include <variant>

#include "base/utf8.h"
#include "json/json.h"

namespace autoglm {
namespace {

constexpr size_t kMaxTextBytes = 8 << 10;
constexpr size_t kMaxMessages = 32;
constexpr std::string_view kCutMark = " [cut]";

Json TextPart(std::string_view text) {
  if (text.size() <= kMaxTextBytes) return {{"type", "text"}, {"content", text.substr(0, ValidUtf8Prefix(text))}};
  const size_t end = ValidUtf8Prefix(text.substr(0, kMaxTextBytes));
  return {{"type", "text"}, {"content", std::string(text.substr(0, end)).append(kCutMark)}};
}

Json ToolCallPart(const Json& call) {
  Json part{{"type", "tool_call"}, {"name", call.value("/function/name"_json_pointer, "")}};
  if (call.contains("id")) part["id"] = call["id"];
  if (const Json arguments = call.value("/function/arguments"_json_pointer, Json()); !arguments.is_null()) {
    part["arguments"] = arguments;
  }
  return part;
}

// As NormaliseChatMessage leaves it.
Json MessageOf(const Json& message) {
  const std::string role = message.value("role", "");
  Json parts = Json::array();
  Json text = TextPart(message.value("content", ""));
  if (role == "tool") {
    parts.push_back({{"type", "tool_call_response"}, {"id", message.value("tool_call_id", "")}, {"response", text["content"]}});
  } else if (text["content"] != "") {
    parts.push_back(std::move(text));
  }
  if (message.contains("tool_calls")) {
    for (const Json& call : message["tool_calls"]) parts.push_back(ToolCallPart(call));
  }
  return {{"role", role}, {"parts", std::move(parts)}};
}

Json MessageOf(const CompletionPrompt& prompt) {
  Json part = std::holds_alternative<std::string>(prompt)
                  ? TextPart(std::get<std::string>(prompt))
                  : Json{{"type", "token_ids"}, {"count", std::get<std::vector<TokenId>>(prompt).size()}};
  return {{"role", "user"}, {"parts", Json::array({std::move(part)})}};
}

template <typename Messages>
std::string LastOf(const Messages& messages) {
  Json list = Json::array();
  for (size_t i = messages.size() - std::min<size_t>(messages.size(), kMaxMessages); i < messages.size(); ++i) {
    list.push_back(MessageOf(messages[i]));
  }
  return DumpJson(list);
}

}  // namespace

std::string InputMessagesJson(const ParsedGeneration& parsed) {
  if (const auto* chat = std::get_if<ChatCompletionRequest>(&parsed.request)) return LastOf(chat->messages);
  return LastOf(std::get<CompletionRequest>(parsed.request).prompts);
}

std::string OutputMessagesJson(const std::vector<ChoiceText>& choices) {
  Json list = Json::array();
  for (const ChoiceText& choice : choices) {
    list.push_back({{"role", "assistant"},
                    {"parts", Json::array({TextPart(choice.text)})},
                    {"finish_reason", FinishReasonName(choice.finish)}});
  }
  return DumpJson(list);
}

bool IsTextFull(const std::string& text) { return text.size() > kMaxTextBytes; }

}  // namespace autoglm
