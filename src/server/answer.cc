#include "server/answer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "server/message_text.h"

namespace autoglm {
namespace {

constexpr int kStatusClientGone = 499;  // nobody sees it but the log

Error FailureOf(const TextGeneration& generation) {
  if (generation.finish() == FinishReason::kCancelled)
    return {.code = ErrorCode::kUnavailable, .message = "the server is shutting down"};
  if (generation.finish() == FinishReason::kDeadline) {
    return {.code = ErrorCode::kDeadlineExceeded, .message = "the answer was not complete within the request's timeout"};
  }
  return {.code = ErrorCode::kInternal, .message = "the generation failed: " + generation.error()};
}

// Of the choice that did worst, as the log has one word per request.
FinishReason WorstFinish(const std::vector<AnswerChoice>& choices) {
  FinishReason worst = FinishReason::kStop;
  for (const AnswerChoice& choice : choices)
    worst = std::max(worst, choice.generation.finish().value_or(FinishReason::kCancelled));
  return worst;
}

}  // namespace

Answer::Answer(Parts parts, DeliveryThread& delivery, ServerMetrics& metrics, const Clock& clock)
    : engine_(std::move(parts.engine)),
      choices_(std::move(parts.choices)),
      writer_(std::move(parts.writer)),
      exchange_(std::move(parts.exchange)),
      outcome_(std::move(parts.outcome)),
      permit_(std::move(parts.permit)),
      delivery_(delivery),
      metrics_(metrics),
      model_metrics_(metrics.ForModel(outcome_.model)),
      clock_(clock),
      keeps_text_(outcome_.active != nullptr && outcome_.active->keeps_text()) {}

DeliveryJob::State Answer::Deliver() {
  if (is_done_) return State::kDone;
  if (!is_attached_) Attach();
  for (size_t i = 0; i < choices_.size(); ++i) TakeNews(i);

  const auto is_finished = [](const AnswerChoice& choice) { return choice.generation.finish().has_value(); };
  if (const TextGeneration* failed = FindFailed()) {
    Fail(FailureOf(*failed));
  } else if (std::all_of(choices_.begin(), choices_.end(), is_finished)) {
    Complete();
  } else {
    writer_->Flush();
  }
  return is_done_ ? State::kDone : State::kOpen;
}

void Answer::KeepAlive() {
  if (!is_done_) writer_->KeepAlive();
}

void Answer::Abort() {
  if (!is_done_) Fail({.code = ErrorCode::kUnavailable, .message = "the server is shutting down"});
}

void Answer::OnClientGone() {
  is_client_gone_ = true;
  for (const AnswerChoice& choice : choices_) choice.generation.Cancel();
}

// From here on the streams hold the answer, until Close.
void Answer::Attach() {
  is_attached_ = true;
  for (AnswerChoice& choice : choices_) {
    choice.generation.SetWake([this, self = shared_from_this()] { delivery_.Notify(self); });
  }
  exchange_->OnClientGone([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->OnClientGone();
  });
}

void Answer::TakeNews(size_t choice) {
  TextGeneration& generation = choices_[choice].generation;
  if (generation.finish()) return;
  const int64_t num_before = generation.num_completion_tokens();
  const std::string text = generation.Take();
  if (num_before == 0) RecordFirstToken();
  model_metrics_.generation_tokens.Increment(static_cast<double>(generation.num_completion_tokens() - num_before));
  if (const int64_t num_cached = CountUsage().num_cached_tokens; num_cached > 0) writer_->CachedTokens(num_cached);
  writer_->Tokens(choice, generation.tokens());
  if (!text.empty()) writer_->Text(choice, text);
  if (keeps_text_ && !IsTextFull(choices_[choice].text)) choices_[choice].text += text;
  const std::optional<FinishReason> finish = generation.finish();
  if (finish == FinishReason::kStop || finish == FinishReason::kLength) writer_->Finish(choice, *finish);
}

const TextGeneration* Answer::FindFailed() const {
  for (const AnswerChoice& choice : choices_) {
    const std::optional<FinishReason> finish = choice.generation.finish();
    const bool is_whole = !finish || *finish == FinishReason::kStop || *finish == FinishReason::kLength;
    if (!is_whole) return &choice.generation;
  }
  return nullptr;
}

void Answer::Fail(const Error& error) {
  for (const AnswerChoice& choice : choices_) choice.generation.Cancel();
  const int status = writer_->Fail(error);
  Close(is_client_gone_ ? kStatusClientGone : status);
}

// Recorded before the last bytes go, so that a client that has its answer finds it in the metrics.
void Answer::Complete() {
  Close(is_client_gone_ ? kStatusClientGone : 200);
  writer_->Complete(CountUsage());
}

void Answer::Close(int status) {
  is_done_ = true;
  for (AnswerChoice& choice : choices_) {
    choice.generation.SetWake(nullptr);
    RecordGeneration(choice.generation, choice.generation.finish().value_or(FinishReason::kCancelled), model_metrics_);
    const TimePoint first_token = choice.generation.times().first_token;
    if (first_token == TimePoint{}) continue;
    const Duration time_to_first_token = first_token - outcome_.accepted;
    outcome_.time_to_first_token = std::min(outcome_.time_to_first_token.value_or(time_to_first_token), time_to_first_token);
  }
  RecordStages();
  if (keeps_text_) RecordText();
  const Usage usage = CountUsage();
  outcome_.status = status;
  outcome_.num_prompt_tokens = usage.num_prompt_tokens;
  outcome_.num_cached_tokens = usage.num_cached_tokens;
  outcome_.num_completion_tokens = usage.num_completion_tokens;
  outcome_.finish = WorstFinish(choices_);
  if (permit_) permit_->Settle(usage.num_prompt_tokens + usage.num_completion_tokens);
  permit_.reset();
  RecordRequest(outcome_, metrics_, clock_.Now());
}

// So that the head of a stream can tell what it took. Of several choices the end alone tells.
void Answer::RecordFirstToken() {
  if (outcome_.active == nullptr || recorded_ || choices_.size() != 1) return;
  const SequenceTimes times = choices_.front().generation.times();
  if (times.first_token == TimePoint{}) return;
  RecordPhases(times, nullptr, Stage::kDecode, *outcome_.active);
  recorded_ = times;
}

// Of several choices, those of the one that ended last: until then the request was not over.
void Answer::RecordStages() {
  if (outcome_.active == nullptr) return;
  SequenceTimes last;
  for (const AnswerChoice& choice : choices_) {
    const SequenceTimes times = choice.generation.times();
    if (times.until() > last.until()) last = times;
  }
  RecordPhases(last, recorded_ ? &*recorded_ : nullptr, Stage::kDeliver, *outcome_.active);
  RecordSteps(last, *outcome_.active);
}

void Answer::RecordText() {
  std::vector<ChoiceText> texts;
  texts.reserve(choices_.size());
  for (AnswerChoice& choice : choices_) {
    texts.push_back({std::move(choice.text), choice.generation.finish().value_or(FinishReason::kCancelled)});
  }
  outcome_.active->SetOutputMessages(OutputMessagesJson(texts));
}

// A prompt counts once, however many choices it has.
Usage Answer::CountUsage() const {
  Usage usage;
  std::optional<size_t> last_prompt;
  for (const AnswerChoice& choice : choices_) {
    usage.num_completion_tokens += choice.generation.num_completion_tokens();
    if (last_prompt == choice.prompt_index) continue;
    last_prompt = choice.prompt_index;
    usage.num_prompt_tokens += choice.generation.num_prompt_tokens();
    usage.num_cached_tokens += choice.num_cached_tokens.value_or(choice.generation.num_cached_tokens());
  }
  return usage;
}

}  // namespace autoglm
