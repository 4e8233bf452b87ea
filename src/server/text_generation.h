#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/token_stream.h"
#include "sampling/sampling_params.h"
#include "server/answer_text.h"

namespace autoglm {

// One token stream as text, without the token that ended the answer. Used by one thread at a time, except for Cancel.
class TextGeneration {
 public:
  TextGeneration(AnswerText text, std::shared_ptr<TokenStream> stream) : text_(std::move(text)), stream_(std::move(stream)) {}

  // Calls back on the engine thread when Take has something new to give; see TokenStream::SetWake.
  void SetWake(std::function<void()> wake) { stream_->SetWake(std::move(wake)); }
  // The text that became complete since the last call. A stop string ends the generation and cancels the stream.
  std::string Take();
  // The tokens that came with the last Take, as far as they belong to the answer: its text and all before account for them.
  std::span<const TokenId> tokens() const { return update_.tokens; }
  // Any thread. The engine answers with a finish of kCancelled.
  void Cancel() const { stream_->Cancel(); }

  // Set once nothing more will come.
  std::optional<FinishReason> finish() const { return finish_; }
  const std::string& error() const { return update_.error; }  // where finish is kError
  // Up to and including the token that completed the stop, or ended the answer.
  int64_t num_completion_tokens() const { return text_.num_tokens() + (ends_with_eos_ ? 1 : 0); }
  int64_t num_generated_here() const { return num_completion_tokens() - text_.num_continued_tokens(); }
  int64_t num_prompt_tokens() const { return update_.num_prompt_tokens; }
  int64_t num_cached_tokens() const { return update_.num_cached_tokens; }
  // As of what was delivered last.
  SequenceTimes times() const { return stream_->times(); }

 private:
  void TakeTokens();
  void Stop();  // at a stop string
  bool IsEos(TokenId token) const;

  AnswerText text_;
  std::shared_ptr<TokenStream> stream_;
  TokenStream::Update update_;  // the last one
  bool ends_with_eos_ = false;
  std::optional<FinishReason> finish_;
};

}  // namespace autoglm
