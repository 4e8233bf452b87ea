#include "cli/chat_session.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "cli/text_format.h"
#include "engine/loaded_model.h"
#include "tokenizer/detokenizer.h"

namespace autoglm {
namespace {

// Wakes the terminal's thread when the engine's thread has something for it. Signals arrive by a descriptor too, so one
// poll waits for both.
class StreamWaiter {
 public:
  static Result<std::unique_ptr<StreamWaiter>> Create(std::shared_ptr<TokenStream> stream) {
    const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) return Fail(ErrorCode::kIo, std::string("cannot wait for the engine: ") + std::strerror(errno));
    return std::unique_ptr<StreamWaiter>(new StreamWaiter(std::move(stream), fd));
  }

  ~StreamWaiter() {
    stream_->SetWake(nullptr);
    close(fd_);
  }

  // Returns when the stream may have news or a signal is waiting.
  void Wait(const SignalWatcher& interrupts) const {
    pollfd waiting[] = {{.fd = fd_, .events = POLLIN, .revents = 0}, {.fd = interrupts.fd(), .events = POLLIN, .revents = 0}};
    poll(waiting, 2, -1);
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t num_read = read(fd_, &count, sizeof(count));
  }

 private:
  StreamWaiter(std::shared_ptr<TokenStream> stream, int fd) : stream_(std::move(stream)), fd_(fd) {
    stream_->SetWake([fd] {
      const uint64_t one = 1;
      [[maybe_unused]] const ssize_t written = write(fd, &one, sizeof(one));
    });
  }

  std::shared_ptr<TokenStream> stream_;
  int fd_;
};

AnswerStats StatsOf(const TokenStream::Update& last, const SequenceTimes& times) {
  AnswerStats stats{.num_prompt_tokens = last.num_prompt_tokens,
                    .num_cached_tokens = last.num_cached_tokens,
                    .num_generated = last.num_generated,
                    .finish = last.finish.value_or(FinishReason::kError)};
  if (last.num_generated > 0) stats.time_to_first_token_s = Seconds(times.first_token - times.enqueued);
  const double decode_s = Seconds(times.last_token - times.first_token);
  if (last.num_generated > 1 && decode_s > 0) stats.tokens_per_s = static_cast<double>(last.num_generated - 1) / decode_s;
  return stats;
}

// Passes text on until the stream has finished; a signal cancels it.
TokenStream::Update Deliver(TokenStream& stream, const StreamWaiter& waiter, SignalWatcher& interrupts, Detokenizer& detokenizer,
                            const std::function<void(std::string_view)>& on_text) {
  while (true) {
    waiter.Wait(interrupts);
    if (interrupts.Take() > 0) stream.Cancel();
    TokenStream::Update update = stream.Take();
    for (const TokenId token : update.tokens) on_text(detokenizer.Push(token));
    if (!update.finish) continue;
    on_text(detokenizer.Flush());
    return update;
  }
}

}  // namespace

std::string FormatAnswerStats(const AnswerStats& stats) {
  std::string text = fmt::format("{} token{}", stats.num_generated, stats.num_generated == 1 ? "" : "s");
  if (stats.tokens_per_s > 0) text += fmt::format(", {:.1f} tokens/s", stats.tokens_per_s);
  if (stats.num_generated > 0) text += fmt::format(", first after {}", FormatSeconds(stats.time_to_first_token_s));
  return text + fmt::format(", {} of {} prompt tokens cached", stats.num_cached_tokens, stats.num_prompt_tokens);
}

Result<ChatSession> ChatSession::Create(Engine& engine, SamplingParams sampling) {
  const LoadedModel& model = engine.model();
  if (model.chat_template() == nullptr) {
    return Fail(ErrorCode::kUnsupported,
                fmt::format("{} has no chat template: chat needs an instruction-tuned model", model.name()));
  }
  AUTOGLM_TRY_VOID(sampling.Validate(model.tokenizer().vocab_size()));
  return ChatSession(engine, std::move(sampling));
}

ChatSession::ChatSession(Engine& engine, SamplingParams sampling)
    : engine_(engine),
      encoder_(engine.model().tokenizer(), engine.model().chat_template(), engine.context_length()),
      sampling_(std::move(sampling)) {}

void ChatSession::Append(std::string_view role, std::string_view content) {
  messages_.push_back({{"role", role}, {"content", content}});
}

void ChatSession::SetSystem(const std::string& text) {
  system_ = text;
  Reset();
}

void ChatSession::Reset() {
  messages_ = Json::array();
  if (!system_.empty()) Append("system", system_);
}

Result<std::shared_ptr<TokenStream>> ChatSession::Submit() const {
  ChatCompletionRequest request;
  request.messages = messages_;
  AUTOGLM_TRY(std::vector<TokenId> prompt, encoder_.EncodeChat(request));
  return engine_.Submit({.id = "chat", .prompt_tokens = std::move(prompt), .sampling = sampling_});
}

Result<AnswerStats> ChatSession::Ask(const std::string& text, SignalWatcher& interrupts,
                                     const std::function<void(std::string_view)>& on_text) {
  Append("user", text);
  const Result<std::shared_ptr<TokenStream>> stream = Submit();
  if (!stream) {
    messages_.erase(messages_.size() - 1);
    return tl::unexpected<Error>(stream.error());
  }

  AUTOGLM_TRY(const std::unique_ptr<StreamWaiter> waiter, StreamWaiter::Create(*stream));
  Detokenizer detokenizer(engine_.model().tokenizer());
  std::string answer;
  const TokenStream::Update last = Deliver(**stream, *waiter, interrupts, detokenizer, [&](std::string_view piece) {
    answer += piece;
    on_text(piece);
  });
  if (last.finish == FinishReason::kError) {
    messages_.erase(messages_.size() - 1);
    return Fail(ErrorCode::kInternal, last.error);
  }
  Append("assistant", answer);
  return StatsOf(last, (*stream)->times());
}

}  // namespace autoglm
