// Every architecture against the reference of its fixture (tests/golden/models): from GGUF on every path, and from the folder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "json/json.h"
#include "models/transformer_fixture.h"
#include "support/test_paths.h"
#include "weights/safetensors_folder.h"

namespace autoglm {
namespace {

enum class From { kGguf, kFolder };

struct Reference {
  std::string model;
  Isa isa;
  From from;
};

std::vector<Reference> AllReferences() {
  std::vector<Reference> all;
  for (const std::string model :
       {"chatglm", "glm", "glm4", "glm4_moe", "glm4_moe_groups", "llama", "smollm2", "qwen2", "qwen3", "gemma2", "gemma3_text"}) {
    for (const Isa isa : SupportedIsas()) all.push_back({model, isa, From::kGguf});
    all.push_back({model, DetectIsa(), From::kFolder});
  }
  return all;
}

class ReferenceModel : public testing::TestWithParam<Reference> {
 protected:
  void SetUp() override {
    const std::filesystem::path folder = GoldenFile("models/" + GetParam().model);
    reference_ = std::make_unique<SafetensorsReader>(folder / "reference.safetensors");
    if (GetParam().from == From::kGguf) {
      file_ = std::move(*GgufFile::Open(GoldenFile("gguf/" + GetParam().model + ".gguf")));
    } else {
      folder_ = std::move(*SafetensorsFolder::Open(folder));
      std::ifstream config(folder / "config.json");
      config_ = *ModelConfig::FromJson(*ParseJson(std::string(std::istreambuf_iterator<char>(config), {})));
    }
  }

  Runner Load(Arithmetic arithmetic) {
    const ModelLoadOptions options{.isa = GetParam().isa, .arithmetic = arithmetic};
    return Runner(std::move(*(file_ ? CausalLm::Open(*file_, options) : CausalLm::Open(*folder_, config_, options))), 2, 64);
  }

  std::unique_ptr<GgufFile> file_;
  std::unique_ptr<SafetensorsFolder> folder_;
  ModelConfig config_;
  std::unique_ptr<SafetensorsReader> reference_;
};
INSTANTIATE_TEST_SUITE_P(Fixture, ReferenceModel, testing::ValuesIn(AllReferences()), [](const auto& test) {
  return test.param.model + (test.param.from == From::kGguf ? "_gguf_" : "_folder_") + std::string(IsaName(test.param.isa));
});

float LargestMagnitude(const std::vector<float>& values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

TEST_P(ReferenceModel, HiddenStatesAndLogits_AreWithinTheLimits) {
  for (const std::string prompt : {"short", "long"}) {
    Runner runner = Load(Arithmetic::kExact);
    const std::vector<TokenId> ids = ReadIds(*reference_, prompt + ".input_ids");
    std::vector<std::vector<float>> hidden;
    runner.lm().SetHiddenStateCapture(&hidden);
    auto sequence = runner.NewSequence(ids, 128);
    const std::vector<float> logits = runner.Forward({{&sequence, static_cast<int64_t>(ids.size())}});

    ASSERT_EQ(std::ssize(hidden), runner.lm().config().num_layers + 1);
    for (size_t layer = 0; layer < hidden.size(); ++layer) {
      const auto expected = reference_->Read<float>(prompt + ".hidden." + std::to_string(layer));
      EXPECT_LE(LargestDifference(hidden[layer], expected), 2e-5 * LargestMagnitude(expected))
          << prompt << " hidden state " << layer;
    }
    const auto expected = reference_->Read<float>(prompt + ".logits");
    EXPECT_LE(LargestDifference(logits, expected), 1e-4 * StandardDeviation(expected)) << prompt;
  }
}

TEST_P(ReferenceModel, GreedyTokens_EqualTheReference) {
  for (const std::string prompt : {"short", "long"}) {
    Runner runner = Load(Arithmetic::kExact);
    EXPECT_EQ(runner.Greedy(ReadIds(*reference_, prompt + ".input_ids"), 32), ReadIds(*reference_, prompt + ".greedy")) << prompt;
  }
}

// The best token of one position, and by how much it is the best.
struct Winner {
  int64_t token = 0;
  float gap = 0;
};
Winner BestOf(std::span<const float> logits) {
  const auto best = std::max_element(logits.begin(), logits.end());
  float second = -INFINITY;
  for (auto logit = logits.begin(); logit != logits.end(); ++logit) {
    if (logit != best) second = std::max(second, *logit);
  }
  return {best - logits.begin(), *best - second};
}

// BF16 keys and values may send a token to another expert than the reference's, which no bound on single logits survives.
TEST_P(ReferenceModel, FastArithmetic_StaysNearTheReference) {
  Runner runner = Load(Arithmetic::kFast);
  const std::vector<TokenId> ids = ReadIds(*reference_, "long.input_ids");
  auto sequence = runner.NewSequence(ids, 128);
  const std::vector<float> logits = runner.Forward({{&sequence, std::ssize(ids)}});
  const auto expected = reference_->Read<float>("long.logits");
  double squares = 0;
  for (size_t i = 0; i < logits.size(); ++i) squares += std::pow(static_cast<double>(logits[i]) - expected[i], 2);
  EXPECT_LE(std::sqrt(squares / static_cast<double>(logits.size())), 0.1 * StandardDeviation(expected));
  if (runner.lm().config().moe.num_experts == 0) {
    EXPECT_LE(LargestDifference(logits, expected), 0.1 * StandardDeviation(expected));
  }
  const auto vocab_size = static_cast<size_t>(runner.lm().config().vocab_size);
  size_t num_clear = 0;
  size_t num_agreeing = 0;
  for (size_t i = 0; i < logits.size(); i += vocab_size) {
    const Winner wanted = BestOf(std::span(expected).subspan(i, vocab_size));
    if (wanted.gap < 0.1 * StandardDeviation(expected)) continue;
    ++num_clear;
    num_agreeing += BestOf(std::span(logits).subspan(i, vocab_size)).token == wanted.token;
  }
  EXPECT_GT(num_clear, ids.size() / 2);
  EXPECT_GE(static_cast<double>(num_agreeing), 0.97 * static_cast<double>(num_clear));
}

}  // namespace
}  // namespace autoglm
