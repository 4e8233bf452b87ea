#include "discovery/exact_prefix_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "base/random.h"

namespace autoglm::discovery {
namespace {

using Kind = EngineEvent::Kind;
using Tokens = std::vector<TokenId>;

const EngineEvent kCleared = {.kind = Kind::kCleared};

EngineEvent Stored(std::vector<uint64_t> blocks, std::optional<uint64_t> parent, Tokens tokens) {
  const auto block_size = std::ssize(tokens) / std::ssize(blocks);
  return {.kind = Kind::kStored,
          .blocks = std::move(blocks),
          .parent = parent,
          .tokens = std::move(tokens),
          .block_size_tokens = block_size};
}
EngineEvent Removed(std::vector<uint64_t> blocks) { return {.kind = Kind::kRemoved, .blocks = std::move(blocks)}; }

// By upstream; -1 where it is not in the list.
int64_t NumMatched(const ExactPrefixIndex& index, const std::string& upstream, const Tokens& tokens) {
  for (const routing::PrefixMatch& match : index.Find(tokens)) {
    if (match.upstream == upstream) return match.num_tokens;
  }
  return -1;
}

TEST(ExactPrefixIndex, WholeBlocksThatWereStoredAreFound) {
  ExactPrefixIndex index;
  index.Apply("a", {{Stored({1, 2}, std::nullopt, {1, 2, 3, 4}), Stored({3}, 2, {5, 6})}});
  EXPECT_EQ(NumMatched(index, "a", {1, 2, 3, 4, 5, 6, 7}), 6);
  EXPECT_EQ(NumMatched(index, "a", {1, 2, 3, 4, 5}), 4);
  EXPECT_EQ(NumMatched(index, "a", {1, 2, 9, 4}), 2);
  EXPECT_EQ(index.num_blocks(), 3);
}

TEST(ExactPrefixIndex, BlockSizesMayDifferBetweenUpstreams) {
  ExactPrefixIndex index;
  index.Apply("a", {{Stored({1}, std::nullopt, {1, 2, 3})}});
  index.Apply("b", {{Stored({1, 2}, std::nullopt, {1, 2, 3, 4})}});
  const Tokens prompt = {1, 2, 3, 4, 5};
  EXPECT_EQ(NumMatched(index, "a", prompt), 3);
  EXPECT_EQ(NumMatched(index, "b", prompt), 4);
}

TEST(ExactPrefixIndex, WhatIsRemovedEndsThePrefix) {
  ExactPrefixIndex index;
  index.Apply("a", {{Stored({1, 2, 3}, std::nullopt, {1, 2, 3}), Removed({2, 77})}});
  EXPECT_EQ(NumMatched(index, "a", {1, 2, 3}), 1);
  index.Apply("a", {{Stored({2}, 1, {2})}});
  EXPECT_EQ(NumMatched(index, "a", {1, 2, 3}), 3) << "what comes after it was still there";
}

// Salts of tenants, and adapters, give equal tokens several names.
TEST(ExactPrefixIndex, EqualTokensAreThereUntilTheLastOfTheirBlocksIsGone) {
  ExactPrefixIndex index;
  index.Apply("a", {{Stored({1}, std::nullopt, {5}), Stored({2}, std::nullopt, {5}), Stored({1}, std::nullopt, {5})}});
  index.Apply("a", {{Removed({1})}});
  EXPECT_EQ(NumMatched(index, "a", {5}), 1);
  index.Apply("a", {{Removed({2})}});
  EXPECT_EQ(NumMatched(index, "a", {5}), -1);
  EXPECT_EQ(index.num_blocks(), 0);
}

TEST(ExactPrefixIndex, ABlockWithoutItsParentIsNotTaken) {
  ExactPrefixIndex index;
  index.Apply("a", {{Stored({2}, 1, {5}), Stored({3}, 2, {6})}});
  EXPECT_EQ(index.num_blocks(), 0);
}

TEST(ExactPrefixIndex, WhoHasNothingIsListedWhereThatIsCertain) {
  ExactPrefixIndex index;
  index.Apply("late", {{Stored({1}, std::nullopt, {5})}});
  index.Apply("whole", {{kCleared, Stored({1}, std::nullopt, {5})}});
  EXPECT_EQ(NumMatched(index, "late", {7}), -1);
  EXPECT_EQ(NumMatched(index, "whole", {7}), 0);
  EXPECT_EQ(NumMatched(index, "late", {5}), 1);
  index.Forget("whole");
  EXPECT_EQ(NumMatched(index, "whole", {5}), -1);
}

TEST(ExactPrefixIndex, KeepsNoMoreThanItMay) {
  ExactPrefixIndex index({.max_blocks = 3});
  index.Apply("a", {{Stored({1, 2}, std::nullopt, {1, 2})}});
  index.Apply("b", {{Stored({1, 2, 3}, std::nullopt, {1, 2, 3})}});
  EXPECT_EQ(index.num_blocks(), 3);
  EXPECT_EQ(index.num_refused_blocks(), 2);
  EXPECT_EQ(NumMatched(index, "b", {1, 2, 3}), 1);
  index.Forget("a");
  index.Apply("b", {{Stored({2, 3}, 1, {2, 3})}});
  EXPECT_EQ(NumMatched(index, "b", {1, 2, 3}), 3);
}

// The same said as plainly as can be: each of an engine's blocks with all tokens up to its end.
class PlainEngine {
 public:
  explicit PlainEngine(int64_t block_size) : block_size_(block_size) {}

  void Apply(const EngineEvent& event) {
    if (event.kind == Kind::kCleared) prefixes_.clear();
    if (event.kind == Kind::kRemoved) {
      for (const uint64_t block : event.blocks) prefixes_.erase(block);
    }
    if (event.kind != Kind::kStored || (event.parent && !prefixes_.contains(*event.parent))) return;
    Tokens prefix = event.parent ? prefixes_[*event.parent] : Tokens();
    for (size_t i = 0; i < event.blocks.size(); ++i) {
      for (int64_t j = 0; j < block_size_; ++j)
        prefix.push_back(event.tokens[i * static_cast<size_t>(block_size_) + static_cast<size_t>(j)]);
      prefixes_[event.blocks[i]] = prefix;
    }
  }
  int64_t NumMatched(const Tokens& tokens) const {
    int64_t num_matched = 0;
    while (num_matched + block_size_ <= std::ssize(tokens)) {
      const Tokens prefix(tokens.begin(), tokens.begin() + num_matched + block_size_);
      if (std::ranges::none_of(prefixes_, [&](const auto& block) { return block.second == prefix; })) break;
      num_matched += block_size_;
    }
    return num_matched;
  }
  int64_t block_size() const { return block_size_; }
  std::optional<uint64_t> AnyBlock(Random& random) const {
    if (prefixes_.empty() || random.NextBelow(3) == 0) return std::nullopt;
    return std::next(prefixes_.begin(), static_cast<ptrdiff_t>(random.NextBelow(prefixes_.size())))->first;
  }
  int64_t num_blocks() const { return std::ssize(prefixes_); }

 private:
  int64_t block_size_;
  std::map<uint64_t, Tokens> prefixes_;
};

Tokens RandomTokens(Random& random, int64_t count) {
  Tokens tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<TokenId>(random.NextBelow(2)));
  return tokens;
}

EngineEvent RandomEvent(Random& random, const PlainEngine& engine) {
  const uint64_t dice = random.NextBelow(100);
  if (dice == 0) return kCleared;
  if (dice < 35) return Removed({random.NextBelow(60), engine.AnyBlock(random).value_or(1000)});
  std::vector<uint64_t> blocks;
  for (uint64_t i = 0; i <= random.NextBelow(3); ++i) blocks.push_back(random.NextBelow(60));
  std::optional<uint64_t> parent = engine.AnyBlock(random);
  if (dice > 95) parent = random.NextBelow(60);
  // An engine has a name for one block only.
  std::ranges::sort(blocks);
  const auto repeated = std::ranges::unique(blocks);
  blocks.erase(repeated.begin(), repeated.end());
  if (parent) std::erase(blocks, *parent);
  if (blocks.empty()) blocks.push_back(60);
  return Stored(blocks, parent, RandomTokens(random, engine.block_size() * std::ssize(blocks)));
}

TEST(ExactPrefixIndex, AgreesWithAPlainListOfPrefixes) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    ExactPrefixIndex index;
    std::map<std::string, PlainEngine> engines = {{"a", PlainEngine(1)}, {"b", PlainEngine(2)}, {"c", PlainEngine(2)}};
    for (auto& [name, engine] : engines) index.Apply(name, {&kCleared, 1});
    for (int step = 0; step < 400; ++step) {
      auto& [name, engine] = *std::next(engines.begin(), static_cast<ptrdiff_t>(random.NextBelow(3)));
      const EngineEvent event = RandomEvent(random, engine);
      engine.Apply(event);
      index.Apply(name, {&event, 1});
      const Tokens prompt = RandomTokens(random, static_cast<int64_t>(random.NextBelow(12)));
      int64_t num_blocks = 0;
      for (const auto& [other, plain] : engines) {
        ASSERT_EQ(NumMatched(index, other, prompt), plain.NumMatched(prompt)) << "seed " << seed << " step " << step;
        num_blocks += plain.num_blocks();
      }
      ASSERT_EQ(index.num_blocks(), num_blocks) << "seed " << seed << " step " << step;
    }
  }
}

TEST(ExactPrefixIndex, MayBeUsedFromManyThreads) {
  ExactPrefixIndex index;
  std::vector<std::jthread> threads;
  for (const std::string name : {"a", "b"}) {
    threads.emplace_back([&index, name] {
      for (int i = 0; i < 300; ++i) {
        index.Apply(name, {{Stored({1, 2}, std::nullopt, {1, 2}), Removed({1})}});
        if (i % 50 == 0) index.Forget(name);
      }
    });
  }
  for (int i = 0; i < 300; ++i) EXPECT_LE(index.Find(Tokens{1, 2}).size(), 2u);
  threads.clear();
  EXPECT_EQ(index.num_blocks(), 2);
}

}  // namespace
}  // namespace autoglm::discovery
