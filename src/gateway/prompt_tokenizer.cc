#include "gateway/prompt_tokenizer.h"

#include <string_view>
#include <utility>

#include "openai/chat_completion_request.h"
#include "openai/completion_request.h"

namespace autoglm::gateway {
namespace {

// Errors: of paths that have no prompt, and where the engine will have something to say about the request.
Result<std::vector<TokenId>> TokensOfRequest(const PromptEncoder& encoder, std::string_view path, std::string_view body) {
  if (path.ends_with("/chat/completions")) {
    AUTOGLM_TRY(const ChatCompletionRequest request, ParseChatCompletionRequest(body));
    return encoder.EncodeChat(request);
  }
  if (path.ends_with("/completions")) {
    AUTOGLM_TRY(const CompletionRequest request, ParseCompletionRequest(body));
    return encoder.EncodeCompletion(request.prompts.front());
  }
  return Fail(ErrorCode::kUnsupported, "requests of this path have no prompt that is known");
}

}  // namespace

PromptTokenizer::PromptTokenizer(int num_threads) {
  for (int i = 0; i < num_threads; ++i) threads_.push_back(std::make_unique<http::LoopThread>());
}

PromptTokenizer::~PromptTokenizer() = default;

bool PromptTokenizer::Tokenise(std::shared_ptr<const PromptModel> model, std::shared_ptr<const http::Request> request,
                               http::EventLoop& loop, OnTokens on_tokens) {
  if (num_waiting_.fetch_add(1) >= kMaxWaiting) {
    --num_waiting_;
    return false;
  }
  http::LoopThread& thread = *threads_[next_++ % threads_.size()];
  thread.loop().Post([this, model = std::move(model), request = std::move(request), &loop, on_tokens = std::move(on_tokens)] {
    auto tokens = TokensOfRequest(model->encoder(), request->path, request->body);
    --num_waiting_;
    loop.Post(
        [on_tokens, tokens = tokens ? *std::move(tokens) : std::vector<TokenId>()]() mutable { on_tokens(std::move(tokens)); });
  });
  return true;
}

}  // namespace autoglm::gateway
