#include "models/gguf_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "models/architecture.h"
#include "models/transformer_fixture.h"
#include "support/test_paths.h"
#include "weights/dequantize.h"
#include "weights/quantize_file.h"
#include "weights/safetensors_folder.h"

namespace autoglm {
namespace {

// Every golden folder has a GGUF twin that another program made of it.
class GgufExport : public testing::TestWithParam<std::string> {
 protected:
  GgufExport()
      : folder_(std::move(*SafetensorsFolder::Open(GoldenFile("models/" + GetParam())))),
        twin_(std::move(*GgufFile::Open(GoldenFile("gguf/" + GetParam() + ".gguf")))) {
    std::ifstream config(GoldenFile("models/" + GetParam() + "/config.json"));
    config_ = *ModelConfig::FromJson(*ParseJson(std::string(std::istreambuf_iterator<char>(config), {})));
  }
  ~GgufExport() override { std::filesystem::remove(path_); }

  const std::unique_ptr<SafetensorsFolder> folder_;
  const std::unique_ptr<GgufFile> twin_;
  ModelConfig config_;
  const std::filesystem::path path_ =
      std::filesystem::path(testing::TempDir()) / ("export_" + std::to_string(getpid()) + ".gguf");
};
INSTANTIATE_TEST_SUITE_P(Golden, GgufExport,
                         testing::Values("chatglm", "glm", "glm4", "glm4_moe", "glm4_moe_groups", "llama", "qwen2", "qwen3",
                                         "gemma2", "gemma3_text", "smollm2"),
                         [](const auto& test) { return test.param; });

TEST_P(GgufExport, TensorsAreThoseOfTheTwin) {
  const auto model = ExportModel(*folder_, config_, "twin");
  ASSERT_TRUE(model) << model.error().message;
  std::map<std::string, const RowTensor*> exported;
  for (const RowTensor& tensor : model->tensors) exported[tensor.name] = &tensor;
  EXPECT_EQ(exported.size(), twin_->tensors().size());
  for (const TensorView& expected : twin_->tensors()) {
    ASSERT_TRUE(exported.contains(expected.name)) << expected.name;
    const RowTensor& found = *exported.at(expected.name);
    ASSERT_EQ(found.shape, expected.shape) << expected.name;
    std::vector<float> row(static_cast<size_t>(expected.num_columns())), other(row.size());
    for (int64_t i = 0; i < expected.num_rows(); ++i) {
      DequantizeRow(expected, i, row);
      found.read_row(i, other);
      for (size_t k = 0; k < row.size(); ++k)
        ASSERT_NEAR(other[k], row[k], 1e-6f * std::fabs(row[k])) << expected.name << " row " << i;
    }
  }
}

TEST_P(GgufExport, MetadataIsThatOfTheTwin) {
  const auto model = ExportModel(*folder_, config_, "twin");
  ASSERT_TRUE(model) << model.error().message;
  std::map<std::string, GgufValue> exported(model->metadata.begin(), model->metadata.end());
  for (const auto& [key, expected] : twin_->metadata()) {
    if (key.starts_with("tokenizer.") || key.starts_with("general.")) continue;
    ASSERT_TRUE(exported.contains(key)) << key;
    if (const auto* number = std::get_if<double>(&expected)) {
      EXPECT_NEAR(std::get<double>(exported.at(key)), *number, 1e-6 * std::fabs(*number)) << key;
    } else {
      EXPECT_EQ(exported.at(key), expected) << key;
    }
  }
}

TEST_P(GgufExport, WrittenFile_AnswersAsTheFolder) {
  auto model = ExportModel(*folder_, config_, "twin");
  ASSERT_TRUE(model) << model.error().message;
  ThreadPool pool(2);
  const auto written = QuantizeModel(*model, path_, QuantTarget::kF32, pool, [](int64_t) {});
  ASSERT_TRUE(written) << written.error().message;
  const auto file = std::move(*GgufFile::Open(path_));
  const ModelLoadOptions options{.isa = DetectIsa(), .arithmetic = Arithmetic::kExact};
  const auto greedy = [](std::unique_ptr<CausalLm> lm) {
    const int64_t vocab_size = lm->config().vocab_size;
    std::vector<TokenId> prompt;
    prompt.reserve(20);
    for (int64_t i = 0; i < 20; ++i) prompt.push_back(static_cast<TokenId>((i * 7919 + 13) % vocab_size));
    return Runner(std::move(lm), 2, 64).Greedy(prompt, 12);
  };
  EXPECT_EQ(greedy(std::move(*CausalLm::Open(*file, options))), greedy(std::move(*CausalLm::Open(*folder_, config_, options))));
}

}  // namespace
}  // namespace autoglm
