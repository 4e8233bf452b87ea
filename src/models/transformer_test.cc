#include "models/transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/random.h"
#include "support/gguf_builder.h"
#include "support/safetensors_reader.h"
#include "support/test_paths.h"

namespace autoglm {
namespace {

using Logits = ForwardSlice::Logits;

// A loaded model, a KV pool, and sequences whose blocks are handed out in a scattered order.
class Runner {
 public:
  Runner(const GgufFile& file, Isa isa, Arithmetic arithmetic, int num_threads, int64_t num_blocks = 64)
      : pool_(num_threads),
        lm_(std::move(*CausalLm::Load(file, isa, arithmetic, pool_))),
        kv_(std::move(*KvPool::Create(lm_->kv_layout(), num_blocks))),
        num_blocks_(num_blocks) {}

  struct Sequence {
    std::vector<TokenId> tokens;
    std::vector<int32_t> blocks;
    int64_t num_computed = 0;
  };

  Sequence NewSequence(std::vector<TokenId> tokens, int64_t capacity) {
    Sequence sequence{.tokens = std::move(tokens), .blocks = {}};
    for (int64_t token = 0; token < capacity; token += kKvBlockTokens) {
      sequence.blocks.push_back(static_cast<int32_t>((next_block_ * 37 + 11) % num_blocks_));
      ++next_block_;
    }
    return sequence;
  }

  // Computes the next `count` tokens of every sequence in one pass; logits of all of them.
  std::vector<float> Forward(std::vector<std::pair<Sequence*, int64_t>> parts, Logits wanted = Logits::kAll) {
    std::vector<ForwardSlice> slices;
    for (auto& [sequence, count] : parts) {
      slices.push_back({.tokens = std::span(sequence->tokens).subspan(sequence->num_computed, count),
                        .first_position = sequence->num_computed,
                        .block_table = sequence->blocks,
                        .logits = wanted});
      sequence->num_computed += count;
    }
    std::vector<float> logits;
    lm_->Forward(slices, kv_, pool_, logits);
    return logits;
  }

  std::vector<TokenId> Greedy(std::vector<TokenId> prompt, int64_t count) {
    const auto length = static_cast<int64_t>(prompt.size());
    Sequence sequence = NewSequence(std::move(prompt), length + count);
    std::vector<TokenId> answer;
    int64_t pending = length;
    while (static_cast<int64_t>(answer.size()) < count) {
      const std::vector<float> logits = Forward({{&sequence, pending}}, Logits::kLast);
      answer.push_back(static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      sequence.tokens.push_back(answer.back());
      pending = 1;
    }
    return answer;
  }

  CausalLm& lm() { return *lm_; }

 private:
  ThreadPool pool_;
  std::unique_ptr<CausalLm> lm_;
  KvPool kv_;
  int64_t num_blocks_;
  int64_t next_block_ = 0;
};

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
        store_half(0, 0x1400);
        break;  // 1/1024
    }
  }
  return bytes;
}

std::unique_ptr<GgufFile> TinyLlama() { return std::move(*GgufFile::Open(GoldenFile("gguf/llama.gguf"))); }

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
                             {DType::kF16, DType::kQ4_0, DType::kBF16, DType::kF32, DType::kQ8_0, DType::kF16, DType::kQ4_1}};
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

std::vector<TokenId> ReadIds(const SafetensorsReader& reference, const std::string& name) {
  const std::vector<int64_t> ids = reference.Read<int64_t>(name);
  return {ids.begin(), ids.end()};
}

double StandardDeviation(const std::vector<float>& values) {
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  double squares = 0;
  for (const float value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) largest = std::max<double>(largest, std::fabs(a[i] - b[i]));
  return largest;
}

class TransformerPaths : public testing::TestWithParam<Isa> {};
INSTANTIATE_TEST_SUITE_P(Isa, TransformerPaths, testing::ValuesIn(SupportedIsas()),
                         [](const auto& path) { return std::string(IsaName(path.param)); });

TEST_P(TransformerPaths, ExactArithmetic_MatchesReferenceLayerByLayer) {
  const auto file = TinyLlama();
  const SafetensorsReader reference(GoldenFile("llama/reference.safetensors"));
  for (const std::string prompt : {"short", "long"}) {
    Runner runner(*file, GetParam(), Arithmetic::kExact, 2);
    const std::vector<TokenId> ids = ReadIds(reference, prompt + ".input_ids");
    std::vector<std::vector<float>> hidden;
    runner.lm().SetHiddenStateCapture(&hidden);
    auto sequence = runner.NewSequence(ids, 128);
    const std::vector<float> logits = runner.Forward({{&sequence, static_cast<int64_t>(ids.size())}});

    for (size_t layer = 0; layer < hidden.size(); ++layer) {
      const auto expected = reference.Read<float>(prompt + ".hidden." + std::to_string(layer));
      const float largest = std::fabs(
          *std::max_element(expected.begin(), expected.end(), [](float a, float b) { return std::fabs(a) < std::fabs(b); }));
      EXPECT_LE(LargestDifference(hidden[layer], expected), 2e-5 * largest) << prompt << " hidden state " << layer;
    }
    const auto expected = reference.Read<float>(prompt + ".logits");
    EXPECT_LE(LargestDifference(logits, expected), 1e-4 * StandardDeviation(expected)) << prompt;
  }
}

TEST_P(TransformerPaths, ExactArithmetic_GreedyTokensEqualReference) {
  const auto file = TinyLlama();
  const SafetensorsReader reference(GoldenFile("llama/reference.safetensors"));
  for (const std::string prompt : {"short", "long"}) {
    Runner runner(*file, GetParam(), Arithmetic::kExact, 2);
    EXPECT_EQ(runner.Greedy(ReadIds(reference, prompt + ".input_ids"), 32), ReadIds(reference, prompt + ".greedy")) << prompt;
  }
}

std::vector<TokenId> SomeTokens(int64_t count, int64_t vocab_size) {
  std::vector<TokenId> tokens;
  tokens.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<TokenId>((i * 7919 + 13) % vocab_size));
  return tokens;
}

// Models the batch-invariance tests run on: the golden float one, and quantised ones made here.
struct Case {
  Isa isa;
  Arithmetic arithmetic;
};
std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const Isa isa : SupportedIsas()) {
    for (const Arithmetic arithmetic : {Arithmetic::kFast, Arithmetic::kExact}) cases.push_back({isa, arithmetic});
  }
  return cases;
}

class BatchInvariance : public testing::TestWithParam<Case> {
 protected:
  static constexpr int64_t kLength = 600;  // beyond one attention range

  void SetUp() override {
    file_ = TinyQuantizedLlama();
    Runner runner(*file_, GetParam().isa, GetParam().arithmetic, 1);
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
  return std::string(IsaName(test.param.isa)) + (test.param.arithmetic == Arithmetic::kExact ? "_exact" : "_fast");
});

TEST_P(BatchInvariance, AnyThreadCount_SameBits) {
  for (const int num_threads : {2, 3}) {
    Runner runner(*file_, GetParam().isa, GetParam().arithmetic, num_threads);
    auto sequence = runner.NewSequence(tokens_, kLength);
    EXPECT_EQ(runner.Forward({{&sequence, kLength}}), whole_) << num_threads << " threads";
  }
}

TEST_P(BatchInvariance, ChunkedPrefill_SameBitsAsWhole) {
  for (const int num_threads : {1, 2}) {
    Runner runner(*file_, GetParam().isa, GetParam().arithmetic, num_threads);
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
  Runner runner(*file_, GetParam().isa, GetParam().arithmetic, 2);
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
  Runner runner(*file_, GetParam().isa, GetParam().arithmetic, 2);
  auto first = runner.NewSequence(tokens_, kLength);
  runner.Forward({{&first, kLength}}, Logits::kNone);
  auto second = runner.NewSequence(tokens_, kLength);
  const int64_t shared = 17 * kKvBlockTokens;
  std::copy_n(first.blocks.begin(), 17, second.blocks.begin());
  second.num_computed = shared;
  EXPECT_EQ(runner.Forward({{&second, kLength - shared}}), Expected(shared, kLength - shared));
}

TEST(TransformerQuantized, FastArithmetic_CloseToExact) {
  const auto file = TinyQuantizedLlama();
  Runner exact(*file, DetectIsa(), Arithmetic::kExact, 1);
  Runner fast(*file, DetectIsa(), Arithmetic::kFast, 1);
  const std::vector<TokenId> tokens = SomeTokens(50, 512);
  auto a = exact.NewSequence(tokens, 50), b = fast.NewSequence(tokens, 50);
  const std::vector<float> expected = exact.Forward({{&a, 50}});
  EXPECT_LT(LargestDifference(fast.Forward({{&b, 50}}), expected), 0.3 * StandardDeviation(expected));
}

TEST(TransformerLoad, BrokenFiles_AreRefusedWithTheTensorsName) {
  ThreadPool pool(1);
  const auto load = [&](GgufBuilder builder) {
    const std::vector<std::byte> bytes = builder.Build();
    const auto file = std::move(*GgufFile::Parse(bytes));
    return CausalLm::Load(*file, Isa::kScalar, Arithmetic::kExact, pool).error();
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
