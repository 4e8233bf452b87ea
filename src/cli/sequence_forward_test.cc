#include "cli/sequence_forward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cli/open_model.h"
#include "support/safetensors_reader.h"
#include "support/test_paths.h"

namespace autoglm {
namespace {

using testing::HasSubstr;

class SequenceForwardTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<std::shared_ptr<LoadedModel>> opened =
        OpenModel(GoldenFile("gguf/llama.gguf"), {.threads = 2, .arithmetic = Arithmetic::kExact});
    ASSERT_TRUE(opened) << opened.error().message;
    model_ = *std::move(opened);
  }

  SequenceForward Create(int64_t max_tokens) { return *SequenceForward::Create(model_->lm(), pool_, max_tokens); }

  static std::vector<float> AllLogits(SequenceForward& forward, std::span<const TokenId> tokens) {
    std::vector<float> all;
    int64_t next_position = 0;
    const Status status = forward.Run(tokens, [&](int64_t position, std::span<const float> logits) {
      EXPECT_EQ(position, next_position++);
      all.insert(all.end(), logits.begin(), logits.end());
    });
    EXPECT_TRUE(status) << status.error().message;
    return all;
  }

  std::shared_ptr<LoadedModel> model_;
  ThreadPool pool_{2};
};

TEST_F(SequenceForwardTest, LogitsEqualTheReference) {
  const SafetensorsReader reference(GoldenFile("models/llama/reference.safetensors"));
  for (const std::string prompt : {"short", "long"}) {
    const std::vector<int64_t> ids = reference.Read<int64_t>(prompt + ".input_ids");
    const std::vector<float> expected = reference.Read<float>(prompt + ".logits");
    SequenceForward forward = Create(std::ssize(ids));
    const std::vector<float> logits = AllLogits(forward, std::vector<TokenId>(ids.begin(), ids.end()));
    ASSERT_EQ(logits.size(), expected.size());
    float worst = 0;
    for (size_t i = 0; i < logits.size(); ++i) worst = std::max(worst, std::abs(logits[i] - expected[i]));
    EXPECT_LE(worst, 1e-4f * 2.05f) << prompt;  // 1e-4 of the logits' standard deviation
  }
}

TEST_F(SequenceForwardTest, ChunksDoNotChangeABit) {
  std::vector<TokenId> tokens(300);  // three chunks
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<TokenId>((i * 37 + 5) % 512);
  SequenceForward forward = Create(300);
  const std::vector<float> all = AllLogits(forward, tokens);
  // The first 200 alone: the second chunk ends elsewhere.
  const std::vector<float> part = AllLogits(forward, std::span(tokens).first(200));
  EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin()));
}

TEST_F(SequenceForwardTest, RefusesTokensTheModelDoesNotHave) {
  SequenceForward forward = Create(4);
  for (const TokenId token : {-1, 512}) {
    const Status status = forward.Run(std::vector<TokenId>{1, token}, [](int64_t, std::span<const float>) { FAIL(); });
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(status.error().message, HasSubstr("is not one of this model's, 0 to 511"));
  }
}

TEST_F(SequenceForwardTest, RefusesMoreTokensThanItWasMadeFor) {
  SequenceForward forward = Create(4);
  const Status status = forward.Run(std::vector<TokenId>(5, 1), [](int64_t, std::span<const float>) { FAIL(); });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kContextLengthExceeded);
}

}  // namespace
}  // namespace autoglm
