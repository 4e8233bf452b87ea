#include "openai/response.h"

#include "json/json.h"

namespace autoglm {
namespace {

Json UsageObject(const Usage& usage) {
  return {{"prompt_tokens", usage.num_prompt_tokens},
          {"completion_tokens", usage.num_completion_tokens},
          {"total_tokens", usage.num_prompt_tokens + usage.num_completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.num_cached_tokens}}}};
}

Json ChoiceJson(ResponseKind kind, size_t index, const Choice& choice) {
  Json json = {{"index", index}};
  if (kind == ResponseKind::kChatCompletion) {
    json["message"] = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
  } else {
    json["text"] = choice.text;
  }
  json["logprobs"] = nullptr;
  json["finish_reason"] = FinishReasonName(choice.finish);
  return json;
}

Json ModelJson(const ModelCard& card) {
  return {{"id", card.id},
          {"object", "model"},
          {"created", card.created_unix_seconds},
          {"owned_by", "autoglm"},
          {"max_model_len", card.context_length > 0 ? Json(card.context_length) : Json()},
          {"state", card.state},
          {"memory_bytes", card.memory_bytes}};
}

}  // namespace

std::string_view FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kDeadline:
      return "deadline";
    case FinishReason::kError:
      break;
  }
  return "error";
}

std::string UsageJson(const Usage& usage) { return DumpJson(UsageObject(usage)); }

std::string BuildResponse(const ResponseHead& head, std::span<const Choice> choices, const Usage& usage) {
  Json json = {{"id", head.id},
               {"object", head.kind == ResponseKind::kChatCompletion ? "chat.completion" : "text_completion"},
               {"created", head.created_unix_seconds},
               {"model", head.model},
               {"choices", Json::array()},
               {"usage", UsageObject(usage)},
               {"system_fingerprint", head.system_fingerprint}};
  for (size_t i = 0; i < choices.size(); ++i) json["choices"].push_back(ChoiceJson(head.kind, i, choices[i]));
  return DumpJson(json);
}

std::string BuildModel(const ModelCard& card) { return DumpJson(ModelJson(card)); }

std::string BuildModelList(std::span<const ModelCard> cards) {
  Json json = {{"object", "list"}, {"data", Json::array()}};
  for (const ModelCard& card : cards) json["data"].push_back(ModelJson(card));
  return DumpJson(json);
}

}  // namespace autoglm
