#include "bench/engine_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "support/test_paths.h"
#include "weights/gguf_file.h"

namespace autoglm {
namespace {

using Kind = EngineBenchResult::Kind;

class EngineBenchTest : public testing::Test {
 protected:
  void SetUp() override {
    auto file = GgufFile::Open(GoldenFile("gguf/llama.gguf"));
    ASSERT_TRUE(file) << file.error().message;
    file_ = std::move(*file);
    auto lm = CausalLm::Open(*file_, {.isa = DetectIsa()});
    ASSERT_TRUE(lm) << lm.error().message;
    lm_ = std::move(*lm);
  }

  Result<std::vector<EngineBenchResult>> Run(const EngineBenchOptions& options) {
    return RunEngineBench(*lm_, pool_, options, [](std::string_view) {});
  }

  static constexpr MachinePeaks kPeaks = {
      .int8_ops_per_s = 1e12, .int16_ops_per_s = 5e11, .bf16_ops_per_s = 4e11, .f32_ops_per_s = 2e11, .read_bytes_per_s = 4e10};
  std::unique_ptr<GgufFile> file_;
  std::unique_ptr<CausalLm> lm_;
  ThreadPool pool_{2};
};

TEST_F(EngineBenchTest, MeasuresWhatWasAskedFor) {
  const EngineBenchOptions options{.prefill = {8, 40}, .decode = 4, .depth = {0, 16}, .batch = {1, 3}, .repetitions = 2};
  auto results = Run(options);
  ASSERT_TRUE(results) << results.error().message;
  SetLimits(*lm_, kPeaks, options, *results);
  ASSERT_EQ(results->size(), 6u);
  EXPECT_EQ((*results)[1].kind, Kind::kPrefill);
  EXPECT_EQ((*results)[1].tokens, 40);
  EXPECT_EQ((*results)[5].kind, Kind::kDecode);
  EXPECT_EQ((*results)[5].batch, 3);
  EXPECT_EQ((*results)[5].depth, 16);
  for (const EngineBenchResult& result : *results) {
    EXPECT_EQ(result.tokens_per_s.size(), 2u);
    EXPECT_GT(result.median(), 0);
    EXPECT_GT(result.limit_tokens_per_s, 0);
  }
}

TEST_F(EngineBenchTest, BeyondTheContext_SaysSo) {
  const auto results = Run({.prefill = {1 << 20}, .repetitions = 1});
  ASSERT_FALSE(results);
  EXPECT_EQ(results.error().code, ErrorCode::kContextLengthExceeded);
  EXPECT_THAT(results.error().message, testing::HasSubstr("1048576 tokens of context"));
}

TEST_F(EngineBenchTest, Limits_FollowThePeaks) {
  // Few tokens are bound by memory, many by arithmetic; each by its own peak.
  const StepLimit decode = LimitOf(*lm_, kPeaks, 1, 1, 0);
  EXPECT_EQ(decode.bound, Bound::kMemory);
  MachinePeaks twice = kPeaks;
  twice.read_bytes_per_s *= 2;
  EXPECT_DOUBLE_EQ(LimitOf(*lm_, twice, 1, 1, 0).seconds, decode.seconds / 2);
  const StepLimit prefill = LimitOf(*lm_, kPeaks, 1, 512, 0);
  EXPECT_EQ(prefill.bound, Bound::kCompute);
  EXPECT_GT(LimitOf(*lm_, kPeaks, 1, 512, 4096).seconds, prefill.seconds) << "attention to what stands before";
  EXPECT_GT(LimitOf(*lm_, kPeaks, 2, 512, 0).seconds, 1.99 * prefill.seconds);
}

TEST(EngineBenchResult, MedianOfSamples) {
  EngineBenchResult result;
  EXPECT_EQ(result.median(), 0);
  result.tokens_per_s = {3, 1, 2};
  EXPECT_EQ(result.median(), 2);
  result.tokens_per_s = {4, 1, 2, 3};
  EXPECT_EQ(result.median(), 2.5);
}

}  // namespace
}  // namespace autoglm
