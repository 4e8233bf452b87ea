#include "cli/chat_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <sstream>

#include "base/clock.h"
#include "cli/chat_session.h"
#include "support/test_paths.h"

namespace autoglm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

ChatOptions TinyModelOptions() {
  ChatOptions options;
  options.model = GoldenFile("gguf/llama.gguf").string();
  options.compute.threads = 1;
  options.sampling.temperature = 0;
  options.sampling.max_tokens = 8;
  return options;
}

struct Outcome {
  Result<int> exit_code = 0;
  std::string out, err;
};

Outcome Chat(const ChatOptions& options, const std::string& input) {
  std::istringstream in(input);
  std::ostringstream out, err;
  Console console{.in = in, .out = out, .err = err};
  Result<int> exit_code = RunChat(options, console);
  return {std::move(exit_code), out.str(), err.str()};
}

TEST(ChatCommand, PipedLinesAreAnsweredWithoutPrompts) {
  const Outcome once = Chat(TinyModelOptions(), "hello\n");
  ASSERT_EQ(once.exit_code, 0);
  EXPECT_THAT(once.out, AllOf(Not(IsEmpty()), testing::EndsWith("\n"), Not(HasSubstr("\x1b"))));
  const Outcome twice = Chat(TinyModelOptions(), "hello\nhello\n");
  EXPECT_THAT(twice.out, testing::StartsWith(once.out));
  EXPECT_GT(twice.out.size(), once.out.size());
}

TEST(ChatCommand, ResetForgetsTheConversation) {
  const Outcome once = Chat(TinyModelOptions(), "hello\n");
  const Outcome reset = Chat(TinyModelOptions(), "hello\n/reset\nhello\n");
  EXPECT_EQ(reset.out, once.out + once.out);
}

TEST(ChatCommand, SystemMessageIsTheSameAsFlagOrCommand) {
  ChatOptions options = TinyModelOptions();
  const Outcome by_command = Chat(options, "/system be brief\nhello\n");
  options.system = "be brief";
  const Outcome by_flag = Chat(options, "hello\n");
  EXPECT_EQ(by_command.out, by_flag.out);
  EXPECT_NE(by_flag.out, Chat(TinyModelOptions(), "hello\n").out);
}

TEST(ChatCommand, StatsGoToStandardErrorInAPipe) {
  const Outcome outcome = Chat(TinyModelOptions(), "/stats\nhello\n/stats\n");
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("No answer yet."), HasSubstr("8 tokens, "), HasSubstr("prompt tokens cached")));
  EXPECT_THAT(outcome.out, Not(HasSubstr("cached")));
}

TEST(ChatCommand, ExitLeavesTheRestUnread) {
  EXPECT_THAT(Chat(TinyModelOptions(), "/exit\nhello\n").out, IsEmpty());
  EXPECT_THAT(Chat(TinyModelOptions(), "\n   \n").out, IsEmpty());
}

TEST(ChatCommand, UnknownCommandEndsAScript) {
  const Outcome outcome = Chat(TinyModelOptions(), "/dance\n");
  ASSERT_FALSE(outcome.exit_code);
  EXPECT_EQ(outcome.exit_code.error().message, "unknown command /dance; /help lists them");
}

TEST(ChatCommand, ConversationLongerThanTheContextIsRefused) {
  const Outcome outcome = Chat(TinyModelOptions(), std::string(4000, 'x') + "\n");
  ASSERT_FALSE(outcome.exit_code);
  EXPECT_EQ(outcome.exit_code.error().code, ErrorCode::kContextLengthExceeded);
}

class ChatSessionTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::shared_ptr<LoadedModel> model = *OpenModel(GoldenFile("gguf/llama.gguf"), {.threads = 1});
    EngineOptions options;
    options.num_threads = 1;
    engine_ = *Engine::Start(model, options, Clock::Real());
    interrupts_ = *SignalWatcher::Install({SIGUSR1});
  }

  ChatSession Session(int64_t max_tokens) {
    SamplingParams sampling = DefaultChatSampling();
    sampling.temperature = 0;
    sampling.ignore_eos = true;
    sampling.max_tokens = max_tokens;
    return *ChatSession::Create(*engine_, sampling);
  }

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<SignalWatcher> interrupts_;
};

TEST_F(ChatSessionTest, SecondTurnReusesTheFirst) {
  ChatSession session = Session(40);
  const auto ignore = [](std::string_view) {};
  const Result<AnswerStats> first = session.Ask("a question of some length, so that it fills blocks", *interrupts_, ignore);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->num_cached_tokens, 0);
  EXPECT_EQ(first->num_generated, 40);
  EXPECT_EQ(first->finish, FinishReason::kLength);
  const Result<AnswerStats> second = session.Ask("and another", *interrupts_, ignore);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_GE(second->num_cached_tokens, 32);
  EXPECT_TRUE(engine_->CheckIntegrity());
}

TEST_F(ChatSessionTest, SignalStopsTheAnswerAndTheSessionGoesOn) {
  ChatSession session = Session(400);
  raise(SIGUSR1);
  const Result<AnswerStats> stopped = session.Ask("hello", *interrupts_, [](std::string_view) {});
  ASSERT_TRUE(stopped) << stopped.error().message;
  EXPECT_EQ(stopped->finish, FinishReason::kCancelled);
  EXPECT_TRUE(session.Ask("again", *interrupts_, [](std::string_view) {}));
}

TEST_F(ChatSessionTest, RefusedMessageLeavesTheConversationAsItWas) {
  ChatSession session = Session(4);
  std::string before, after;
  ASSERT_FALSE(session.Ask(std::string(4000, 'x'), *interrupts_, [](std::string_view) {}));
  ASSERT_TRUE(session.Ask("hello", *interrupts_, [&](std::string_view piece) { after += piece; }));
  ChatSession fresh = Session(4);
  ASSERT_TRUE(fresh.Ask("hello", *interrupts_, [&](std::string_view piece) { before += piece; }));
  EXPECT_EQ(before, after);
}

TEST_F(ChatSessionTest, SamplingOutOfRangeIsRefused) {
  SamplingParams sampling = DefaultChatSampling();
  sampling.top_p = 0;
  const Result<ChatSession> session = ChatSession::Create(*engine_, sampling);
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().param, "top_p");
}

TEST(FormatAnswerStats, LeavesOutWhatWasNotMeasured) {
  EXPECT_EQ(FormatAnswerStats({.num_prompt_tokens = 158,
                               .num_cached_tokens = 120,
                               .num_generated = 42,
                               .time_to_first_token_s = 0.031,
                               .tokens_per_s = 118.26}),
            "42 tokens, 118.3 tokens/s, first after 31 ms, 120 of 158 prompt tokens cached");
  EXPECT_EQ(FormatAnswerStats({.num_prompt_tokens = 5}), "0 tokens, 0 of 5 prompt tokens cached");
}

}  // namespace
}  // namespace autoglm
