#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/signal_watcher.h"
#include "engine/engine.h"
#include "json/json.h"
#include "prompts/prompt_encoder.h"
#include "sampling/sampling_params.h"

namespace autoglm {

struct AnswerStats {
  int64_t num_prompt_tokens = 0;
  int64_t num_cached_tokens = 0;  // of the prompt, found in the prefix cache
  int64_t num_generated = 0;
  double time_to_first_token_s = 0;
  double tokens_per_s = 0;  // after the first token; 0 for shorter answers
  FinishReason finish = FinishReason::kStop;
};

// "42 tokens, 118.3 tokens/s, first after 31 ms, 120 of 158 prompt tokens cached".
std::string FormatAnswerStats(const AnswerStats& stats);

// One conversation with an engine of this process. Every turn sends the conversation from its beginning: the engine's
// prefix cache makes that cost only what is new.
class ChatSession {
 public:
  // `engine` outlives the session. Errors: kUnsupported for a model without a chat template; kInvalidArgument for sampling
  // parameters out of range.
  static Result<ChatSession> Create(Engine& engine, SamplingParams sampling);

  // Answers `text`, piece by piece through `on_text`. A signal ends the answer early; what was said stays part of the
  // conversation. After an error the conversation is as before.
  Result<AnswerStats> Ask(const std::string& text, SignalWatcher& interrupts,
                          const std::function<void(std::string_view)>& on_text);

  // Sets the system message (none where empty) and forgets the conversation.
  void SetSystem(const std::string& text);
  // Forgets the conversation; the system message stays.
  void Reset();

 private:
  ChatSession(Engine& engine, SamplingParams sampling);

  Result<std::shared_ptr<TokenStream>> Submit() const;
  void Append(std::string_view role, std::string_view content);

  Engine& engine_;
  PromptEncoder encoder_;  // the API's own: the same conversation gives the same tokens
  SamplingParams sampling_;
  std::string system_;
  Json messages_ = Json::array();
};

}  // namespace autoglm
