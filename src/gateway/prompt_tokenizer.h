#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "http/event_loop.h"
#include "http/server.h"
#include "prompts/prompt_model.h"

namespace autoglm::gateway {

// Tokenises prompts, of several in a request the first, as an engine does: on threads of its own, so that a long one holds up
// nobody else's stream.
class PromptTokenizer {
 public:
  // Empty where the prompt's tokens cannot be known.
  using OnTokens = std::function<void(std::vector<TokenId> tokens)>;

  static constexpr int64_t kMaxWaiting = 256;  // prompts; beyond it, guessing is better than waiting

  explicit PromptTokenizer(int num_threads);
  // What waits is done first: the loops that are told must be alive.
  ~PromptTokenizer();

  // `on_tokens` is called on `loop`'s thread, later. False: too many wait, and it is not called. Any thread.
  bool Tokenise(std::shared_ptr<const PromptModel> model, std::shared_ptr<const http::Request> request, http::EventLoop& loop,
                OnTokens on_tokens);

 private:
  std::atomic<int64_t> num_waiting_{0};
  std::atomic<uint64_t> next_{0};
  std::vector<std::unique_ptr<http::LoopThread>> threads_;
};

}  // namespace autoglm::gateway
