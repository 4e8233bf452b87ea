#include "tokenizer/gguf_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/tiny_vocabulary.h"

namespace autoglm {
namespace {

using testing::HasSubstr;

void ExpectCorrupt(const TinyVocabulary& tiny, std::string_view reason) {
  const auto vocabulary = ReadByteLevelVocabulary(tiny.data());
  ASSERT_FALSE(vocabulary) << reason;
  EXPECT_EQ(vocabulary.error().code, ErrorCode::kCorruptFile);
  EXPECT_THAT(vocabulary.error().message, HasSubstr(std::string(reason)));
}

TEST(GgufVocabulary, FindsTokensByTheirBytes) {
  TinyVocabulary tiny;
  const TokenId word = tiny.AddNormal(" wörd");
  const auto vocabulary = ReadByteLevelVocabulary(tiny.data());
  ASSERT_TRUE(vocabulary);
  EXPECT_EQ(vocabulary->size(), 257);
  EXPECT_EQ(vocabulary->bytes(word), " wörd");
  EXPECT_EQ(vocabulary->FindNormal(" wörd"), word);
  EXPECT_EQ(vocabulary->FindByte(0xC3), 0xC3);
  EXPECT_EQ(vocabulary->FindNormal("wörd"), std::nullopt);
  EXPECT_EQ(vocabulary->FindNormal(""), std::nullopt);
  EXPECT_EQ(vocabulary->FindNormal(std::string(1000, 'x')), std::nullopt);
}

TEST(GgufVocabulary, OfTwoTokensWithTheSameBytes_TheFirstIsUsed) {
  TinyVocabulary tiny;
  const TokenId first = tiny.AddNormal("word");
  const TokenId second = tiny.AddNormal("word");
  const auto vocabulary = ReadByteLevelVocabulary(tiny.data());
  EXPECT_EQ(vocabulary->FindNormal("word"), first);
  EXPECT_EQ(vocabulary->bytes(second), "word");
}

TEST(GgufVocabulary, SpecialTokens_AreNoNormalOnes) {
  TinyVocabulary tiny;
  const TokenId end = tiny.AddToken("<|end|>", TokenType::kControl);
  const auto vocabulary = ReadByteLevelVocabulary(tiny.data());
  EXPECT_EQ(vocabulary->bytes(end), "<|end|>");
  EXPECT_EQ(vocabulary->FindNormal("<|end|>"), std::nullopt);
}

TEST(GgufVocabulary, NormalTokenOutsideTheAlphabet_StandsForItself) {
  TinyVocabulary tiny;
  const TokenId odd = tiny.AddToken("你 好", TokenType::kNormal);
  const auto vocabulary = ReadByteLevelVocabulary(tiny.data());
  EXPECT_EQ(vocabulary->bytes(odd), "你 好");
  EXPECT_EQ(vocabulary->FindNormal("你 好"), std::nullopt);
}

TEST(GgufVocabulary, Merges_HaveTheRankOfTheirPlaceInTheList) {
  TinyVocabulary tiny;
  tiny.AddMerge("a", "b");
  const TokenId abc = tiny.AddMerge("ab", "c");
  tiny.merges.push_back("a b");  // listed twice: the first counts
  const auto vocabulary = ReadByteLevelVocabulary(tiny.data());
  ASSERT_TRUE(vocabulary);
  EXPECT_EQ(vocabulary->FindMerge('a', 'b')->rank, 0);
  EXPECT_EQ(vocabulary->FindMerge(256, 'c')->rank, 1);
  EXPECT_EQ(vocabulary->FindMerge(256, 'c')->merged, abc);
  EXPECT_EQ(vocabulary->FindMerge('b', 'a'), std::nullopt);
}

TEST(GgufVocabulary, FillerTokens_AreUnusedWhateverTheirType) {
  TinyVocabulary tiny;
  const TokenId filler = tiny.AddToken("[PAD256]", TokenType::kUserDefined);
  const TokenId word = tiny.AddToken("[PAD1]", TokenType::kUserDefined);
  const auto vocabulary = ReadByteLevelVocabulary(tiny.data());
  EXPECT_EQ(vocabulary->type(filler), TokenType::kUnused);
  EXPECT_EQ(vocabulary->type(word), TokenType::kUserDefined);
}

TEST(GgufVocabulary, AbsentTypes_MeanNormalTokens) {
  TinyVocabulary tiny;
  tiny.types.clear();
  const auto vocabulary = ReadByteLevelVocabulary(tiny.data());
  ASSERT_TRUE(vocabulary);
  EXPECT_EQ(vocabulary->type('a'), TokenType::kNormal);
}

TEST(GgufVocabulary, MergesOfUnknownTokens_AreRefused) {
  for (const char* const merge : {"a zz", "zz a", "a b", "ab", "", " ", "a ", " a", "a b c", "\xFF \xFF"}) {
    TinyVocabulary tiny;
    tiny.merges = {merge};
    ExpectCorrupt(tiny, merge);
  }
}

TEST(GgufVocabulary, ListsThatDoNotFit_AreRefused) {
  TinyVocabulary too_short;
  too_short.types.pop_back();
  ExpectCorrupt(too_short, "token_type 255");
  TinyVocabulary unknown_type;
  unknown_type.types[7] = 7;
  ExpectCorrupt(unknown_type, "token 7 is 7");
  unknown_type.types[7] = -1;
  ExpectCorrupt(unknown_type, "token 7 is -1");
  TinyVocabulary empty;
  empty.tokens.clear();
  empty.types.clear();
  ExpectCorrupt(empty, "empty");
}

}  // namespace
}  // namespace autoglm
