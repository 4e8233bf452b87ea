#include "models/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "support/test_paths.h"

namespace autoglm {
namespace {

using testing::HasSubstr;

Json ReadConfig(const std::filesystem::path& path) {
  std::ifstream stream(path);
  return Json::parse(std::string(std::istreambuf_iterator<char>(stream), {}));
}

Json Golden(const std::string& model, const std::string& file = "config.json") {
  return ReadConfig(GoldenFile("models/" + model + "/" + file));
}

class EveryModel : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Golden, EveryModel,
                         testing::Values("chatglm", "glm", "glm4", "glm4_moe", "glm4_moe_groups", "llama", "smollm2", "qwen2",
                                         "qwen3", "gemma2", "gemma3_text"),
                         [](const auto& test) { return test.param; });

void ExpectSameShape(const ModelConfig& a, const ModelConfig& b) {
  EXPECT_EQ(a.num_layers, b.num_layers);
  EXPECT_EQ(a.hidden_size, b.hidden_size);
  EXPECT_EQ(a.intermediate_size, b.intermediate_size);
  EXPECT_EQ(a.num_heads, b.num_heads);
  EXPECT_EQ(a.num_kv_heads, b.num_kv_heads);
  EXPECT_EQ(a.head_dim, b.head_dim);
  EXPECT_EQ(a.vocab_size, b.vocab_size);
  EXPECT_EQ(a.context_length, b.context_length);
  EXPECT_EQ(a.rms_norm_eps, b.rms_norm_eps);
  EXPECT_EQ(a.has_qkv_bias, b.has_qkv_bias);
  EXPECT_EQ(a.has_qk_norm, b.has_qk_norm);
  EXPECT_EQ(a.has_sandwich_norms, b.has_sandwich_norms);
  EXPECT_EQ(a.embedding_scale, b.embedding_scale);
  EXPECT_EQ(a.attention_softcap, b.attention_softcap);
  EXPECT_EQ(a.logits_softcap, b.logits_softcap);
  EXPECT_EQ(a.layer_is_sliding, b.layer_is_sliding);
  EXPECT_EQ(a.sliding_window, b.sliding_window);
  EXPECT_EQ(a.activation, b.activation);
  EXPECT_EQ(a.sliding_rope.Frequencies(), b.sliding_rope.Frequencies());
  EXPECT_EQ(a.moe.num_experts, b.moe.num_experts);
  EXPECT_EQ(a.moe.num_experts_per_token, b.moe.num_experts_per_token);
  EXPECT_EQ(a.moe.num_groups, b.moe.num_groups);
  EXPECT_EQ(a.moe.num_groups_kept, b.moe.num_groups_kept);
  EXPECT_EQ(a.moe.expert_width, b.moe.expert_width);
  EXPECT_EQ(a.moe.shared_width, b.moe.shared_width);
  EXPECT_EQ(a.moe.num_dense_layers, b.moe.num_dense_layers);
  EXPECT_EQ(a.moe.routed_scale, b.moe.routed_scale);
}

TEST_P(EveryModel, OldAndNewStyleOfConfig_SayTheSame) {
  const Result<ModelConfig> config = ModelConfig::FromJson(Golden(GetParam()));
  ASSERT_TRUE(config) << config.error().message;
  if (GetParam() == "chatglm") return;  // has one style only
  const Result<ModelConfig> legacy = ModelConfig::FromJson(Golden(GetParam(), "config.legacy.json"));
  ASSERT_TRUE(legacy) << legacy.error().message;
  ExpectSameShape(*config, *legacy);
  EXPECT_EQ(config->rope.Frequencies(), legacy->rope.Frequencies());
  EXPECT_EQ(config->rope.pairing, legacy->rope.pairing);
  EXPECT_EQ(config->attention_scale, legacy->attention_scale);
}

TEST_P(EveryModel, FolderAndGguf_SayTheSame) {
  const Result<ModelConfig> folder = ModelConfig::FromJson(Golden(GetParam()));
  ASSERT_TRUE(folder) << folder.error().message;
  const auto file = GgufFile::Open(GoldenFile("gguf/" + GetParam() + ".gguf"));
  const Result<ModelConfig> gguf = ModelConfig::FromGguf(**file);
  ASSERT_TRUE(gguf) << gguf.error().message;
  ExpectSameShape(*folder, *gguf);
}

TEST(ModelConfig, Eos_IsATokenOrAList) {
  Json json = Golden("glm4");
  EXPECT_THAT(ModelConfig::FromJson(json)->eos_tokens, testing::ElementsAre(2));
  json["eos_token_id"] = {151329, 151336, 151338};
  EXPECT_THAT(ModelConfig::FromJson(json)->eos_tokens, testing::ElementsAre(151329, 151336, 151338));
  json["eos_token_id"] = "two";
  EXPECT_EQ(ModelConfig::FromJson(json).error().code, ErrorCode::kCorruptFile);
}

TEST(ModelConfig, TextPartOfAVisionModel_IsReadFromTextConfig) {
  Json text = Golden("glm4");
  text["model_type"] = "glm4v_text";
  text["rope_parameters"] = {
      {"rope_type", "default"}, {"mrope_section", {2, 3, 3}}, {"partial_rotary_factor", 0.5}, {"rope_theta", 10000.0}};
  const Json json = {{"model_type", "glm4v"}, {"text_config", text}, {"vision_config", Json::object()}};
  const Result<ModelConfig> config = ModelConfig::FromJson(json);
  ASSERT_TRUE(config) << config.error().message;
  ExpectSameShape(*config, *ModelConfig::FromJson(Golden("glm4")));
}

// A config with one field changed.
struct Damage {
  std::string model;
  std::string field;
  Json value;
  ErrorCode code;
  std::string message;
};

TEST(ModelConfig, AbsurdValues_AreRefusedByName) {
  const std::vector<Damage> all = {
      {"glm4", "num_hidden_layers", 0, ErrorCode::kCorruptFile, "num_hidden_layers"},
      {"glm4", "num_hidden_layers", 1e12, ErrorCode::kCorruptFile, "num_hidden_layers"},
      {"glm4", "hidden_size", -64, ErrorCode::kCorruptFile, "hidden_size"},
      {"glm4", "hidden_size", "64", ErrorCode::kCorruptFile, "hidden_size"},
      {"glm4", "num_key_value_heads", 3, ErrorCode::kCorruptFile, "key-value heads"},
      {"glm4", "head_dim", 31, ErrorCode::kCorruptFile, "dimensions"},
      {"glm4", "rms_norm_eps", 7, ErrorCode::kCorruptFile, "epsilon"},
      {"glm4", "hidden_act", "relu", ErrorCode::kUnsupported, "relu"},
      {"glm4", "model_type", "mamba", ErrorCode::kUnsupported, "known: "},
      {"glm4", "rope_parameters", {{"rope_theta", -1}}, ErrorCode::kCorruptFile, "RoPE"},
      {"glm4", "rope_parameters", {{"partial_rotary_factor", 3}}, ErrorCode::kCorruptFile, "partial_rotary_factor"},
      {"llama", "rope_parameters", {{"rope_type", "yarn"}}, ErrorCode::kUnsupported, "yarn"},
      {"llama", "vocab_size", nullptr, ErrorCode::kCorruptFile, "vocab_size"},
      {"glm4_moe", "num_experts_per_tok", 9, ErrorCode::kCorruptFile, "num_experts_per_tok"},
      {"glm4_moe", "n_group", 3, ErrorCode::kCorruptFile, "groups"},
      {"glm4_moe_groups", "topk_group", 0, ErrorCode::kCorruptFile, "topk_group"},
      {"gemma3_text", "layer_types", Json::array({"full_attention"}), ErrorCode::kCorruptFile, "sliding layers"},
      {"gemma3_text", "sliding_window", nullptr, ErrorCode::kCorruptFile, "sliding_window"},
      {"gemma2", "query_pre_attn_scalar", 0, ErrorCode::kCorruptFile, "scale of attention"},
      {"chatglm", "kv_channels", 1, ErrorCode::kCorruptFile, "kv_channels"},
      {"chatglm", "rmsnorm", false, ErrorCode::kUnsupported, "rmsnorm"},
  };
  for (const Damage& damage : all) {
    Json json = Golden(damage.model);
    json[damage.field] = damage.value;
    const Result<ModelConfig> config = ModelConfig::FromJson(json);
    ASSERT_FALSE(config) << damage.model << " " << damage.field;
    EXPECT_EQ(config.error().code, damage.code) << config.error().message;
    EXPECT_THAT(config.error().message, HasSubstr(damage.message)) << damage.field;
  }
}

TEST(ModelConfig, WhatIsNoConfig_IsRefused) {
  EXPECT_EQ(ModelConfig::FromJson(Json::array()).error().code, ErrorCode::kCorruptFile);
  EXPECT_EQ(ModelConfig::FromJson(Json::object()).error().code, ErrorCode::kCorruptFile);
}

}  // namespace
}  // namespace autoglm
