#include "engine/loaded_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "support/test_paths.h"

namespace autoglm {
namespace {

using testing::HasSubstr;

class LoadedModelTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Result<std::shared_ptr<LoadedModel>> Load(const std::filesystem::path& path) {
    return LoadedModel::Load(path, {.isa = DetectIsa(), .arithmetic = Arithmetic::kExact});
  }
  // A copy of a golden folder, to be damaged.
  std::filesystem::path Copy(const std::string& model) {
    std::filesystem::remove_all(folder_);
    std::filesystem::copy(GoldenFile("models/" + model), folder_);
    return folder_;
  }
  // Logits of the last of some tokens.
  std::vector<float> Logits(const LoadedModel& model) {
    const std::vector<TokenId> tokens = model.tokenizer().Encode("the cat sat on the mat", SpecialTokens::kPlain);
    KvPool kv = *KvPool::Create(model.lm().kv_layout(), 2);
    const std::vector<int32_t> blocks = {0, 1};
    const std::vector<ForwardSlice> slices = {
        {.tokens = tokens, .first_position = 0, .block_table = blocks, .logits = ForwardSlice::Logits::kLast}};
    std::vector<float> logits;
    model.lm().Forward(slices, kv, pool_, logits, nullptr);
    return logits;
  }

  ThreadPool pool_{2};
  const std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) / "loaded_model_test";
};

TEST_F(LoadedModelTest, Folder_IsItsGgufTwin) {
  for (const std::string name : {"llama", "glm4_moe"}) {
    const auto folder = Load(GoldenFile("models/" + name + "/"));
    ASSERT_TRUE(folder) << folder.error().message;
    const auto file = Load(GoldenFile("gguf/" + name + ".gguf"));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ((*folder)->name(), name);
    EXPECT_EQ((*folder)->tokenizer().vocab_size(), (*file)->tokenizer().vocab_size());
    EXPECT_EQ((*folder)->tokenizer().eos_tokens(), (*file)->tokenizer().eos_tokens());
    const std::vector<float> expected = Logits(**file);
    const std::vector<float> logits = Logits(**folder);
    ASSERT_EQ(logits.size(), expected.size());
    // The converter turns query rows for another pairing of RoPE, which changes the order of sums.
    for (size_t i = 0; i < logits.size(); ++i) ASSERT_NEAR(logits[i], expected[i], 1e-4) << name << " token " << i;
  }
}

TEST_F(LoadedModelTest, GenerationConfig_AddsEndsOfAnAnswer) {
  std::ofstream(Copy("llama") / "generation_config.json") << R"({"eos_token_id": [2, 7]})";
  const auto model = Load(folder_);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_THAT((*model)->tokenizer().eos_tokens(), testing::IsSupersetOf({2, 7}));
}

TEST_F(LoadedModelTest, WhatIsMissingInAFolder_IsNamed) {
  for (const std::string file : {"config.json", "model.safetensors", "tokenizer.json"}) {
    std::filesystem::remove(Copy("llama") / file);
    const auto model = Load(folder_);
    ASSERT_FALSE(model) << file;
    EXPECT_EQ(model.error().code, ErrorCode::kNotFound) << file;
    EXPECT_THAT(model.error().message, HasSubstr(folder_.filename().string())) << file;
  }
}

TEST_F(LoadedModelTest, BrokenConfig_IsAnErrorThatNamesTheFile) {
  std::ofstream(Copy("llama") / "config.json") << R"({"model_type": "llama", )";
  const auto broken = Load(folder_);
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, ErrorCode::kCorruptFile);
  EXPECT_THAT(broken.error().message, HasSubstr("config.json"));

  std::ofstream(Copy("llama") / "config.json") << std::string(2 << 20, ' ');
  EXPECT_EQ(Load(folder_).error().code, ErrorCode::kCorruptFile);
}

TEST_F(LoadedModelTest, WeightsOfAnotherShapeThanTheConfigSays_AreRefusedByName) {
  std::filesystem::path config = Copy("llama") / "config.json";
  std::ifstream in(config);
  std::string text(std::istreambuf_iterator<char>(in), {});
  const std::string before = R"("intermediate_size": 160)";
  ASSERT_NE(text.find(before), std::string::npos);
  text.replace(text.find(before), before.size(), R"("intermediate_size": 96)");
  std::ofstream(config) << text;
  const auto model = Load(folder_);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kCorruptFile);
  EXPECT_THAT(model.error().message, HasSubstr("model.layers.0.mlp."));
}

}  // namespace
}  // namespace autoglm
