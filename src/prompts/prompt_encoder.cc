#include "prompts/prompt_encoder.h"

#include <algorithm>
#include <string>
#include <utility>

namespace autoglm {
namespace {

int64_t LongestToken(const Tokenizer& tokenizer) {
  size_t longest = 1;
  for (TokenId token = 0; token < tokenizer.vocab_size(); ++token)
    longest = std::max(longest, tokenizer.TokenSpelling(token).size());
  return static_cast<int64_t>(longest);
}

}  // namespace

PromptEncoder::PromptEncoder(const Tokenizer& tokenizer, const ChatTemplate* chat_template, int64_t context_length)
    : tokenizer_(tokenizer),
      chat_template_(chat_template),
      context_length_(context_length),
      max_token_bytes_(LongestToken(tokenizer)),
      writes_tools_(WritesTools()) {}

Result<std::vector<TokenId>> PromptEncoder::EncodeChat(const ChatCompletionRequest& request,
                                                       const std::function<void()>& on_rendered) const {
  if (chat_template_ == nullptr) {
    return Fail(ErrorCode::kUnsupported, "this model has no chat template; use /v1/completions with a prompt", "messages");
  }
  if (!request.tools.empty() && !writes_tools_) {
    return Fail(ErrorCode::kUnsupported, "this model knows no tools: its chat template has no place for them", "tools");
  }
  Result<std::vector<ChatTemplate::Piece>> pieces = chat_template_->RenderPieces(TemplateContext(request));
  if (!pieces)
    return Fail(ErrorCode::kInvalidArgument, "the model's chat template refused: " + pieces.error().message, "messages");
  if (on_rendered) on_rendered();
  size_t num_bytes = 0;
  for (const ChatTemplate::Piece& piece : *pieces) num_bytes += piece.text.size();
  AUTOGLM_TRY_VOID(CheckFits(num_bytes, "messages"));

  std::vector<TokenId> tokens = EncodePieces(tokenizer_, *pieces);
  PrependBos(tokens);
  if (tokens.empty())
    return Fail(ErrorCode::kInvalidArgument, "the model's chat template turned the messages into an empty prompt", "messages");
  return tokens;
}

Result<std::vector<TokenId>> PromptEncoder::EncodeCompletion(const CompletionPrompt& prompt) const {
  if (const auto* tokens = std::get_if<std::vector<TokenId>>(&prompt)) return *tokens;
  return EncodeText(std::get<std::string>(prompt));
}

Result<std::vector<TokenId>> PromptEncoder::EncodeText(const std::string& text) const {
  AUTOGLM_TRY_VOID(CheckFits(text.size(), "prompt"));
  std::vector<TokenId> tokens = tokenizer_.Encode(text, SpecialTokens::kParse);
  PrependBos(tokens);
  if (tokens.empty())
    return Fail(ErrorCode::kInvalidArgument, "prompt must not be empty: this model has no token to begin with", "prompt");
  return tokens;
}

// The names that Hugging Face's apply_chat_template sets; a client's own ones cannot replace them.
Json PromptEncoder::TemplateContext(const ChatCompletionRequest& request) const {
  Json context = request.chat_template_kwargs;
  context["messages"] = request.messages;
  context["tools"] = request.tools;
  context["add_generation_prompt"] = request.add_generation_prompt;
  context["bos_token"] = tokenizer_.has_bos() ? tokenizer_.TokenSpelling(tokenizer_.bos_token()) : "";
  const std::vector<TokenId>& eos = tokenizer_.eos_tokens();
  context["eos_token"] = eos.empty() ? "" : tokenizer_.TokenSpelling(eos.front());
  return context;
}

// Found out by trying: a template may name tools without ever writing them. One that refuses so small a conversation is
// left to refuse the real one.
bool PromptEncoder::WritesTools() const {
  if (chat_template_ == nullptr) return false;
  constexpr std::string_view kName = "tool_for_trying";
  ChatCompletionRequest request;
  request.messages = Json::array({{{"role", "user"}, {"content", "Hi"}}});
  const Json parameters = {{"type", "object"}, {"properties", Json::object()}};
  request.tools = Json::array(
      {{{"type", "function"}, {"function", {{"name", kName}, {"description", "Nothing."}, {"parameters", parameters}}}}});
  request.chat_template_kwargs = Json::object();
  const Result<std::string> rendered = chat_template_->Render(TemplateContext(request));
  return !rendered || rendered->find(kName) != std::string::npos;
}

void PromptEncoder::PrependBos(std::vector<TokenId>& tokens) const {
  if (!tokenizer_.add_bos() || !tokenizer_.has_bos()) return;
  if (tokens.empty() || tokens.front() != tokenizer_.bos_token()) tokens.insert(tokens.begin(), tokenizer_.bos_token());
}

// Refuses what can never fit before time is spent on encoding it: a body may be a thousand times longer than the context.
Status PromptEncoder::CheckFits(size_t num_bytes, const char* param) const {
  const int64_t min_tokens = static_cast<int64_t>(num_bytes) / max_token_bytes_;
  if (min_tokens < context_length_) return {};
  return Fail(ErrorCode::kContextLengthExceeded,
              "This model's maximum context length is " + std::to_string(context_length_) +
                  " tokens, but the prompt has at least " + std::to_string(min_tokens) + " tokens. Please shorten it.",
              param);
}

}  // namespace autoglm
