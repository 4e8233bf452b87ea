#include "server/message_text.h"

#include <algorithm>
#include <string_view>
#include <variant>

#include "base/utf8.h"
#include "json/json.h"

namespace autoglm {
namespace {

constexpr size_t kMaxTextBytes = 8 << 10;
constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxToolCalls = 16;  // of a message
constexpr size_t kMaxListBytes = 64 << 10;
constexpr std::string_view kCutMark = " [cut]";

std::string Cut(std::string_view text, size_t max_bytes) {
  std::string cut(text.substr(0, ValidUtf8Prefix(text.substr(0, max_bytes))));
  if (text.size() > max_bytes) cut.append(kCutMark);
  return cut;
}

Json TextPart(std::string_view text) { return {{"type", "text"}, {"content", Cut(text, kMaxTextBytes)}}; }

// Arguments that are too long are text, and cut.
Json ToolCallPart(const Json& call) {
  Json part{{"type", "tool_call"}, {"name", Cut(call.value("/function/name"_json_pointer, ""), kMaxNameBytes)}};
  if (call.contains("id") && call["id"].is_string()) part["id"] = Cut(call.value("id", ""), kMaxNameBytes);
  Json arguments = call.value("/function/arguments"_json_pointer, Json());
  if (arguments.is_null()) return part;
  const std::string text = DumpJson(arguments);
  part["arguments"] = text.size() <= kMaxTextBytes ? std::move(arguments) : Json(Cut(text, kMaxTextBytes));
  return part;
}

// As NormaliseChatMessage leaves it.
Json MessageOf(const Json& message) {
  const std::string role = message.value("role", "");
  Json parts = Json::array();
  Json text = TextPart(message.value("content", ""));
  if (role == "tool") {
    parts.push_back({{"type", "tool_call_response"},
                     {"id", Cut(message.value("tool_call_id", ""), kMaxNameBytes)},
                     {"response", text["content"]}});
  } else if (!message.value("content", "").empty()) {
    parts.push_back(std::move(text));
  }
  if (message.contains("tool_calls")) {
    for (const Json& call : message["tool_calls"]) {
      if (parts.size() <= kMaxToolCalls) parts.push_back(ToolCallPart(call));
    }
  }
  return {{"role", role}, {"parts", std::move(parts)}};
}

Json MessageOf(const CompletionPrompt& prompt) {
  Json part = std::holds_alternative<std::string>(prompt)
                  ? TextPart(std::get<std::string>(prompt))
                  : Json{{"type", "token_ids"}, {"count", std::get<std::vector<TokenId>>(prompt).size()}};
  return {{"role", "user"}, {"parts", Json::array({std::move(part)})}};
}

Json MessageOf(const ChoiceText& choice) {
  return {
      {"role", "assistant"}, {"parts", Json::array({TextPart(choice.text)})}, {"finish_reason", FinishReasonName(choice.finish)}};
}

// The last of them that have room together, and the very last in any case.
template <typename Messages>
std::string LastOf(const Messages& messages) {
  std::string list;
  for (size_t i = messages.size(); i > 0; --i) {
    const std::string one = DumpJson(MessageOf(messages[i - 1]));
    if (!list.empty() && list.size() + one.size() > kMaxListBytes) break;
    list.insert(0, list.empty() ? one : one + ",");
  }
  return "[" + list + "]";
}

}  // namespace

std::string InputMessagesJson(const ParsedGeneration& parsed) {
  if (const auto* chat = std::get_if<ChatCompletionRequest>(&parsed.request)) return LastOf(chat->messages);
  return LastOf(std::get<CompletionRequest>(parsed.request).prompts);
}

std::string OutputMessagesJson(const std::vector<ChoiceText>& choices) { return LastOf(choices); }

bool IsTextFull(const std::string& text) { return text.size() > kMaxTextBytes; }

}  // namespace autoglm
