#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/random.h"
#include "models/transformer_fixture.h"
#include "support/gguf_builder.h"
#include "support/test_paths.h"

namespace autoglm {
namespace {

// Rows of random weights of about 1/8 in size, in a file's format.
std::vector<std::byte> RandomRows(Random& random, DType dtype, int64_t rows, int64_t columns) {
  const DTypeInfo& info = Info(dtype);
  std::vector<std::byte> bytes(static_cast<size_t>(rows * columns / info.block_elements * info.block_bytes));
  for (int64_t block = 0; block < rows * columns / info.block_elements; ++block) {
    std::byte* at = bytes.data() + block * info.block_bytes;
    for (int64_t i = 0; i < info.block_bytes; ++i) at[i] = static_cast<std::byte>(random.NextBelow(256));
    const auto value = static_cast<float>(random.NextDouble() - 0.5) / 4;
    const auto bits = std::bit_cast<uint32_t>(value);
    const auto store_half = [&](int64_t offset, uint16_t half) { std::memcpy(at + offset, &half, 2); };
    switch (dtype) {
      case DType::kF32:
        std::memcpy(at, &value, 4);
        break;
      case DType::kBF16:
        store_half(0, static_cast<uint16_t>(bits >> 16));
        break;
      case DType::kF16:
        store_half(0, static_cast<uint16_t>(0x2c00 | (bits >> 16 & 0x8000) | random.NextBelow(1024)));
        break;  // 1/16 .. 1/8
      case DType::kQ4_0:
        store_half(0, 0x2400);
        break;  // 1/64
      case DType::kQ4_1:
        store_half(0, 0x2400), store_half(2, 0xaf80);
        break;  // 1/64, -7.5/64
      case DType::kQ8_0:
      case DType::kIQ4_NL:
        store_half(0, 0x1400);
        break;  // 1/1024
      case DType::kQ5_0:
        store_half(0, 0x2000);
        break;  // 1/128
      case DType::kQ5_1:
        store_half(0, 0x2000), store_half(2, 0xaf80);
        break;  // 1/128, -7.5/64
      default:
        ADD_FAILURE() << "no rows of " << info.name << " are needed";
    }
  }
  return bytes;
}

struct LlamaShape {
  std::string architecture = "llama";
  std::string skip_tensor = "";
  int64_t num_heads = 4;
  int64_t intermediate_key = 160;
};

// A llama of 2 layers with every weight format: hidden 64, 4 query heads over 2, 160 wide, 512 tokens.
GgufBuilder LlamaBuilder(const LlamaShape& shape) {
  GgufBuilder builder;
  builder.Add("general.architecture", shape.architecture);
  const std::string prefix = shape.architecture + ".";
  builder.Add(prefix + "block_count", uint32_t{2}).Add(prefix + "embedding_length", uint32_t{64});
  builder.Add(prefix + "feed_forward_length", static_cast<uint32_t>(shape.intermediate_key));
  builder.Add(prefix + "attention.head_count", static_cast<uint32_t>(shape.num_heads))
      .Add(prefix + "attention.head_count_kv", uint32_t{2});
  builder.Add(prefix + "context_length", uint32_t{4096}).Add(prefix + "attention.layer_norm_rms_epsilon", 1e-5f);
  Random random(99);
  const auto add = [&](const std::string& name, DType dtype, int64_t rows, int64_t columns) {
    if (name != shape.skip_tensor) builder.AddTensor(name, dtype, {rows, columns}, RandomRows(random, dtype, rows, columns));
  };
  const auto add_norm = [&](const std::string& name) {
    if (name == shape.skip_tensor) return;
    const std::vector<float> ones(64, 1.0f);
    builder.AddTensor(name, DType::kF32, {64}, std::as_bytes(std::span(ones)));
  };
  add("token_embd.weight", DType::kQ8_0, 512, 64);
  add_norm("output_norm.weight");
  const DType types[2][7] = {{DType::kQ4_0, DType::kQ4_1, DType::kQ8_0, DType::kQ4_1, DType::kQ4_0, DType::kQ4_1, DType::kQ8_0},
                             {DType::kF16, DType::kQ5_0, DType::kBF16, DType::kF32, DType::kIQ4_NL, DType::kF16, DType::kQ5_1}};
  for (int layer = 0; layer < 2; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    add_norm(block + "attn_norm.weight");
    add_norm(block + "ffn_norm.weight");
    add(block + "attn_q.weight", types[layer][0], 64, 64);
    add(block + "attn_k.weight", types[layer][1], 32, 64);
    add(block + "attn_v.weight", types[layer][2], 32, 64);
    add(block + "attn_output.weight", types[layer][3], 64, 64);
    add(block + "ffn_gate.weight", types[layer][4], 160, 64);
    add(block + "ffn_up.weight", types[layer][5], 160, 64);
    add(block + "ffn_down.weight", types[layer][6], 64, 160);
  }
  return builder;
}

std::unique_ptr<GgufFile> TinyQuantizedLlama() {
  static const std::vector<std::byte> bytes = LlamaBuilder({}).Build();
  return std::move(*GgufFile::Parse(bytes));
}

std::vector<TokenId> SomeTokens(int64_t count, int64_t vocab_size) {
  std::vector<TokenId> tokens;
  tokens.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<TokenId>((i * 7919 + 13) % vocab_size));
  return tokens;
}

// Models the batch-invariance tests run on: a quantised llama on every path, and what other families add on the fastest.
struct Case {
  Isa isa;
  Arithmetic arithmetic;
  std::string golden;  // of tests/golden/gguf; empty: the quantised llama made here
  std::optional<KvType> kv_type = {};

  ModelLoadOptions options() const { return {.isa = isa, .arithmetic = arithmetic, .kv_type = kv_type}; }
};
std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const Isa isa : SupportedIsas()) {
    for (const Arithmetic arithmetic : {Arithmetic::kFast, Arithmetic::kExact}) cases.push_back({isa, arithmetic, ""});
  }
  // Experts, experts in groups, norms after each part, windows with two ropes, caps.
  for (const std::string model : {"glm4_moe", "glm4_moe_groups", "glm4", "gemma3_text", "gemma2"}) {
    cases.push_back({DetectIsa(), Arithmetic::kFast, model});
  }
  for (const Isa isa : SupportedIsas()) cases.push_back({isa, Arithmetic::kFast, "", KvType::kInt8});
  cases.push_back({DetectIsa(), Arithmetic::kFast, "gemma2", KvType::kInt8});
  return cases;
}

std::unique_ptr<GgufFile> Open(const Case& wanted) {
  if (wanted.golden.empty()) return TinyQuantizedLlama();
  return std::move(*GgufFile::Open(GoldenFile("gguf/" + wanted.golden + ".gguf")));
}

class BatchInvariance : public testing::TestWithParam<Case> {
 protected:
  static constexpr int64_t kLength = 600;  // beyond one attention range

  void SetUp() override {
    file_ = Open(GetParam());
    Runner runner(*file_, GetParam().options(), 1);
    tokens_ = SomeTokens(kLength, runner.lm().config().vocab_size);
    Runner::Sequence sequence = runner.NewSequence(tokens_, kLength);
    whole_ = runner.Forward({{&sequence, kLength}});
    vocab_size_ = runner.lm().config().vocab_size;
  }
  // Rows [first, first + count) of the logits of the whole prompt computed at once on one thread.
  std::vector<float> Expected(int64_t first, int64_t count) const {
    return {whole_.begin() + first * vocab_size_, whole_.begin() + (first + count) * vocab_size_};
  }

  std::unique_ptr<GgufFile> file_;
  std::vector<TokenId> tokens_;
  std::vector<float> whole_;
  int64_t vocab_size_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Path, BatchInvariance, testing::ValuesIn(AllCases()), [](const auto& test) {
  const std::string model = test.param.golden.empty() ? "llama" : test.param.golden;
  return model + "_" + std::string(IsaName(test.param.isa)) + (test.param.arithmetic == Arithmetic::kExact ? "_exact" : "_fast") +
         (test.param.kv_type ? "_int8_kv" : "");
});

TEST_P(BatchInvariance, AnyThreadCount_SameBits) {
  for (const int num_threads : {2, 3}) {
    Runner runner(*file_, GetParam().options(), num_threads);
    auto sequence = runner.NewSequence(tokens_, kLength);
    EXPECT_EQ(runner.Forward({{&sequence, kLength}}), whole_) << num_threads << " threads";
  }
}

TEST_P(BatchInvariance, LoadedBeforehand_SameBitsAsLoadedByTheStep) {
  Runner runner(*file_, GetParam().options(), 2);
  runner.LoadAll();
  auto sequence = runner.NewSequence(tokens_, kLength);
  EXPECT_EQ(runner.Forward({{&sequence, 5}}), Expected(0, 5));
  // By rows, with layers that arrive in between.
  Runner late(*file_, GetParam().options(), 2);
  auto other = late.NewSequence(tokens_, kLength);
  EXPECT_FALSE(late.lm().load_progress().is_complete());
  EXPECT_EQ(late.Forward({{&other, 5}}), Expected(0, 5));
  EXPECT_TRUE(late.lm().load_progress().is_complete());
}

TEST_P(BatchInvariance, GivenUpAndComputedAgain_SameBits) {
  for (const bool is_loaded : {false, true}) {
    Runner runner(*file_, GetParam().options(), 2);
    if (is_loaded) runner.LoadAll();
    auto sequence = runner.NewSequence(tokens_, kLength);
    runner.GiveUp(sequence, kLength);
    EXPECT_EQ(runner.Forward({{&sequence, 5}}), Expected(0, 5));
    runner.GiveUp(sequence, 1);
    runner.GiveUp(sequence, kLength - 5);
    EXPECT_EQ(runner.Forward({{&sequence, kLength - 5}}), Expected(5, kLength - 5));
  }
}

TEST_P(BatchInvariance, ChunkedPrefill_SameBitsAsWhole) {
  for (const int num_threads : {1, 2}) {
    Runner runner(*file_, GetParam().options(), num_threads);
    auto sequence = runner.NewSequence(tokens_, kLength);
    for (int64_t done = 0, turn = 0; done < kLength; ++turn) {
      static constexpr int64_t kChunks[] = {1, 5, 12, 13, 31, 64, 200};
      const int64_t count = std::min(kChunks[turn % 7], kLength - done);
      ASSERT_EQ(runner.Forward({{&sequence, count}}), Expected(done, count)) << "chunk of " << count << " at " << done;
      done += count;
    }
  }
}

TEST_P(BatchInvariance, BatchedWithOthers_SameBitsAsAlone) {
  Runner runner(*file_, GetParam().options(), 2);
  auto subject = runner.NewSequence(tokens_, kLength);
  auto prompt = runner.NewSequence(SomeTokens(100, vocab_size_ - 1), 100);
  auto stream = runner.NewSequence(SomeTokens(40, vocab_size_ - 2), 40);
  runner.Forward({{&stream, 10}, {&subject, 550}, {&prompt, 3}});
  for (int64_t step = 0; step < 20; ++step) {
    const std::vector<float> logits = runner.Forward({{&prompt, 4}, {&subject, 1}, {&stream, 1}});
    const std::vector<float> of_subject(logits.begin() + 4 * vocab_size_, logits.begin() + 5 * vocab_size_);
    ASSERT_EQ(of_subject, Expected(550 + step, 1)) << "step " << step;
  }
}

TEST_P(BatchInvariance, PrefixOfAnotherSequencesBlocks_SameBitsAsOwn) {
  Runner runner(*file_, GetParam().options(), 2);
  auto first = runner.NewSequence(tokens_, kLength);
  runner.Forward({{&first, kLength}}, Logits::kNone);
  auto second = runner.NewSequence(tokens_, kLength);
  const int64_t shared = 17 * kKvBlockTokens;
  std::copy_n(first.blocks.begin(), 17, second.blocks.begin());
  second.num_computed = shared;
  EXPECT_EQ(runner.Forward({{&second, kLength - shared}}), Expected(shared, kLength - shared));
}

TEST(TransformerQuantized, FastAndMixedArithmetic_CloseToExact) {
  const auto file = TinyQuantizedLlama();
  const std::vector<TokenId> tokens = SomeTokens(50, 512);
  Runner exact(*file, DetectIsa(), Arithmetic::kExact, 1);
  auto reference = exact.NewSequence(tokens, 50);
  const std::vector<float> expected = exact.Forward({{&reference, 50}});
  for (const Arithmetic arithmetic : {Arithmetic::kFast, Arithmetic::kMixed}) {
    Runner runner(*file, DetectIsa(), arithmetic, 1);
    auto sequence = runner.NewSequence(tokens, 50);
    EXPECT_LT(LargestDifference(runner.Forward({{&sequence, 50}}), expected), 0.3 * StandardDeviation(expected));
  }
}

// Of a mixed batch too: fifty tokens of one sequence and one of another.
TEST(TransformerQuantized, MixedArithmetic_PromptBesideAnAnswer_CloseToExact) {
  const auto file = TinyQuantizedLlama();
  const std::vector<TokenId> tokens = SomeTokens(50, 512);
  const auto logits = [&](Arithmetic arithmetic) {
    Runner runner(*file, DetectIsa(), arithmetic, 1);  // a thread's share decides
    auto first = runner.NewSequence(tokens, 50), second = runner.NewSequence(tokens, 50);
    runner.Forward({{&first, 49}}, Logits::kNone);
    return runner.Forward({{&first, 1}, {&second, 50}});
  };
  const std::vector<float> expected = logits(Arithmetic::kExact);
  EXPECT_LT(LargestDifference(logits(Arithmetic::kMixed), expected), 0.3 * StandardDeviation(expected));
}

TEST(KvTypes, Int8_TakesAboutAQuarterOfF32AndStaysNear) {
  const auto file = std::move(*GgufFile::Open(GoldenFile("gguf/llama.gguf")));
  const auto logits = [&](KvType type) {
    Runner runner(*file, {.isa = DetectIsa(), .arithmetic = Arithmetic::kExact, .kv_type = type}, 2);
    auto sequence = runner.NewSequence(SomeTokens(100, 512), 100);
    return runner.Forward({{&sequence, 100}});
  };
  const std::vector<float> exact = logits(KvType::kF32);
  const double spread = StandardDeviation(exact);
  EXPECT_LT(LargestDifference(logits(KvType::kInt8), exact), 0.15 * spread);
  EXPECT_LT(LargestDifference(logits(KvType::kBf16), exact), 0.1 * spread);
  EXPECT_NE(logits(KvType::kInt8), exact);
  const KvLayout layout{.type = KvType::kInt8, .num_layers = 2, .num_kv_heads = 3, .head_dim = 64};
  EXPECT_EQ(layout.block_bytes(), 2 * 3 * 2 * (32 * 64 + 32 * 4));
}

TEST(TransformerLoad, PreparedWeights_GiveTheSameLogits) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / ("prepared_" + std::to_string(getpid()));
  const auto file = std::move(*GgufFile::Open(GoldenFile("gguf/glm4_moe.gguf")));
  const ModelLoadOptions options{.isa = DetectIsa(), .prepared_cache = {.folder = folder, .min_image_bytes = 0}};
  const auto logits = [&](bool expect_prepared) {
    Runner runner(std::move(*CausalLm::Open(*file, options)), 2, 64);
    EXPECT_EQ(runner.lm().load_progress().is_prepared, expect_prepared);
    auto sequence = runner.NewSequence(SomeTokens(50, 512), 50);
    std::vector<float> result = runner.Forward({{&sequence, 50}});
    EXPECT_TRUE(runner.lm().WaitForCache());
    return result;
  };
  const std::vector<float> packed = logits(false);
  EXPECT_EQ(logits(true), packed);
  std::filesystem::remove_all(folder);
}

TEST(TransformerLoad, BrokenFiles_AreRefusedWithTheTensorsName) {
  const auto load = [&](GgufBuilder builder) {
    const std::vector<std::byte> bytes = builder.Build();
    const auto file = std::move(*GgufFile::Parse(bytes));
    return CausalLm::Open(*file, {.isa = Isa::kScalar, .arithmetic = Arithmetic::kExact}).error();
  };
  const Error missing = load(LlamaBuilder({.skip_tensor = "blk.1.ffn_up.weight"}));
  EXPECT_EQ(missing.code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.message, testing::HasSubstr("blk.1.ffn_up.weight"));
  EXPECT_EQ(load(LlamaBuilder({.num_heads = 5})).code, ErrorCode::kCorruptFile);
  EXPECT_EQ(load(LlamaBuilder({.architecture = "mamba"})).code, ErrorCode::kUnsupported);
  EXPECT_EQ(load(LlamaBuilder({.intermediate_key = 96})).code, ErrorCode::kCorruptFile);
}

}  // namespace
}  // namespace autoglm
