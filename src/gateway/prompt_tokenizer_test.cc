#include "gateway/prompt_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "support/test_paths.h"

namespace autoglm::gateway {
namespace {

class PromptTokenizerTest : public ::testing::Test {
 protected:
  PromptTokenizerTest() : model_(PromptModel::Load(GoldenFile("tokenizer/tiny/qwen2")).value()) {}

  static std::shared_ptr<const http::Request> Request(std::string path, std::string body) {
    auto request = std::make_shared<http::Request>();
    request->path = std::move(path);
    request->body = std::move(body);
    return request;
  }

  // The tokens, and whether they came on the loop's thread.
  std::pair<std::vector<TokenId>, bool> Tokenise(PromptTokenizer& tokenizer, std::shared_ptr<const http::Request> request) {
    std::promise<std::pair<std::vector<TokenId>, bool>> result;
    const auto take = [&](std::vector<TokenId> tokens) { result.set_value({std::move(tokens), thread_.loop().IsOnThread()}); };
    EXPECT_TRUE(tokenizer.Tokenise(model_, std::move(request), thread_.loop(), take));
    return result.get_future().get();
  }

  const std::shared_ptr<const PromptModel> model_;
  http::LoopThread thread_;  // alive when the tokenizer ends
};

TEST_F(PromptTokenizerTest, TokensComeToTheLoopThatAsked) {
  PromptTokenizer tokenizer(2);
  const auto [tokens, was_on_loop] = Tokenise(tokenizer, Request("/v1/completions", R"({"model":"m","prompt":"Hello there"})"));
  EXPECT_EQ(tokens, model_->encoder().EncodeCompletion("Hello there").value());
  EXPECT_TRUE(was_on_loop);
}

TEST_F(PromptTokenizerTest, WhatCannotBeKnown_IsEmpty) {
  PromptTokenizer tokenizer(1);
  EXPECT_TRUE(Tokenise(tokenizer, Request("/v1/completions", "{")).first.empty());
  EXPECT_TRUE(Tokenise(tokenizer, Request("/v1/embeddings", R"({"model":"m","input":"Hello"})")).first.empty());
  // This model has no chat template.
  EXPECT_TRUE(Tokenise(tokenizer, Request("/v1/chat/completions", R"({"model":"m","messages":[{"role":"user","content":"Hi"}]})"))
                  .first.empty());
}

TEST_F(PromptTokenizerTest, BeyondWhatMayWait_NobodyIsMadeToWait) {
  PromptTokenizer tokenizer(1);
  const auto slow = Request("/v1/completions", R"({"model":"m","prompt":")" + std::string(20'000, 'x') + R"("})");
  std::atomic<int> num_done = 0;
  int num_taken = 0;
  for (int i = 0; i < 2 * PromptTokenizer::kMaxWaiting; ++i) {
    if (tokenizer.Tokenise(model_, slow, thread_.loop(), [&](std::vector<TokenId>) { ++num_done; })) ++num_taken;
  }
  EXPECT_GE(num_taken, PromptTokenizer::kMaxWaiting);
  EXPECT_LT(num_taken, 2 * PromptTokenizer::kMaxWaiting);
  while (num_done < num_taken) std::this_thread::yield();
  EXPECT_TRUE(tokenizer.Tokenise(model_, slow, thread_.loop(), [&](std::vector<TokenId>) { ++num_done; }))
      << "there is room again";
  while (num_done <= num_taken) std::this_thread::yield();
}

}  // namespace
}  // namespace autoglm::gateway
