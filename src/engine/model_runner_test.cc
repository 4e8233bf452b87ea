#include "engine/model_runner.h"

#include <gtest/gtest.h>

#include "engine/kv_cache.h"
#include "support/test_paths.h"

namespace autoglm {
namespace {

// A tiny model and one sequence of eight tokens, none of which asks to be sampled.
class ModelRunnerTest : public testing::Test {
 protected:
  ModelRunnerTest() {
    sequence_.tokens = {3, 4, 5, 6, 7, 8, 9, 10};
    EXPECT_TRUE(kv_->blocks().Grow(sequence_.block_table, sequence_.num_tokens()));
  }
  StepPlan Plan() { return {.slices = {{.sequence = &sequence_, .num_tokens = 8}}, .num_tokens = 8}; }

  const std::shared_ptr<LoadedModel> model_ = *LoadedModel::Load(GoldenFile("gguf/llama.gguf"), {.isa = DetectIsa()});
  const std::unique_ptr<KvCache> kv_ = *KvCache::Create(model_->lm().kv_layout(), 4);
  ThreadPool pool_{2};
  ModelRunner runner_{*model_, kv_->pool(), pool_};
  std::atomic<bool> interrupt_{false};
  Sequence sequence_;
};

TEST_F(ModelRunnerTest, StepThatLoadsWeights_SaysNothingOfWhatStepsTake) {
  ASSERT_FALSE(model_->lm().load_progress().is_complete());
  EXPECT_EQ(runner_.Run(Plan(), interrupt_)->seconds, 0);
  while (!model_->lm().load_progress().is_complete()) model_->lm().LoadNext(pool_);
  EXPECT_GT(runner_.Run(Plan(), interrupt_)->seconds, 0);
}

TEST_F(ModelRunnerTest, Interrupted_GivesNothing) {
  interrupt_ = true;
  EXPECT_EQ(runner_.Run(Plan(), interrupt_), nullptr);
  interrupt_ = false;
  EXPECT_NE(runner_.Run(Plan(), interrupt_), nullptr);
}

}  // namespace
}  // namespace autoglm
