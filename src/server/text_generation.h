#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/token_stream.h"
#include "sampling/sampling_params.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/tokenizer.h"

namespace autoglm {

// One token stream as text: whole UTF-8 characters, nothing of a stop string or of the token that ended the answer.
// Used by one thread at a time, except for Cancel.
class TextGeneration {
 public:
  // `tokenizer` outlives the generation.
  TextGeneration(const Tokenizer& tokenizer, std::vector<std::string> stop, std::shared_ptr<TokenStream> stream);

  // Calls back on the engine thread when Take has something new to give; see TokenStream::SetWake.
  void SetWake(std::function<void()> wake) { stream_->SetWake(std::move(wake)); }
  // The text that became complete since the last call. A stop string ends the generation and cancels the stream.
  std::string Take();
  // Any thread. The engine answers with a finish of kCancelled.
  void Cancel() const { stream_->Cancel(); }

  // Set once nothing more will come.
  std::optional<FinishReason> finish() const { return finish_; }
  const std::string& error() const { return update_.error; }  // where finish is kError
  // Up to and including the token that completed the stop.
  int64_t num_completion_tokens() const { return num_completion_tokens_; }
  int64_t num_prompt_tokens() const { return update_.num_prompt_tokens; }
  int64_t num_cached_tokens() const { return update_.num_cached_tokens; }
  const SequenceTimes& times() const { return update_.times; }

 private:
  // False once a stop string was found.
  bool PushToken(TokenId token, std::string& text);
  bool PushText(std::string_view piece, std::string& text);
  bool IsEos(TokenId token) const;

  const Tokenizer* tokenizer_;
  std::shared_ptr<TokenStream> stream_;
  Detokenizer detokenizer_;
  StopMatcher stop_matcher_;
  TokenStream::Update update_;  // the last one
  int64_t num_completion_tokens_ = 0;
  std::optional<FinishReason> finish_;
};

}  // namespace autoglm
