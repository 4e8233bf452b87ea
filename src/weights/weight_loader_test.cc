#include "weights/weight_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <vector>

#include "base/random.h"
#include "weights/dequantize.h"

namespace autoglm {
namespace {

// Some layers of one matrix and one vector each, in memory.
class MemorySource : public TensorSource {
 public:
  static constexpr int64_t kRows = 40;
  static constexpr int64_t kColumns = 96;

  explicit MemorySource(int num_layers) : values_(static_cast<size_t>(num_layers)) {
    Random random(7);
    for (auto& values : values_) {
      values.resize(static_cast<size_t>(kRows * kColumns));
      for (float& value : values) value = static_cast<float>(random.NextDouble() - 0.5);
    }
    for (int i = 0; i < num_layers; ++i) {
      const auto bytes = std::as_bytes(std::span(values_[static_cast<size_t>(i)]));
      tensors_.push_back({.name = "matrix " + std::to_string(i), .shape = {kRows, kColumns}, .bytes = bytes});
      tensors_.push_back(
          {.name = "vector " + std::to_string(i), .shape = {kColumns}, .bytes = bytes.first(kColumns * sizeof(float))});
    }
  }

  const std::vector<TensorView>& tensors() const override { return tensors_; }
  bool HasTensor(std::string_view name) const override { return FindTensor(name).has_value(); }
  Result<const TensorView*> FindTensor(std::string_view name) const override {
    const auto found = std::ranges::find(tensors_, name, &TensorView::name);
    if (found == tensors_.end()) return Fail(ErrorCode::kNotFound, std::string(name));
    return &*found;
  }
  void DropPages(const TensorView& tensor) const override { ++num_drops[tensor.name]; }
  std::vector<FileIdentity> Identities() const override { return identities; }
  std::vector<std::span<const std::byte>> Headers() const override { return {}; }

  mutable std::map<std::string, int> num_drops;
  std::vector<FileIdentity> identities = {{.device = 1, .inode = 2, .num_bytes = 3, .modified_ns = 4, .changed_ns = 5}};

 private:
  std::vector<std::vector<float>> values_;
  std::vector<TensorView> tensors_;
};

struct Plan {
  std::unique_ptr<WeightLoader> loader;
  std::vector<PackedMatrix> matrices;
  std::vector<std::span<const float>> vectors;
};

Plan PlanAll(const MemorySource& source, WeightPrecision precision = WeightPrecision::kAsStored, float offset = 0) {
  Plan plan{.loader = *WeightLoader::Create(source, 1 << 20, {precision})};
  for (const TensorView& tensor : source.tensors()) {
    if (tensor.shape.size() == 2) {
      plan.matrices.push_back(*plan.loader->AddMatrix(tensor, {MemorySource::kRows, MemorySource::kColumns}));
      continue;
    }
    plan.vectors.push_back(
        *plan.loader->AddVector(tensor, {.size = MemorySource::kColumns, .first = 10, .count = 20, .offset = offset}));
    plan.loader->EndStage();
  }
  return plan;
}

std::vector<std::byte> Panels(const PackedMatrix& matrix) {
  return {matrix.view().data, matrix.view().data + matrix.num_bytes()};
}

class WeightLoaderTest : public testing::Test {
 protected:
  WeightLoaderTest() { std::filesystem::remove_all(folder_); }
  ~WeightLoaderTest() override { std::filesystem::remove_all(folder_); }

  PreparedCacheOptions Cache() const { return {.folder = folder_, .min_image_bytes = 0}; }
  void LoadAll(Plan& plan) {
    while (!plan.loader->is_complete()) plan.loader->LoadNext(pool_);
  }

  const std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) / ("weight_loader_" + std::to_string(getpid()));
  ThreadPool pool_{3};
  MemorySource source_{4};
};

TEST_F(WeightLoaderTest, Plan_ReadsNothingAndKnowsTheSize) {
  Plan plan = PlanAll(source_);
  EXPECT_EQ(plan.loader->num_stages(), 4);
  EXPECT_EQ(plan.loader->num_loaded(), 0);
  EXPECT_GE(plan.loader->num_bytes(), 4 * 48 * 96 * 4);  // whole panels
  EXPECT_TRUE(source_.num_drops.empty());
  for (const PackedMatrix& matrix : plan.matrices) EXPECT_THAT(Panels(matrix), testing::Each(std::byte{0}));
}

TEST_F(WeightLoaderTest, LoadNext_FillsOneStageAndDropsItsPages) {
  Plan plan = PlanAll(source_, WeightPrecision::kAsStored, 1.5f);
  plan.loader->Start({});
  plan.loader->LoadNext(pool_);
  plan.loader->LoadNext(pool_);
  EXPECT_EQ(plan.loader->num_loaded(), 2);
  EXPECT_THAT(source_.num_drops, testing::UnorderedElementsAre(testing::Pair("matrix 0", 1), testing::Pair("vector 0", 1),
                                                               testing::Pair("matrix 1", 1), testing::Pair("vector 1", 1)));
  EXPECT_THAT(Panels(plan.matrices[1]), testing::Contains(testing::Ne(std::byte{0})));
  EXPECT_THAT(Panels(plan.matrices[2]), testing::Each(std::byte{0}));

  std::vector<float> row(MemorySource::kColumns);
  DequantizeRow(**source_.FindTensor("vector 1"), 0, row);
  ASSERT_EQ(plan.vectors[1].size(), 20u);
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(plan.vectors[1][i], row[10 + i] + 1.5f);
}

TEST_F(WeightLoaderTest, AnyNumberOfThreads_PacksTheSame) {
  Plan one = PlanAll(source_), several = PlanAll(source_);
  ThreadPool single(1);
  one.loader->Start({});
  several.loader->Start({});
  while (!one.loader->is_complete()) one.loader->LoadNext(single);
  LoadAll(several);
  for (size_t i = 0; i < one.matrices.size(); ++i) EXPECT_EQ(Panels(one.matrices[i]), Panels(several.matrices[i]));
}

TEST_F(WeightLoaderTest, SecondStart_MapsWhatTheFirstPrepared) {
  Plan first = PlanAll(source_);
  first.loader->Start(Cache());
  EXPECT_FALSE(first.loader->is_prepared());
  LoadAll(first);
  ASSERT_TRUE(first.loader->WaitForCache());

  source_.num_drops.clear();
  Plan second = PlanAll(source_);
  second.loader->Start(Cache());
  EXPECT_TRUE(second.loader->is_prepared());
  EXPECT_TRUE(second.loader->is_complete());
  EXPECT_TRUE(source_.num_drops.empty());
  for (size_t i = 0; i < first.matrices.size(); ++i) EXPECT_EQ(Panels(first.matrices[i]), Panels(second.matrices[i]));
  for (size_t i = 0; i < first.vectors.size(); ++i) EXPECT_THAT(second.vectors[i], testing::ElementsAreArray(first.vectors[i]));
}

TEST_F(WeightLoaderTest, ChangedFilePrecisionOrPlan_IsPackedAnew) {
  Plan first = PlanAll(source_);
  first.loader->Start(Cache());
  LoadAll(first);
  ASSERT_TRUE(first.loader->WaitForCache());

  const auto is_prepared = [&](const MemorySource& source, WeightPrecision precision, float offset) {
    Plan plan = PlanAll(source, precision, offset);
    plan.loader->Start(Cache());
    return plan.loader->is_prepared();
  };
  EXPECT_TRUE(is_prepared(source_, WeightPrecision::kAsStored, 0));
  EXPECT_FALSE(is_prepared(source_, WeightPrecision::kInt8, 0));
  EXPECT_FALSE(is_prepared(source_, WeightPrecision::kAsStored, 1));
  for (int64_t FileIdentity::* time : {&FileIdentity::modified_ns, &FileIdentity::changed_ns}) {
    MemorySource changed(4);
    changed.identities[0].*time += 1;
    EXPECT_FALSE(is_prepared(changed, WeightPrecision::kAsStored, 0));
  }
  MemorySource unnamed(4);
  unnamed.identities.clear();
  EXPECT_FALSE(is_prepared(unnamed, WeightPrecision::kAsStored, 0)) << "what is not from files cannot be recognised";
}

TEST_F(WeightLoaderTest, ReadOnlyUse_WritesNothingAndFindsWhatIsThere) {
  PreparedCacheOptions reads = Cache();
  reads.use = PreparedCacheUse::kRead;
  const auto load = [&](const PreparedCacheOptions& options) {
    Plan plan = PlanAll(source_);
    plan.loader->Start(options);
    const bool is_prepared = plan.loader->is_prepared();
    LoadAll(plan);
    EXPECT_TRUE(plan.loader->WaitForCache());
    return is_prepared;
  };
  EXPECT_FALSE(load(reads));
  EXPECT_FALSE(load(reads));
  EXPECT_FALSE(load(Cache()));
  EXPECT_TRUE(load(reads));
}

TEST_F(WeightLoaderTest, EndedBeforeTheCacheIsWritten_LeavesNoPart) {
  {
    Plan plan = PlanAll(source_);
    plan.loader->Start(Cache());
    LoadAll(plan);
  }
  if (!std::filesystem::exists(folder_)) return;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) EXPECT_EQ(entry.path().extension(), ".weights");
}

TEST_F(WeightLoaderTest, EndedWhileReadingAhead_StopsAtOnce) {
  Plan plan = PlanAll(source_);
  plan.loader->Start({});
  plan.loader->LoadNext(pool_);
}

TEST_F(WeightLoaderTest, UnexpectedShapes_AreRefusedWithTheTensorsName) {
  const auto loader = *WeightLoader::Create(source_, 1 << 20, {});
  const auto vector = loader->AddVector(**source_.FindTensor("vector 2"), {.size = 95, .count = 95});
  ASSERT_FALSE(vector);
  EXPECT_EQ(vector.error().code, ErrorCode::kCorruptFile);
  EXPECT_THAT(vector.error().message, testing::AllOf(testing::HasSubstr("vector 2"), testing::HasSubstr("95")));
  EXPECT_FALSE(loader->AddMatrix(**source_.FindTensor("vector 2"), {1, 96}));
}

}  // namespace
}  // namespace autoglm
