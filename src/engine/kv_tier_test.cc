#include "engine/kv_tier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "engine/loaded_model.h"
#include "support/temporary_folder.h"
#include "support/test_disk.h"
#include "support/test_paths.h"

namespace autoglm {
namespace {

constexpr int64_t kBlockBytes = 32 * 2 * 2 * 2 * 16 * 3;  // BF16, keys and values, 2 heads of 16, 3 layers

// A tiny model behind engines that share one folder of blocks.
class KvTierTest : public testing::Test {
 protected:
  EngineOptions Options() const {
    return {.num_threads = 2, .kv_memory_bytes = 4 << 20, .kv_tier = {.disk = {.folder = folder_.path() / "kv", .files = disk_}}};
  }
  static std::unique_ptr<Engine> Start(const EngineOptions& options, ModelLoadOptions load = {.isa = DetectIsa()}) {
    auto model = LoadedModel::Load(GoldenFile("gguf/llama.gguf"), load);
    EXPECT_TRUE(model) << model.error().message;
    auto engine = Engine::Start(*model, options, Clock::Real());
    EXPECT_TRUE(engine) << engine.error().message;
    return *std::move(engine);
  }
  std::unique_ptr<Engine> Start() const { return Start(Options()); }

  static GenerationRequest Ask(int64_t prompt_length, int64_t max_tokens = 8, TokenId first = 10) {
    GenerationRequest request{.id = "test"};
    for (int64_t i = 0; i < prompt_length; ++i) request.prompt_tokens.push_back(static_cast<TokenId>(3 + (first + i * 31) % 500));
    request.sampling.temperature = 0;
    request.sampling.max_tokens = max_tokens;
    request.sampling.ignore_eos = true;
    return request;
  }
  struct Answer {
    std::vector<TokenId> tokens;
    int64_t num_cached = 0;
    std::optional<FinishReason> finish;
  };
  static Answer WaitFor(const std::shared_ptr<TokenStream>& stream) {
    Answer answer;
    while (!answer.finish) {
      const TokenStream::Update update = stream->Take();
      answer.tokens.insert(answer.tokens.end(), update.tokens.begin(), update.tokens.end());
      answer.finish = update.finish;
      answer.num_cached = update.num_cached_tokens;
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    return answer;
  }
  static Answer AnswerTo(Engine& engine, GenerationRequest request) {
    auto stream = engine.Submit(std::move(request));
    EXPECT_TRUE(stream) << stream.error().message;
    return WaitFor(*stream);
  }
  // Computes so many prompts that share nothing.
  static void Flood(Engine& engine, TokenId num_prompts) {
    for (TokenId i = 1; i <= num_prompts; ++i) AnswerTo(engine, Ask(300, 8, i * 77));
  }
  // Stats are as of the last step: an integrity check makes the thread go round.
  static void GoRound(Engine& engine) {
    EXPECT_TRUE(engine.CheckIntegrity());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  static void WaitUntilWritten(Engine& engine, int64_t num_blocks) {
    const auto give_up_at = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (engine.stats().kv_tier.disk.num_written < num_blocks) {
      ASSERT_LT(std::chrono::steady_clock::now(), give_up_at) << "not written";
      GoRound(engine);
    }
  }

  std::vector<std::filesystem::path> Files() const {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path() / "kv")) {
      if (entry.path().extension() == ".kv") files.push_back(entry.path());
    }
    return files;
  }

  const TemporaryFolder folder_;
  const std::shared_ptr<TestDisk> disk_ = std::make_shared<TestDisk>();
};

TEST_F(KvTierTest, AnotherEngineLater_FindsThePrefixAndAnswersTheSame) {
  const Answer alone = AnswerTo(*Start({.num_threads = 2}), Ask(300));
  const Answer first = AnswerTo(*Start(), Ask(300));
  EXPECT_EQ(first.tokens, alone.tokens);
  EXPECT_EQ(first.num_cached, 0);

  const auto engine = Start();
  const Answer second = AnswerTo(*engine, Ask(300));
  EXPECT_EQ(second.num_cached, 288);
  EXPECT_EQ(second.tokens, alone.tokens);
  EXPECT_TRUE(engine->CheckIntegrity());
  EXPECT_EQ(engine->stats().kv_tier.disk.num_read, 9);
  EXPECT_EQ(engine->stats().blocks.num_used, 0);
}

TEST_F(KvTierTest, ConversationThatGoesOn_FindsPromptAndAnswer) {
  std::vector<TokenId> conversation;
  {
    const auto engine = Start();
    GenerationRequest request = Ask(150, 60);
    conversation = request.prompt_tokens;
    const Answer answer = AnswerTo(*engine, std::move(request));
    conversation.insert(conversation.end(), answer.tokens.begin(), answer.tokens.end());
    WaitUntilWritten(*engine, 6);
  }
  GenerationRequest more = Ask(20, 8, 400);
  more.prompt_tokens.insert(more.prompt_tokens.begin(), conversation.begin(), conversation.end());
  const Answer alone = AnswerTo(*Start({.num_threads = 2}), more);
  const Answer restored = AnswerTo(*Start(), more);
  EXPECT_EQ(restored.num_cached, 192) << "the last token of an answer has no keys and values yet";
  EXPECT_EQ(restored.tokens, alone.tokens);
}

TEST_F(KvTierTest, EvictedPrefix_ComesBack) {
  EngineOptions options = Options();
  options.kv_memory_bytes = 24 * kBlockBytes;
  const auto engine = Start(options);
  const Answer first = AnswerTo(*engine, Ask(180));
  WaitUntilWritten(*engine, 5);
  Flood(*engine, 5);
  const Answer again = AnswerTo(*engine, Ask(180));
  EXPECT_EQ(again.tokens, first.tokens);
  EXPECT_GT(again.num_cached, 0);
  EXPECT_GT(engine->stats().kv_tier.disk.num_read, 0);
  EXPECT_TRUE(engine->CheckIntegrity());
}

TEST_F(KvTierTest, CompressedPrefix_ComesBackBitForBit) {
  for (const KvType type : {KvType::kBf16, KvType::kInt8, KvType::kF32}) {
    SCOPED_TRACE(testing::Message() << "type " << static_cast<int>(type));
    const ModelLoadOptions load{.isa = DetectIsa(), .kv_type = type};
    const auto engine =
        Start({.num_threads = 2, .kv_memory_bytes = 24 * kBlockBytes, .kv_tier = {.compressed_bytes = 4 << 20}}, load);
    const Answer first = AnswerTo(*engine, Ask(180));
    Flood(*engine, 11);
    const Answer again = AnswerTo(*engine, Ask(180));
    EXPECT_EQ(again.tokens, first.tokens);
    // No more than that is sure: so small a model may be computed as quickly as it is unpacked.
    EXPECT_GE(again.num_cached, 32);
    GoRound(*engine);
    EXPECT_GE(engine->stats().kv_tier.compressed.num_read, 1);
    EXPECT_GT(engine->stats().kv_tier.compressed.num_stored, 0);
  }
}

TEST_F(KvTierTest, CompressedPrefixThatIsErased_IsForgotten) {
  const auto engine = Start({.num_threads = 2, .kv_memory_bytes = 24 * kBlockBytes, .kv_tier = {.compressed_bytes = 1 << 20}});
  AnswerTo(*engine, Ask(180));
  Flood(*engine, 5);
  std::promise<int64_t> erased;
  engine->ErasePrefix("", Ask(180).prompt_tokens, 0, [&](int64_t count) { erased.set_value(count); });
  erased.get_future().wait();
  EXPECT_EQ(AnswerTo(*engine, Ask(180)).num_cached, 0);
}

TEST_F(KvTierTest, CompressedAndOnTheDisk_EachHasItsPart) {
  EngineOptions options = Options();
  options.kv_memory_bytes = 24 * kBlockBytes;
  options.kv_tier.compressed_bytes = 4 * kBlockBytes;  // of the newest alone
  const auto engine = Start(options);
  const Answer first = AnswerTo(*engine, Ask(180));
  WaitUntilWritten(*engine, 5);
  Flood(*engine, 5);
  const Answer again = AnswerTo(*engine, Ask(180));
  EXPECT_EQ(again.tokens, first.tokens);
  EXPECT_GE(again.num_cached, 32);
  EXPECT_TRUE(engine->CheckIntegrity());
}

TEST_F(KvTierTest, AnotherWayToCompute_FindsNothing) {
  AnswerTo(*Start(), Ask(300));
  EXPECT_EQ(AnswerTo(*Start(Options(), {.isa = Isa::kScalar}), Ask(300)).num_cached, 0);
  EXPECT_EQ(AnswerTo(*Start(Options(), {.isa = DetectIsa(), .arithmetic = Arithmetic::kExact}), Ask(300)).num_cached, 0);
  EXPECT_EQ(AnswerTo(*Start(Options(), {.isa = DetectIsa(), .kv_type = KvType::kInt8}), Ask(300)).num_cached, 0);
  EXPECT_EQ(AnswerTo(*Start(), Ask(300)).num_cached, 288);
}

TEST_F(KvTierTest, DamagedBlock_IsComputedAgain) {
  const Answer first = AnswerTo(*Start(), Ask(300));
  ASSERT_EQ(Files().size(), 9u);
  for (const std::filesystem::path& path : Files()) std::filesystem::resize_file(path, 1000);
  const auto engine = Start();
  const Answer second = AnswerTo(*engine, Ask(300));
  EXPECT_EQ(second.tokens, first.tokens);
  EXPECT_EQ(second.num_cached, 0);
  WaitUntilWritten(*engine, 1);
  EXPECT_EQ(engine->stats().kv_tier.disk.num_damaged, 1) << "the others have not been looked at";
}

TEST_F(KvTierTest, StuckDisk_KeepsNobodyForEver) {
  const Answer first = AnswerTo(*Start(), Ask(300));
  const auto engine = Start();
  AnswerTo(*engine, Ask(100, 8, 444));  // what a prompt costs is known from here on: the wait is short
  disk_->is_stuck = true;
  const auto waits = *engine->Submit(Ask(300));
  EXPECT_FALSE(AnswerTo(*engine, Ask(20, 20, 77)).tokens.empty()) << "others go on";
  const Answer second = WaitFor(waits);
  EXPECT_EQ(second.tokens, first.tokens);
  EXPECT_EQ(second.num_cached, 0);
  EXPECT_TRUE(engine->CheckIntegrity()) << "the reader still has its blocks";
  disk_->is_stuck = false;
  WaitUntilWritten(*engine, 3);
  EXPECT_TRUE(engine->CheckIntegrity());
}

TEST_F(KvTierTest, NobodyWaitsAnyMore_NothingIsReadFurther) {
  AnswerTo(*Start(), Ask(300));
  const auto engine = Start();
  AnswerTo(*engine, Ask(100, 8, 444));
  disk_->is_stuck = true;
  AnswerTo(*engine, Ask(300));
  disk_->is_stuck = false;
  WaitUntilWritten(*engine, 3);
  for (int i = 0; i < 20; ++i) GoRound(*engine);
  EXPECT_LE(engine->stats().kv_tier.disk.num_read, 1) << "the one that the reader was at";
}

TEST_F(KvTierTest, CancelledWhileItWaits_EndsAtOnce) {
  AnswerTo(*Start(), Ask(300));
  const auto engine = Start();
  disk_->is_stuck = true;
  const auto stream = *engine->Submit(Ask(300, 100'000));
  while (engine->stats().num_waiting == 0) GoRound(*engine);
  stream->Cancel();
  EXPECT_EQ(WaitFor(stream).finish, FinishReason::kCancelled);
  EXPECT_TRUE(engine->IsIdle());
  disk_->is_stuck = false;
}

TEST_F(KvTierTest, EndWhileSomebodyWaits_CancelsIt) {
  AnswerTo(*Start(), Ask(300));
  auto engine = Start();
  disk_->is_stuck = true;
  const auto stream = *engine->Submit(Ask(300));
  while (engine->stats().num_waiting == 0) GoRound(*engine);
  std::thread end([&] { engine.reset(); });
  EXPECT_EQ(WaitFor(stream).finish, FinishReason::kCancelled);
  disk_->is_stuck = false;
  end.join();
}

TEST_F(KvTierTest, ManyWithOnePrefix_ReadItOnce) {
  AnswerTo(*Start(), Ask(300));
  const auto engine = Start();
  disk_->is_stuck = true;
  std::vector<std::shared_ptr<TokenStream>> streams;
  for (TokenId i = 0; i < 12; ++i) {
    GenerationRequest request = Ask(300);
    request.prompt_tokens.insert(request.prompt_tokens.end(), {i, i, i});
    streams.push_back(*engine->Submit(std::move(request)));
  }
  while (engine->stats().num_waiting < 12) GoRound(*engine);
  disk_->is_stuck = false;
  for (const auto& stream : streams) EXPECT_EQ(WaitFor(stream).num_cached, 288);
  EXPECT_EQ(engine->stats().kv_tier.disk.num_read, 9);
  EXPECT_TRUE(engine->CheckIntegrity());
}

// The disk holds blocks that a sequence needs which alone fills the pool.
TEST_F(KvTierTest, SlowDiskAndTinyPool_EveryoneIsAnswered) {
  EngineOptions options = Options();
  options.kv_memory_bytes = 12 * kBlockBytes;
  options.kv_tier.compressed_bytes = 6 * kBlockBytes;
  const auto engine = Start(options);
  const auto roomy = Start({.num_threads = 2});
  disk_->write_delay = std::chrono::milliseconds(3);
  disk_->read_delay = std::chrono::milliseconds(1);
  for (int round = 0; round < 3; ++round) {
    std::vector<std::shared_ptr<TokenStream>> streams;
    streams.reserve(6);
    for (TokenId i = 0; i < 6; ++i) streams.push_back(*engine->Submit(Ask(100 + 40 * i, 60, i * 50)));
    for (TokenId i = 0; i < 6; ++i) {
      EXPECT_EQ(WaitFor(streams[static_cast<size_t>(i)]).tokens, AnswerTo(*roomy, Ask(100 + 40 * i, 60, i * 50)).tokens) << i;
      EXPECT_TRUE(engine->CheckIntegrity());
    }
  }
}

TEST_F(KvTierTest, FolderThatCannotBeUsed_StartsNoEngine) {
  folder_.Write("kv", "a file");
  auto model = LoadedModel::Load(GoldenFile("gguf/llama.gguf"), {.isa = DetectIsa()});
  const auto engine = Engine::Start(*model, Options(), Clock::Real());
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace autoglm
