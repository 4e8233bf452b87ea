#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <numeric>
#include <thread>

#include "engine/loaded_model.h"
#include "support/test_paths.h"

namespace autoglm {
namespace {

// Collects a stream until it finishes.
class Collector {
 public:
  explicit Collector(std::shared_ptr<TokenStream> stream) : stream_(std::move(stream)) {
    stream_->SetWake([this] {
      const std::lock_guard lock(mutex_);
      news_ = true;
      condition_.notify_one();
    });
  }
  ~Collector() { stream_->SetWake(nullptr); }

  // Waits until `count` tokens have arrived or the stream has finished.
  void WaitForTokens(size_t count) {
    while (tokens.size() < count && !last.finish) TakeNext();
  }
  void WaitForFinish() {
    while (!last.finish) TakeNext();
  }

  SequenceTimes times() const { return stream_->times(); }

  std::vector<TokenId> tokens;
  TokenStream::Update last;

 private:
  void TakeNext() {
    {
      std::unique_lock lock(mutex_);
      condition_.wait(lock, [this] { return news_; });
      news_ = false;
    }
    last = stream_->Take();
    tokens.insert(tokens.end(), last.tokens.begin(), last.tokens.end());
  }

  std::shared_ptr<TokenStream> stream_;
  std::mutex mutex_;
  std::condition_variable condition_;
  bool news_ = false;
};

class EngineTest : public testing::Test {
 protected:
  std::unique_ptr<Engine> StartEngine(EngineOptions options = {}) {
    auto model = LoadedModel::Load(GoldenFile("gguf/llama.gguf"), {.isa = DetectIsa()});
    EXPECT_TRUE(model) << model.error().message;
    if (options.num_threads == 0) options.num_threads = 2;
    if (options.kv_memory_bytes == 0) options.kv_memory_bytes = 4 << 20;
    auto engine = Engine::Start(*model, options, Clock::Real());
    EXPECT_TRUE(engine) << engine.error().message;
    return std::move(*engine);
  }

  static GenerationRequest Ask(int64_t prompt_length, int64_t max_tokens, TokenId first = 10) {
    GenerationRequest request{.id = "test"};
    for (int64_t i = 0; i < prompt_length; ++i) request.prompt_tokens.push_back(static_cast<TokenId>(3 + (first + i * 31) % 500));
    request.sampling.temperature = 0;
    request.sampling.max_tokens = max_tokens;
    request.sampling.ignore_eos = true;
    return request;
  }

  static std::vector<TokenId> Answer(Engine& engine, GenerationRequest request) {
    auto stream = engine.Submit(std::move(request));
    EXPECT_TRUE(stream) << stream.error().message;
    Collector collector(*stream);
    collector.WaitForFinish();
    return collector.tokens;
  }
};

TEST_F(EngineTest, Generates_MaxTokensAndSaysLength) {
  const auto engine = StartEngine();
  Collector collector(*engine->Submit(Ask(20, 9)));
  collector.WaitForFinish();
  EXPECT_EQ(collector.tokens.size(), 9u);
  EXPECT_EQ(collector.last.finish, FinishReason::kLength);
  EXPECT_EQ(collector.last.num_prompt_tokens, 20);
  const SequenceTimes times = collector.times();
  EXPECT_GE(times.first_token, times.first_scheduled);
  EXPECT_GE(times.first_scheduled, times.enqueued);
  EXPECT_EQ(std::accumulate(times.phases.begin(), times.phases.end(), Duration{}), times.ended - times.enqueued);
  EXPECT_GT(times.Of(SequencePhase::kPrefill), Duration{});
  EXPECT_GT(times.Of(SequencePhase::kDecode), Duration{});
  EXPECT_EQ(times.num_steps, 9);
  EXPECT_GT(times.cpu, Duration{});
}

TEST_F(EngineTest, ManyAtOnce_EachEqualToItsAnswerAlone) {
  const auto engine = StartEngine();
  std::vector<std::vector<TokenId>> alone;
  alone.reserve(24);
  for (int i = 0; i < 24; ++i) alone.push_back(Answer(*StartEngine(), Ask(5 + i * 7, 12, i)));
  std::vector<std::unique_ptr<Collector>> together;
  together.reserve(24);
  for (int i = 0; i < 24; ++i) together.push_back(std::make_unique<Collector>(*engine->Submit(Ask(5 + i * 7, 12, i))));
  for (int i = 0; i < 24; ++i) {
    together[i]->WaitForFinish();
    EXPECT_EQ(together[i]->tokens, alone[i]) << "request " << i;
  }
  EXPECT_TRUE(engine->CheckIntegrity());
}

TEST_F(EngineTest, SamePromptAgain_ReusesItsPrefixAndAnswersTheSame) {
  const auto engine = StartEngine();
  const std::vector<TokenId> first = Answer(*engine, Ask(100, 10));
  Collector again(*engine->Submit(Ask(100, 10)));
  again.WaitForFinish();
  EXPECT_EQ(again.last.num_cached_tokens, 99);
  EXPECT_EQ(again.tokens, first);
}

TEST_F(EngineTest, Seed_DecidesTheAnswer) {
  const auto engine = StartEngine();
  const auto sampled = [](uint64_t seed) {
    GenerationRequest request = Ask(10, 24);
    request.sampling.temperature = 1;
    request.sampling.seed = seed;
    return request;
  };
  const std::vector<TokenId> answer = Answer(*engine, sampled(7));
  EXPECT_EQ(Answer(*engine, sampled(7)), answer);
  EXPECT_NE(Answer(*engine, sampled(8)), answer);
}

// As if the engine had sampled the first tokens itself: the same draws, penalties and end, with drafts and without.
TEST_F(EngineTest, ContinuedAnswer_IsTheRestOfTheWholeOne) {
  const auto first = StartEngine();
  const auto second = StartEngine();
  const auto plain = StartEngine({.speculates = false});
  for (const float temperature : {0.0f, 0.9f}) {
    GenerationRequest request = Ask(40, 50);
    request.sampling.temperature = temperature;
    request.sampling.frequency_penalty = 0.2f;
    request.sampling.repetition_penalty = 1.1f;
    request.sampling.seed = 11;
    const std::vector<TokenId> answer = Answer(*first, request);
    for (const int64_t cut : {0, 1, 7, 31, 49}) {
      GenerationRequest rest = request;
      rest.prompt_tokens.insert(rest.prompt_tokens.end(), answer.begin(), answer.begin() + cut);
      rest.num_continued = cut;
      const std::vector<TokenId> expected(answer.begin() + cut, answer.end());
      EXPECT_EQ(Answer(*second, rest), expected) << cut;
      EXPECT_EQ(Answer(*plain, rest), expected) << cut;
    }
  }
  EXPECT_TRUE(second->CheckIntegrity());
}

TEST_F(EngineTest, ContinuedAnswer_CountsThePromptAlone) {
  const auto engine = StartEngine();
  GenerationRequest request = Ask(40, 50);
  request.num_continued = 10;
  Collector collector(*engine->Submit(std::move(request)));
  collector.WaitForFinish();
  EXPECT_EQ(collector.tokens.size(), 40u);
  EXPECT_EQ(collector.last.num_prompt_tokens, 30);
  EXPECT_EQ(collector.last.num_generated, 50);
}

TEST_F(EngineTest, EndedStream_HasItsEndAtOnce) {
  Collector collector(TokenStream::MakeEnded(FinishReason::kLength, 9));
  collector.WaitForFinish();
  EXPECT_EQ(collector.last.finish, FinishReason::kLength);
  EXPECT_EQ(collector.last.num_prompt_tokens, 9);
}

// Prompts that repeat themselves, so that there is much to draft; at every temperature the drafts change nothing.
TEST_F(EngineTest, Speculation_ChangesNoAnswer) {
  const auto with = StartEngine();
  const auto without = StartEngine({.speculates = false});
  for (int i = 0; i < 12; ++i) {
    GenerationRequest request = Ask(20, 60, i);
    const std::vector<TokenId> once = request.prompt_tokens;
    for (int copy = 0; copy < 2; ++copy) request.prompt_tokens.insert(request.prompt_tokens.end(), once.begin(), once.end());
    request.sampling.temperature = i % 3 == 0 ? 0.0f : 0.3f * static_cast<float>(i % 3);
    request.sampling.repetition_penalty = i % 4 == 3 ? 1.1f : 1.0f;
    request.sampling.seed = 5;
    EXPECT_EQ(Answer(*with, request), Answer(*without, request)) << i;
    EXPECT_TRUE(with->CheckIntegrity());
  }
  EXPECT_GT(with->stats().speculation.num_drafted, 0);
  EXPECT_EQ(without->stats().speculation.num_drafted, 0);
}

// On an engine that has learned no costs yet, whatever the machine's speed: the first repetitions are drafted.
TEST_F(EngineTest, Speculation_AcceptsWhatRepeats) {
  const auto engine = StartEngine();
  GenerationRequest request = Ask(20, 40);
  request.sampling.logit_bias = {{TokenId{7}, 100.0f}};
  EXPECT_EQ(Answer(*engine, request), std::vector<TokenId>(40, 7));
  EXPECT_TRUE(engine->CheckIntegrity());
  EXPECT_GT(engine->stats().speculation.num_accepted, 0);
}

TEST_F(EngineTest, Cancel_EndsTheStreamAndFreesItsBlocks) {
  const auto engine = StartEngine();
  auto stream = *engine->Submit(Ask(20, 100000));
  Collector collector(stream);
  collector.WaitForTokens(3);
  stream->Cancel();
  collector.WaitForFinish();
  EXPECT_EQ(collector.last.finish, FinishReason::kCancelled);
  EXPECT_TRUE(engine->CheckIntegrity());
  EXPECT_EQ(engine->stats().blocks.num_used, 0);
  EXPECT_TRUE(engine->IsIdle());
}

TEST_F(EngineTest, PromptLongerThanContext_IsRefusedWithBothNumbers) {
  const auto engine = StartEngine({.context_length = 64});
  const auto refused = engine->Submit(Ask(70, 5));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kContextLengthExceeded);
  EXPECT_THAT(refused.error().message, testing::AllOf(testing::HasSubstr("64"), testing::HasSubstr("70")));
}

TEST_F(EngineTest, BadRequests_AreRefused) {
  const auto engine = StartEngine();
  EXPECT_EQ(engine->Submit({}).error().code, ErrorCode::kInvalidArgument);
  GenerationRequest outside = Ask(5, 5);
  outside.prompt_tokens[2] = 1 << 20;
  EXPECT_EQ(engine->Submit(outside).error().code, ErrorCode::kInvalidArgument);
  GenerationRequest hot = Ask(5, 5);
  hot.sampling.temperature = 99;
  EXPECT_EQ(engine->Submit(hot).error().param, "temperature");
}

TEST_F(EngineTest, FullQueue_IsRefusedAndOthersGoOn) {
  const auto engine = StartEngine({.max_running = 1, .max_waiting = 2});
  std::vector<std::unique_ptr<Collector>> accepted;
  int num_refused = 0;
  for (int i = 0; i < 30; ++i) {
    auto stream = engine->Submit(Ask(10, 40, i));
    if (stream) {
      accepted.push_back(std::make_unique<Collector>(*stream));
    } else {
      EXPECT_EQ(stream.error().code, ErrorCode::kResourceExhausted);
      ++num_refused;
    }
  }
  EXPECT_GT(num_refused, 0);
  for (const auto& collector : accepted) {
    collector->WaitForFinish();
    EXPECT_EQ(collector->tokens.size(), 40u);
  }
}

TEST_F(EngineTest, Submission_IsTakenWholeOrNotAtAll) {
  const auto engine = StartEngine({.max_running = 1, .max_waiting = 3});
  Submission three;
  for (int i = 0; i < 3; ++i) three.requests.push_back(Ask(10, 400, i));
  const auto taken = engine->SubmitTogether(three);
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->size(), 3u);
  const auto refused = engine->SubmitTogether(three);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error.code, ErrorCode::kResourceExhausted);
  EXPECT_GE(refused.error().retry_after_seconds, 1);
  Collector fourth(*engine->Submit(Ask(10, 5)));
  for (const auto& stream : *taken) stream->Cancel();
  fourth.WaitForFinish();
  EXPECT_EQ(fourth.tokens.size(), 5u);
}

TEST_F(EngineTest, DeadlineThatPasses_EndsTheAnswer) {
  const auto engine = StartEngine();
  Submission submission{.timeout = std::chrono::milliseconds(2)};
  submission.requests.push_back(Ask(10, 100'000));
  const auto streams = engine->SubmitTogether(std::move(submission));
  ASSERT_TRUE(streams);
  Collector collector(streams->front());
  collector.WaitForFinish();
  EXPECT_EQ(collector.last.finish, FinishReason::kDeadline);
}

// Long prompts that can wait fill the steps; urgent requests give some of them up, and no answer differs for it.
TEST_F(EngineTest, UrgentRequest_InterruptsAStepThatCanWait) {
  const auto engine = StartEngine({.max_running = 8});
  const auto calm = StartEngine();
  for (int round = 0; round < 100 && engine->stats().num_interrupts == 0; ++round) {
    std::vector<std::unique_ptr<Collector>> slow;
    for (int i = 0; i < 8; ++i) {
      GenerationRequest request = Ask(400, 60, round * 8 + i);
      request.priority = 10;
      slow.push_back(std::make_unique<Collector>(*engine->Submit(request)));
    }
    for (int i = 0; i < 10; ++i) {
      GenerationRequest urgent = Ask(30, 2, 1000 + round * 10 + i);
      urgent.priority = -10;
      EXPECT_EQ(Answer(*engine, urgent), Answer(*calm, urgent));
    }
    for (int i = 0; i < 8; ++i) {
      slow[static_cast<size_t>(i)]->WaitForFinish();
      EXPECT_EQ(slow[static_cast<size_t>(i)]->tokens, Answer(*calm, Ask(400, 60, round * 8 + i)));
    }
  }
  EXPECT_GT(engine->stats().num_interrupts, 0);
  EXPECT_TRUE(engine->CheckIntegrity());
}

TEST_F(EngineTest, TinyPool_PreemptsAndStillAnswersAsAlone) {
  // 12 blocks of 32 tokens for 6 sequences that grow to 4 blocks each.
  const int64_t block_bytes = 32 * 2 * 2 * 2 * 16 * 3;  // BF16, keys and values, 2 heads of 16, 3 layers
  const auto engine = StartEngine({.kv_memory_bytes = 12 * block_bytes});
  std::vector<std::unique_ptr<Collector>> together;
  together.reserve(6);
  for (int i = 0; i < 6; ++i) together.push_back(std::make_unique<Collector>(*engine->Submit(Ask(40, 80, i))));
  const auto roomy = StartEngine();
  for (int i = 0; i < 6; ++i) {
    together[i]->WaitForFinish();
    EXPECT_EQ(together[i]->tokens, Answer(*roomy, Ask(40, 80, i))) << "request " << i;
  }
  EXPECT_TRUE(engine->CheckIntegrity());
}

TEST_F(EngineTest, Drain_RefusesNewRequestsAndFinishesOldOnes) {
  const auto engine = StartEngine();
  Collector running(*engine->Submit(Ask(10, 50)));
  engine->BeginDrain();
  EXPECT_EQ(engine->Submit(Ask(10, 5)).error().code, ErrorCode::kUnavailable);
  running.WaitForFinish();
  EXPECT_EQ(running.tokens.size(), 50u);
}

TEST_F(EngineTest, Destruction_CancelsWhatRuns) {
  auto engine = StartEngine();
  Collector running(*engine->Submit(Ask(10, 100000)));
  running.WaitForTokens(1);
  engine.reset();
  running.WaitForFinish();
  EXPECT_EQ(running.last.finish, FinishReason::kCancelled);
}

TEST_F(EngineTest, TwoThreadsSubmitting_AllAnswered) {
  const auto engine = StartEngine();
  const auto ask_some = [&](TokenId first) {
    for (TokenId i = 0; i < 10; ++i) EXPECT_EQ(Answer(*engine, Ask(8, 6, first + i)).size(), 6u);
  };
  std::thread other([&] { ask_some(100); });
  ask_some(200);
  other.join();
}

}  // namespace
}  // namespace autoglm
