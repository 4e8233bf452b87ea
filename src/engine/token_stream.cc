#include "engine/token_stream.h"

#include <utility>

namespace autoglm {

TokenStream::Update TokenStream::Take() {
  const std::lock_guard lock(mutex_);
  Update update = pending_;
  pending_.tokens.clear();
  has_news_ = false;
  return update;
}

SequenceTimes TokenStream::times() const {
  const std::lock_guard lock(mutex_);
  return times_;
}

void TokenStream::SetWake(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
  if (has_news_ && wake_) wake_();
}

std::shared_ptr<TokenStream> TokenStream::MakeEnded(FinishReason reason, int64_t num_prompt_tokens) {
  auto stream = std::make_shared<TokenStream>(CancelToken());
  stream->pending_.finish = reason;
  stream->pending_.num_prompt_tokens = num_prompt_tokens;
  stream->has_news_ = true;
  return stream;
}

void TokenStream::Deliver(std::optional<TokenId> token, std::optional<FinishReason> finish, const Sequence& sequence) {
  const std::lock_guard lock(mutex_);
  if (token) pending_.tokens.push_back(*token);
  pending_.finish = finish;
  times_ = sequence.times;
  pending_.num_prompt_tokens = sequence.num_prompt_tokens;
  pending_.num_cached_tokens = sequence.num_cached_tokens;
  pending_.num_generated = sequence.num_generated();
  has_news_ = true;
  if (wake_) wake_();
}

void TokenStream::Fail(FinishReason reason, std::string error) {
  const std::lock_guard lock(mutex_);
  pending_.finish = reason;
  pending_.error = std::move(error);
  has_news_ = true;
  if (wake_) wake_();
}

}  // namespace autoglm
