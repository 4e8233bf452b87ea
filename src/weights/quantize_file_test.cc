#include "weights/quantize_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <map>

#include "base/random.h"
#include "support/test_paths.h"
#include "weights/dequantize.h"
#include "weights/gguf_writer.h"
#include "weights/quantize.h"

namespace autoglm {
namespace {

// Names and shapes only.
std::map<std::string, TensorPlan> PlanOf(QuantTarget target, const std::map<std::string, std::vector<int64_t>>& shapes,
                                         int64_t num_layers) {
  static std::vector<TensorView> tensors;
  tensors.clear();
  for (const auto& [name, shape] : shapes) tensors.push_back({.name = name, .shape = shape});
  std::map<std::string, TensorPlan> plans;
  for (const TensorPlan& plan : PlanQuantization(tensors, target, num_layers)) plans[plan.tensor->name] = plan;
  return plans;
}

TEST(QuantizePlan, HalfVectorsBecomeF32) {
  static const std::vector<TensorView> tensors = {{.name = "blk.0.attn_norm.weight", .dtype = DType::kBF16, .shape = {256}}};
  for (const QuantTarget target : {QuantTarget::kF32, QuantTarget::kQ4_K}) {
    EXPECT_EQ(PlanQuantization(tensors, target, 1)[0].type, DType::kF32);
  }
}

TEST(QuantizePlan, VectorsAndRoutersStay) {
  const auto plans = PlanOf(QuantTarget::kQ4_0,
                            {{"blk.0.attn_norm.weight", {256}},
                             {"blk.0.ffn_gate_inp.weight", {8, 256}},
                             {"blk.0.attn_q.weight", {64, 256}},
                             {"blk.0.ffn_up_exps.weight", {8, 64, 256}}},
                            1);
  EXPECT_EQ(plans.at("blk.0.attn_norm.weight").type, DType::kF32);
  EXPECT_EQ(plans.at("blk.0.ffn_gate_inp.weight").type, DType::kF32);
  EXPECT_EQ(plans.at("blk.0.attn_q.weight").type, DType::kQ4_0);
  EXPECT_EQ(plans.at("blk.0.ffn_up_exps.weight").type, DType::kQ4_0);
}

TEST(QuantizePlan, HeadGetsSixBitsOrMore) {
  const std::map<std::string, std::vector<int64_t>> tied = {{"token_embd.weight", {500, 256}}};
  const std::map<std::string, std::vector<int64_t>> own_head = {{"token_embd.weight", {500, 256}}, {"output.weight", {500, 256}}};
  for (const QuantTarget target : {QuantTarget::kQ4_0, QuantTarget::kQ5_1, QuantTarget::kQ4_K, QuantTarget::kIQ4_NL}) {
    EXPECT_EQ(PlanOf(target, tied, 1).at("token_embd.weight").type, DType::kQ6_K);
    EXPECT_EQ(PlanOf(target, own_head, 1).at("output.weight").type, DType::kQ6_K);
    EXPECT_EQ(PlanOf(target, own_head, 1).at("token_embd.weight").type, Info(target).type);
  }
  EXPECT_EQ(PlanOf(QuantTarget::kQ8_0, tied, 1).at("token_embd.weight").type, DType::kQ8_0);
  EXPECT_EQ(PlanOf(QuantTarget::kBf16, tied, 1).at("token_embd.weight").type, DType::kBF16);
}

TEST(QuantizePlan, KMixture_SpendsMoreOnValuesAndDownProjectionsOfSomeLayers) {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (int i = 0; i < 16; ++i) {
    for (const char* part : {"attn_v", "ffn_down", "attn_q"}) {
      shapes["blk." + std::to_string(i) + "." + part + ".weight"] = {256, 256};
    }
  }
  const auto plans = PlanOf(QuantTarget::kQ4_K, shapes, 16);
  std::vector<int> sensitive;
  for (int i = 0; i < 16; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    EXPECT_EQ(plans.at(layer + "attn_v.weight").type, plans.at(layer + "ffn_down.weight").type);
    EXPECT_EQ(plans.at(layer + "attn_q.weight").type, DType::kQ4_K);
    if (plans.at(layer + "attn_v.weight").type == DType::kQ6_K) sensitive.push_back(i);
  }
  EXPECT_THAT(sensitive, testing::ElementsAre(0, 1, 4, 7, 10, 13, 14, 15));
}

TEST(QuantizePlan, RowsThatDoNotFit_GetTheNearestTypeThatDoes) {
  const std::map<std::string, std::vector<int64_t>> shapes = {{"blk.0.attn_q.weight", {64, 576}},
                                                              {"blk.0.attn_k.weight", {64, 100}}};
  for (const auto& [target, fallback] : std::map<QuantTarget, DType>{
           {QuantTarget::kQ4_K, DType::kQ5_0}, {QuantTarget::kQ5_K, DType::kQ5_1}, {QuantTarget::kQ6_K, DType::kQ8_0}}) {
    const auto plans = PlanOf(target, shapes, 8);
    EXPECT_EQ(plans.at("blk.0.attn_q.weight").type, fallback);
    EXPECT_TRUE(plans.at("blk.0.attn_q.weight").is_fallback);
    EXPECT_EQ(plans.at("blk.0.attn_k.weight").type, DType::kF16);
  }
}

TEST(QuantizePlan, NamesAreParsed) {
  for (const QuantTargetInfo& target : QuantTargets()) EXPECT_EQ(*ParseQuantTarget(target.name), target.target);
  EXPECT_EQ(*ParseQuantTarget("q4_k_m"), QuantTarget::kQ4_K);
  EXPECT_EQ(*ParseQuantTarget("q5_k_m"), QuantTarget::kQ5_K);
  for (const char* wrong : {"", "q4", "Q4_0", "q6_k_m", "q4_0_m", "int4"}) {
    const auto target = ParseQuantTarget(wrong);
    ASSERT_FALSE(target) << wrong;
    EXPECT_THAT(target.error().message, testing::HasSubstr("q4_k"));
  }
}

TEST(QuantizeByChannel, EachRowHasOneScaleAndRoundsToTheNearestLevel) {
  Random random(11);
  std::vector<float> row(96);
  for (float& value : row) value = static_cast<float>(random.NextDouble() - 0.5);
  row[40] = -0.75f;
  std::vector<std::byte> bytes(3 * 34);
  QuantizeRowByChannel(row, bytes);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.begin() + 2, bytes.begin() + 34));
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.begin() + 2, bytes.begin() + 68));
  std::vector<float> back(96);
  DequantizeRow({.name = "row", .dtype = DType::kQ8_0, .shape = {1, 96}, .bytes = bytes}, 0, back);
  for (size_t i = 0; i < row.size(); ++i) EXPECT_NEAR(back[i], row[i], 0.75f / 127 * 0.51f) << i;
}

TEST(QuantizeByChannel, ZerosNansAndHugeNumbersStayFinite) {
  std::vector<float> row(64, 0.0f);
  std::vector<std::byte> bytes(2 * 34);
  std::vector<float> back(64);
  for (const float odd : {0.0f, std::nanf(""), INFINITY, -3e38f}) {
    row[3] = odd;
    QuantizeRowByChannel(row, bytes);
    DequantizeRow({.name = "row", .dtype = DType::kQ8_0, .shape = {1, 64}, .bytes = bytes}, 0, back);
    for (const float value : back) EXPECT_TRUE(std::isfinite(value)) << odd;
  }
}

class QuantizeFileTest : public testing::Test {
 protected:
  ~QuantizeFileTest() override { std::filesystem::remove(path_); }
  Result<QuantizeReport> Quantize(const GgufFile& source, QuantTarget target) {
    AUTOGLM_TRY(const GgufModel model, ModelOfFile(source));
    return QuantizeModel(model, path_, target, pool_, [this](int64_t weights) { progress_.push_back(weights); });
  }

  const std::filesystem::path path_ =
      std::filesystem::path(testing::TempDir()) / ("quantize_" + std::to_string(getpid()) + ".gguf");
  ThreadPool pool_{3};
  std::vector<int64_t> progress_;
};

TEST_F(QuantizeFileTest, EveryType_KeepsMetadataNamesAndShapesAndComesNearTheNumbers) {
  const auto source = std::move(*GgufFile::Open(GoldenFile("gguf/glm4_moe.gguf")));
  for (const QuantTargetInfo& info : QuantTargets()) {
    const auto report = Quantize(*source, info.target);
    ASSERT_TRUE(report) << info.name << ": " << report.error().message;
    const auto written = std::move(*GgufFile::Open(path_));
    EXPECT_EQ(written->Integer("general.file_type").value(), info.gguf_file_type);
    EXPECT_EQ(written->Integer("general.quantization_version").value(), 2);
    for (const auto& [key, value] : source->metadata()) {
      if (key == "general.file_type" || key == "general.quantization_version") continue;
      ASSERT_TRUE(written->metadata().contains(key)) << key;
      EXPECT_EQ(written->metadata().at(key).index(), value.index()) << key;
    }
    ASSERT_EQ(written->tensors().size(), source->tensors().size());
    for (size_t i = 0; i < source->tensors().size(); ++i) {
      const TensorView& before = source->tensors()[i];
      const TensorView& after = written->tensors()[i];
      ASSERT_EQ(after.name, before.name);
      ASSERT_EQ(after.shape, before.shape);
      std::vector<float> expected(static_cast<size_t>(before.num_columns())), found(expected.size());
      DequantizeRow(before, before.num_rows() - 1, expected);
      DequantizeRow(after, before.num_rows() - 1, found);
      float largest = 0;
      for (const float value : expected) largest = std::max(largest, std::fabs(value));
      for (size_t k = 0; k < expected.size(); ++k)
        EXPECT_NEAR(found[k], expected[k], largest / 7 + 1e-6f) << info.name << before.name;
    }
  }
}

TEST_F(QuantizeFileTest, Progress_GrowsToTheNumberOfWeights) {
  const auto source = std::move(*GgufFile::Open(GoldenFile("gguf/llama.gguf")));
  const auto report = Quantize(*source, QuantTarget::kQ8_0);
  ASSERT_TRUE(report);
  EXPECT_TRUE(std::ranges::is_sorted(progress_));
  EXPECT_EQ(progress_.back(), report->num_weights);
  EXPECT_FALSE(report->was_quantised_before);
  EXPECT_LT(report->num_bytes, report->num_bytes_before / 2);
}

TEST_F(QuantizeFileTest, QuantisingTwice_IsReported) {
  const auto source = std::move(*GgufFile::Open(GoldenFile("gguf/llama.gguf")));
  ASSERT_TRUE(Quantize(*source, QuantTarget::kQ8_0));
  const auto quantised = std::move(*GgufFile::Open(path_));
  const auto again = Quantize(*quantised, QuantTarget::kQ4_0);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->was_quantised_before);
}

TEST_F(QuantizeFileTest, MissingFolder_IsAnErrorBeforeAnyWork) {
  const auto source = std::move(*GgufFile::Open(GoldenFile("gguf/llama.gguf")));
  const auto report =
      QuantizeModel(*ModelOfFile(*source), "/nowhere/at/all.gguf", QuantTarget::kQ8_0, pool_, [](int64_t) { FAIL(); });
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace autoglm
