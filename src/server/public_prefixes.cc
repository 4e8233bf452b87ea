#include "server/public_prefixes.h"

#include <algorithm>
#include <utility>

#include "openai/chat_completion_request.h"

namespace autoglm {
namespace {

using Tokens = std::vector<TokenId>;

size_t NumEqual(std::span<const TokenId> a, std::span<const TokenId> b) {
  return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

// The parser makes of messages what templates expect.
Result<ChatCompletionRequest> ParseMessages(const Json& messages) {
  AUTOGLM_TRY(ChatCompletionRequest request, ParseChatCompletionRequest(DumpJson({{"messages", messages}})));
  request.add_generation_prompt = false;
  return request;
}

// With something behind it that is not public.
Result<Tokens> EncodeBefore(ChatCompletionRequest request, const char* content, const PromptEncoder& encoder) {
  const char* role = request.messages.back().at("role") == "user" ? "assistant" : "user";
  request.messages.push_back({{"role", role}, {"content", content}});
  return encoder.EncodeChat(request);
}

// What two conversations have in common that begin so: there are templates that write nothing for a system message alone, or
// refuse it, because they make it a part of the first question. Alone where nothing may follow.
Result<Tokens> EncodeMessages(const Json& messages, const PromptEncoder& encoder) {
  AUTOGLM_TRY(const ChatCompletionRequest request, ParseMessages(messages));
  Result<Tokens> one = EncodeBefore(request, "A", encoder);
  const Result<Tokens> other = EncodeBefore(request, "7", encoder);
  if (!one || !other) return encoder.EncodeChat(request);
  one->resize(NumEqual(*one, *other));
  return one;
}

}  // namespace

Status CheckPublicPrefix(const PublicPrefix& prefix) {
  if (prefix.messages.is_null()) {
    return prefix.prompt.empty() ? Fail(ErrorCode::kInvalidArgument, "must not be empty", "prompt") : Status();
  }
  AUTOGLM_TRY_VOID(ParseMessages(prefix.messages));
  return {};
}

Status PublicPrefixes::Add(const PublicPrefix& prefix, const PromptEncoder& encoder) {
  AUTOGLM_TRY(Tokens tokens,
              prefix.messages.is_null() ? encoder.EncodeCompletion(prefix.prompt) : EncodeMessages(prefix.messages, encoder));
  prefixes_.push_back(std::move(tokens));
  return {};
}

int64_t PublicPrefixes::NumPublicTokens(std::span<const TokenId> prompt) const {
  size_t longest = 0;
  for (const Tokens& prefix : prefixes_) longest = std::max(longest, NumEqual(prompt, prefix));
  return static_cast<int64_t>(longest);
}

}  // namespace autoglm
