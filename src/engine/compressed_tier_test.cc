#include "engine/compressed_tier.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <utility>
#include <vector>

namespace autoglm {
namespace {

constexpr int64_t kNumBlocks = 12;

// Passes by so much each time it is looked at.
class TickingClock final : public Clock {
 public:
  explicit TickingClock(Duration tick) : tick_(tick) {}
  TimePoint Now() const override { return now_ += tick_; }

 private:
  const Duration tick_;
  mutable TimePoint now_{};
};

// The tier between a pool of twelve blocks and nothing else: the tests compute, evict and ask themselves.
class CompressedTierTest : public testing::Test {
 protected:
  using Block = std::vector<std::byte>;

  static std::vector<TokenId> Tokens(int64_t num_blocks, TokenId first) {
    std::vector<TokenId> tokens(static_cast<size_t>(num_blocks * kBlockSizeTokens));
    std::iota(tokens.begin(), tokens.end(), first);
    return tokens;
  }

  // Computes a prefix, which is random bits: what each of its blocks holds.
  std::vector<Block> Compute(std::span<const TokenId> tokens, const CacheScope& scope = {}) {
    BlockTable table;
    EXPECT_TRUE(kv_->blocks().Grow(table, std::ssize(tokens)));
    std::vector<Block> contents;
    contents.reserve(table.blocks.size());
    for (const BlockIndex block : table.blocks) {
      for (std::byte& byte : kv_->pool().Block(block)) byte = static_cast<std::byte>(random_());
      contents.push_back(Content(block));
    }
    kv_->blocks().Commit(table, tokens, std::ssize(tokens), scope);
    kv_->blocks().Release(table);
    return contents;
  }
  // Drives everything else out of memory.
  void Flood() { Compute(Tokens(kNumBlocks, 100'000 + 1000 * ++num_floods_)); }
  Block Content(BlockIndex block) const {
    const std::span<const std::byte> bytes = kv_->pool().Block(block);
    return {bytes.begin(), bytes.end()};
  }
  // What memory has of the prefix, block by block.
  std::vector<Block> InMemory(std::span<const TokenId> tokens, const CacheScope& scope = {}) {
    BlockTable table = kv_->blocks().HoldPrefix(tokens, std::ssize(tokens), scope);
    std::vector<Block> contents;
    contents.reserve(table.blocks.size());
    for (const BlockIndex block : table.blocks) contents.push_back(Content(block));
    kv_->blocks().Release(table);
    return contents;
  }
  // A prompt of two blocks that ends and leaves its costs behind.
  void LearnCosts(double seconds) {
    Request request{.prompt_tokens = Tokens(2, 900'000)};
    request.sampling.max_tokens = 1;
    Sequence* const sequence = scheduler_.Enqueue(std::move(request), nullptr).value();
    ASSERT_EQ(scheduler_.Plan().num_tokens, 64);
    scheduler_.Commit({.sampled = {1}, .num_sampled = {1}, .seconds = seconds});
    ASSERT_EQ(sequence->state, SequenceState::kFinished);
    scheduler_.Retire(sequence);
    ASSERT_TRUE(scheduler_.PromptSeconds(0, 32));
  }
  void ExpectIntegrity() {
    const Status status = kv_->blocks().CheckIntegrity();
    EXPECT_TRUE(status) << status.error().message;
  }

  static constexpr KvLayout kLayout{.type = KvType::kBf16, .num_layers = 2, .num_kv_heads = 1, .head_dim = 16};
  static constexpr TimePoint kWhenever = TimePoint::max();

  const TickingClock clock_{std::chrono::milliseconds(1)};
  const std::unique_ptr<KvCache> kv_ = *KvCache::Create(kLayout, kNumBlocks);
  Scheduler scheduler_{{.context_length = 8000, .vocab_size = 1000}, kv_->blocks(), clock_};
  CompressedTier tier_{1 << 20, *kv_, scheduler_, clock_};
  std::mt19937 random_{7};
  int num_floods_ = 0;
};

TEST_F(CompressedTierTest, EvictedPrefix_ComesBackBlockByBlockBitForBit) {
  const std::vector<TokenId> tokens = Tokens(5, 1);
  const std::vector<Block> computed = Compute(tokens);
  Flood();
  ASSERT_TRUE(InMemory(tokens).empty());
  EXPECT_EQ(tier_.stats().num_stored, 5);

  EXPECT_FALSE(tier_.Unpack(tokens, {}, kWhenever));
  EXPECT_EQ(InMemory(tokens), computed);
  EXPECT_EQ(tier_.stats().num_read, 5);
  EXPECT_EQ(tier_.stats().num_stored, 5) << "what made room for them came here";
  ExpectIntegrity();
}

TEST_F(CompressedTierTest, PartThatIsInMemory_StaysAndTheRestFollows) {
  const std::vector<TokenId> tokens = Tokens(6, 1);
  const std::vector<Block> computed = Compute(tokens);
  Compute(Tokens(kNumBlocks - 4, 50'000));  // takes the place of two: the prefix's last
  ASSERT_EQ(InMemory(tokens).size(), 4u);
  EXPECT_FALSE(tier_.Unpack(tokens, {}, kWhenever));
  EXPECT_EQ(InMemory(tokens), computed);
  EXPECT_EQ(tier_.stats().num_read, 2);
  ExpectIntegrity();
}

TEST_F(CompressedTierTest, TimeIsUp_SaysThatThereIsMore) {
  const std::vector<TokenId> tokens = Tokens(5, 1);
  const std::vector<Block> computed = Compute(tokens);
  Flood();
  // A block takes one look before it and one behind it: two milliseconds.
  EXPECT_TRUE(tier_.Unpack(tokens, {}, clock_.Now() + std::chrono::milliseconds(4)));
  EXPECT_EQ(InMemory(tokens).size(), 2u);
  EXPECT_FALSE(tier_.Unpack(tokens, {}, kWhenever));
  EXPECT_EQ(InMemory(tokens), computed);
  ExpectIntegrity();
}

TEST_F(CompressedTierTest, BlocksThatAreInUseOrPromised_AreNotTakenAway) {
  const std::vector<TokenId> tokens = Tokens(5, 1);
  Compute(tokens);
  Flood();
  BlockTable others;
  ASSERT_TRUE(kv_->blocks().Grow(others, 8 * kBlockSizeTokens));
  // Of the four that are left a running sequence has one, needs another for its next token, and one to grow into.
  Request request{.prompt_tokens = Tokens(1, 700'000)};
  request.prompt_tokens.pop_back();
  scheduler_.Enqueue(std::move(request), nullptr).value();
  ASSERT_EQ(scheduler_.Plan().num_tokens, 31);
  scheduler_.Commit({.sampled = {1}, .num_sampled = {1}, .seconds = 0});
  ASSERT_EQ(scheduler_.NumPromisedBlocks() + 1, kv_->blocks().num_available());

  EXPECT_FALSE(tier_.Unpack(tokens, {}, kWhenever));
  EXPECT_EQ(InMemory(tokens).size(), 1u);
  EXPECT_EQ(kv_->blocks().num_available(), 3) << "the unpacked one can be evicted again";
  kv_->blocks().Release(others);
  EXPECT_FALSE(tier_.Unpack(tokens, {}, kWhenever));
  EXPECT_EQ(InMemory(tokens).size(), 5u);
}

TEST_F(CompressedTierTest, QuickerToCompute_StaysWhereItIs) {
  const std::vector<TokenId> tokens = Tokens(3, 1);
  Compute(tokens);
  Flood();
  LearnCosts(1e-9);
  EXPECT_FALSE(tier_.Unpack(tokens, {}, kWhenever));
  EXPECT_TRUE(InMemory(tokens).empty());
  EXPECT_EQ(tier_.stats().num_read, 0);
}

TEST_F(CompressedTierTest, SlowerToCompute_ComesBackUntilUnpackingIsTheSlowerOne) {
  const std::vector<TokenId> tokens = Tokens(8, 1);
  Compute(tokens);
  Flood();
  LearnCosts(0.0005);  // a block takes a quarter of a millisecond; unpacking, by this clock, a whole one
  EXPECT_FALSE(tier_.Unpack(tokens, {}, kWhenever));
  EXPECT_GT(tier_.seconds_per_block(), 0.00025);
  EXPECT_EQ(InMemory(tokens).size(), 3u) << "by tenths of a millisecond";
}

TEST_F(CompressedTierTest, Tenants_HaveTheirOwn) {
  const std::vector<TokenId> tokens = Tokens(3, 1);
  const std::vector<Block> one = Compute(tokens, CacheScope(1));
  const std::vector<Block> two = Compute(tokens, CacheScope(2));
  Flood();
  EXPECT_FALSE(tier_.Unpack(tokens, CacheScope(3), kWhenever));
  EXPECT_TRUE(InMemory(tokens, CacheScope(3)).empty());
  EXPECT_FALSE(tier_.Unpack(tokens, CacheScope(2), kWhenever));
  EXPECT_EQ(InMemory(tokens, CacheScope(2)), two);
  EXPECT_FALSE(tier_.Unpack(tokens, CacheScope(1), kWhenever));
  EXPECT_EQ(InMemory(tokens, CacheScope(1)), one);
}

TEST_F(CompressedTierTest, ComputedAgain_IsInOnePlaceOnly) {
  const std::vector<TokenId> tokens = Tokens(3, 1);
  Compute(tokens);
  Flood();
  ASSERT_EQ(tier_.stats().num_stored, 3);
  const std::vector<Block> again = Compute(tokens);  // takes the place of three others
  EXPECT_EQ(tier_.stats().num_stored, 3);
  EXPECT_FALSE(tier_.Unpack(tokens, {}, kWhenever));
  EXPECT_EQ(tier_.stats().num_read, 0);
  EXPECT_EQ(InMemory(tokens), again);
}

TEST_F(CompressedTierTest, ErasedAndForgottenPrefixes_DoNotComeBack) {
  const std::vector<TokenId> tokens = Tokens(3, 1);
  Compute(tokens);
  Flood();
  tier_.Erase(BlockKeysOf(tokens, {}));
  EXPECT_FALSE(tier_.Unpack(tokens, {}, kWhenever));
  EXPECT_TRUE(InMemory(tokens).empty());

  const std::vector<TokenId> others = Tokens(3, 5000);
  Compute(others);
  kv_->blocks().ForgetPrefix(others);
  EXPECT_FALSE(tier_.Unpack(others, {}, kWhenever));
  EXPECT_TRUE(InMemory(others).empty());
}

}  // namespace
}  // namespace autoglm
