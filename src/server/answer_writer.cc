#include "server/answer_writer.h"

#include <utility>

#include "openai/error.h"

namespace autoglm {
namespace {

// An answer breaks off when the server breaks or stops: another one may be tried at once.
constexpr int64_t kRetryAfterFailureSeconds = 1;

int SendFailure(const ReplyChannel& channel, const Error& error, const Clock& clock) {
  http::Response response = ErrorReply(error, kRetryAfterFailureSeconds);
  channel.AddCommonHeaders(response, clock.Now());
  const int status = response.status;
  channel.exchange->Send(std::move(response));
  return status;
}

void SetCachedTokens(ReplyChannel& channel, int64_t num_tokens) {
  constexpr std::string_view kName = "x-cached-tokens";
  std::erase_if(channel.headers, [&](const auto& header) { return header.first == kName; });
  channel.headers.emplace_back(kName, std::to_string(num_tokens));
}

class WholeWriter final : public AnswerWriter {
 public:
  WholeWriter(ReplyChannel channel, ResponseHead head, size_t num_choices, const Clock& clock)
      : channel_(std::move(channel)), head_(std::move(head)), choices_(num_choices), clock_(clock) {}

  void CachedTokens(int64_t num_tokens) override { SetCachedTokens(channel_, num_tokens); }
  void Tokens(size_t, std::span<const TokenId>) override {}
  void Text(size_t choice, std::string_view text) override { choices_[choice].text += text; }
  void Finish(size_t choice, FinishReason reason) override { choices_[choice].finish = reason; }
  void Flush() override {}
  void Complete(const Usage& usage) override {
    http::Response response = JsonReply(200, BuildResponse(head_, choices_, usage));
    channel_.AddCommonHeaders(response, clock_.Now());
    channel_.exchange->Send(std::move(response));
  }
  int Fail(const Error& error) override { return SendFailure(channel_, error, clock_); }
  void KeepAlive() override {}

 private:
  ReplyChannel channel_;
  const ResponseHead head_;
  std::vector<Choice> choices_;
  const Clock& clock_;
};

class StreamWriter final : public AnswerWriter {
 public:
  StreamWriter(ReplyChannel channel, const ResponseHead& head, size_t num_choices, const StreamOptions& options,
               const Clock& clock)
      : channel_(std::move(channel)),
        chunks_(head, options.usage),
        num_choices_(num_choices),
        ping_interval_(options.ping_interval),
        origin_(options.origin),
        is_continued_(options.is_continued),
        clock_(clock),
        last_write_(clock.Now()) {}

  void CachedTokens(int64_t num_tokens) override {
    if (!is_started_) SetCachedTokens(channel_, num_tokens);
    if (origin_) origin_->num_cached_tokens = num_tokens;
  }
  void Tokens(size_t, std::span<const TokenId> tokens) override {
    if (origin_) unsaid_tokens_.insert(unsaid_tokens_.end(), tokens.begin(), tokens.end());
  }
  void Text(size_t choice, std::string_view text) override {
    OpenChoices();
    SayTokens();
    chunks_.AppendText(pending_, choice, text);
  }
  void Finish(size_t choice, FinishReason reason) override {
    OpenChoices();
    SayTokens();
    chunks_.AppendFinish(pending_, choice, reason);
  }
  void Flush() override {
    if (pending_.empty()) return;
    StartOnce();
    channel_.exchange->Write(std::exchange(pending_, {}));
    last_write_ = clock_.Now();
  }
  void Complete(const Usage& usage) override {
    chunks_.AppendUsage(pending_, usage);
    if (channel_.tells_timing && channel_.active != nullptr) {
      chunks_.AppendTiming(pending_, TimingJson(channel_.active->Snapshot()));
    }
    ChunkWriter::AppendDone(pending_);
    Flush();
    channel_.exchange->End();
  }
  int Fail(const Error& error) override {
    if (!is_started_) return SendFailure(channel_, error, clock_);
    ChunkWriter::AppendError(pending_, ErrorBodyOf(error));
    Flush();
    channel_.exchange->End();
    return 200;
  }
  void KeepAlive() override {
    if (clock_.Now() - last_write_ < ping_interval_) return;
    ChunkWriter::AppendPing(pending_);
    Flush();
  }

 private:
  void OpenChoices() {
    if (std::exchange(is_open_, true)) return;
    if (origin_) ChunkWriter::AppendOrigin(pending_, *origin_);
    if (is_continued_) return;
    for (size_t choice = 0; choice < num_choices_; ++choice) chunks_.AppendRole(pending_, choice);
  }
  void SayTokens() {
    if (!unsaid_tokens_.empty()) ChunkWriter::AppendTokens(pending_, unsaid_tokens_);
    unsaid_tokens_.clear();
  }
  void StartOnce() {
    if (std::exchange(is_started_, true)) return;
    http::Response head{.status = 200,
                        .headers = {{"Content-Type", "text/event-stream; charset=utf-8"},
                                    {"Cache-Control", "no-cache, no-transform"},
                                    {"X-Accel-Buffering", "no"}},
                        .body = {}};
    channel_.AddCommonHeaders(head, clock_.Now());
    channel_.exchange->Start(std::move(head));
  }

  ReplyChannel channel_;
  const ChunkWriter chunks_;
  const size_t num_choices_;
  const Duration ping_interval_;
  std::optional<StreamOrigin> origin_;
  const bool is_continued_;
  std::vector<TokenId> unsaid_tokens_;  // since the last event, where the stream has an origin
  const Clock& clock_;
  TimePoint last_write_;
  std::string pending_;  // events since the last Flush
  bool is_open_ = false;
  bool is_started_ = false;
};

}  // namespace

std::unique_ptr<AnswerWriter> MakeWholeWriter(ReplyChannel channel, ResponseHead head, size_t num_choices, const Clock& clock) {
  return std::make_unique<WholeWriter>(std::move(channel), std::move(head), num_choices, clock);
}

std::unique_ptr<AnswerWriter> MakeStreamWriter(ReplyChannel channel, const ResponseHead& head, size_t num_choices,
                                               const StreamOptions& options, const Clock& clock) {
  return std::make_unique<StreamWriter>(std::move(channel), head, num_choices, options, clock);
}

}  // namespace autoglm
