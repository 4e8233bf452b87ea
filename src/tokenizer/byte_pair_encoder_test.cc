#include "tokenizer/byte_pair_encoder.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/random.h"
#include "support/tiny_vocabulary.h"

namespace autoglm {
namespace {

using testing::ElementsAre;
using WholePieces = BytePairEncoder::WholePieces;

std::vector<TokenId> Encode(const TinyVocabulary& tiny, std::string_view piece, WholePieces whole = WholePieces::kByMerges) {
  const auto vocabulary = ReadByteLevelVocabulary(tiny.data());
  const BytePairEncoder encoder(*vocabulary, {.whole_pieces = whole});
  std::vector<TokenId> tokens;
  encoder.Append(piece, tokens);
  return tokens;
}

// The definition: look at all pairs, merge the best, start again.
std::vector<TokenId> MergeNaively(const Vocabulary& vocabulary, std::string_view piece) {
  std::vector<TokenId> tokens;
  for (const char byte : piece) tokens.push_back(*vocabulary.FindByte(static_cast<uint8_t>(byte)));
  for (;;) {
    std::optional<Vocabulary::Merge> best;
    size_t position = 0;
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      const auto merge = vocabulary.FindMerge(tokens[i], tokens[i + 1]);
      if (!merge || (best && best->rank <= merge->rank)) continue;
      best = merge;
      position = i;
    }
    if (!best) return tokens;
    tokens[position] = best->merged;
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(position) + 1);
  }
}

// Random merges, not in the order that training would give: later ones may build what earlier ones need.
TinyVocabulary RandomVocabulary(Random& random) {
  TinyVocabulary tiny;
  std::vector<std::string> parts = {"a", "b", "c"};
  while (parts.size() < 60) {
    const std::string left = parts[random.NextBelow(parts.size())];
    const std::string right = parts[random.NextBelow(parts.size())];
    const std::string joined = left + right;
    if (joined.size() > 12) continue;
    if (std::find(parts.begin(), parts.end(), joined) == parts.end()) {
      tiny.AddMerge(left, right);
      parts.push_back(joined);
    } else {
      tiny.merges.push_back(fmt::format("{} {}", left, right));
    }
  }
  for (size_t i = tiny.merges.size() - 1; i > 0; --i) std::swap(tiny.merges[i], tiny.merges[random.NextBelow(i + 1)]);
  return tiny;
}

TEST(BytePairEncoder, LowestRankGoesFirst_NotLeftmost) {
  TinyVocabulary tiny;
  const TokenId bc = tiny.AddMerge("b", "c");
  const TokenId ab = tiny.AddMerge("a", "b");
  EXPECT_THAT(Encode(tiny, "abc"), ElementsAre('a', bc));
  EXPECT_THAT(Encode(tiny, "ab"), ElementsAre(ab));
}

TEST(BytePairEncoder, EqualPairs_MergeFromTheLeft) {
  TinyVocabulary tiny;
  const TokenId aa = tiny.AddMerge("a", "a");
  EXPECT_THAT(Encode(tiny, "aaa"), ElementsAre(aa, 'a'));
  EXPECT_THAT(Encode(tiny, "aaaaa"), ElementsAre(aa, aa, 'a'));
}

TEST(BytePairEncoder, TokenThatNoMergeReaches_IsUsedWholeOnlyWhereMergesAreIgnored) {
  TinyVocabulary tiny;
  const TokenId abc = tiny.AddNormal("abc");
  const TokenId ab = tiny.AddMerge("a", "b");
  const auto vocabulary = ReadByteLevelVocabulary(tiny.data());
  const BytePairEncoder encoder(*vocabulary, {});
  for (int time = 0; time < 3; ++time) {  // the second time, the answer is known
    std::vector<TokenId> tokens = {7};
    encoder.Append("abc", tokens);
    EXPECT_THAT(tokens, ElementsAre(7, ab, 'c'));
  }
  EXPECT_THAT(Encode(tiny, "abc", WholePieces::kAsTokens), ElementsAre(abc));
  EXPECT_THAT(Encode(tiny, "abcc", WholePieces::kAsTokens), ElementsAre(ab, 'c', 'c'));
}

TEST(BytePairEncoder, BytesTheVocabularyLacks_AreLeftOutAndTheirNeighboursMeet) {
  TinyVocabulary tiny;
  tiny.types['x'] = static_cast<int64_t>(TokenType::kUnused);
  const TokenId ab = tiny.AddMerge("a", "b");
  EXPECT_THAT(Encode(tiny, "axb"), ElementsAre(ab));
  EXPECT_THAT(Encode(tiny, "x"), ElementsAre());
  const std::vector<TokenId> many = Encode(tiny, "a" + std::string(100, 'x') + "b");
  EXPECT_THAT(many, ElementsAre(ab));
}

TEST(BytePairEncoder, ShortAndLongWay_FollowTheDefinition) {
  constexpr uint64_t kSeed = 3;
  Random random(kSeed);
  for (int round = 0; round < 40; ++round) {
    const TinyVocabulary tiny = RandomVocabulary(random);
    const auto vocabulary = ReadByteLevelVocabulary(tiny.data());
    ASSERT_TRUE(vocabulary);
    const BytePairEncoder encoder(*vocabulary, {});
    for (int i = 0; i < 40; ++i) {
      std::string piece(random.NextBelow(i < 20 ? kShortSymbols + 1 : 300), ' ');
      for (char& c : piece) c = "abc"[random.NextBelow(3)];
      const std::vector<TokenId> expected = MergeNaively(*vocabulary, piece);
      std::vector<TokenId> tokens;
      encoder.MergeLong(piece, tokens);
      EXPECT_EQ(tokens, expected) << piece << ", seed " << kSeed;
      if (piece.size() > kShortSymbols) continue;
      tokens.clear();
      encoder.MergeShort(piece, tokens);
      EXPECT_EQ(tokens, expected) << piece << ", seed " << kSeed;
    }
  }
}

TEST(BytePairEncoder, MegabyteOfOneLetter_TakesNoQuadraticTime) {
  TinyVocabulary tiny;
  tiny.AddMerge("a", "a");
  tiny.AddMerge("aa", "aa");
  const TokenId eight = tiny.AddMerge("aaaa", "aaaa");
  EXPECT_EQ(Encode(tiny, std::string(1 << 20, 'a')), std::vector<TokenId>((1 << 20) / 8, eight));
}

TEST(BytePairEncoder, ThreadsShareIt) {
  Random random(4);
  const TinyVocabulary tiny = RandomVocabulary(random);
  const auto vocabulary = ReadByteLevelVocabulary(tiny.data());
  const BytePairEncoder encoder(*vocabulary, {});
  const auto encode_all = [&] {
    std::vector<TokenId> tokens;
    for (TokenId token = 256; token < vocabulary->size(); ++token) encoder.Append(vocabulary->bytes(token), tokens);
    return tokens;
  };
  std::vector<std::vector<TokenId>> results(4);
  std::vector<std::thread> threads;
  threads.reserve(results.size());
  for (auto& result : results) threads.emplace_back([&result, &encode_all] { result = encode_all(); });
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(results, testing::Each(encode_all()));
}

}  // namespace
}  // namespace autoglm
