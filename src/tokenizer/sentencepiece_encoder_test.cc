#include "tokenizer/sentencepiece_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/random.h"
#include "support/tiny_sentencepiece.h"
#include "tokenizer/detokenizer.h"

namespace autoglm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr TokenId kSpace = TinySentencePiece::kSpace;

std::vector<TokenId> Encode(const TinySentencePiece& tiny, std::string_view text,
                            SpecialTokens specials = SpecialTokens::kPlain) {
  return tiny.Build()->Encode(text, specials);
}

TEST(SentencePiece, HighestScoreGoesFirst_LeftmostOnTies) {
  TinySentencePiece tiny;
  const TokenId a = tiny.AddNormal("a", -9);
  const TokenId b = tiny.AddNormal("b", -9);
  const TokenId c = tiny.AddNormal("c", -9);
  const TokenId ab = tiny.AddNormal("ab", -2);
  const TokenId bc = tiny.AddNormal("bc", -1);
  EXPECT_THAT(Encode(tiny, "abc"), ElementsAre(a, bc));
  tiny.scores[static_cast<size_t>(bc)] = -2;
  EXPECT_THAT(Encode(tiny, "abc"), ElementsAre(ab, c));
  EXPECT_THAT(Encode(tiny, "bb"), ElementsAre(b, b));
}

TEST(SentencePiece, TokenThatNoMergeReaches_IsNotUsed) {
  TinySentencePiece tiny;
  const TokenId a = tiny.AddNormal("a", -9);
  const TokenId b = tiny.AddNormal("b", -9);
  const TokenId c = tiny.AddNormal("c", -9);
  tiny.AddNormal("abc", -1);
  const auto tokenizer = tiny.Build();
  for (int time = 0; time < 3; ++time) {  // the second time, the answer is known
    EXPECT_THAT(tokenizer->Encode("abc", SpecialTokens::kPlain), ElementsAre(a, b, c));
  }
}

TEST(SentencePiece, CharacterThatIsNoToken_MayStillBePartOfOne) {
  TinySentencePiece tiny;
  const TokenId word = tiny.AddNormal("é你", -1);
  EXPECT_THAT(Encode(tiny, "é你"), ElementsAre(word));
}

TEST(SentencePiece, UnknownCharacters_BecomeBytes_AndComeBack) {
  TinySentencePiece tiny;
  const auto tokenizer = tiny.Build();
  const auto tokens = tokenizer->Encode("é\n", SpecialTokens::kPlain);
  EXPECT_THAT(tokens, ElementsAre(tiny.Byte(0xC3), tiny.Byte(0xA9), tiny.Byte('\n')));
  Detokenizer detokenizer(*tokenizer);
  EXPECT_EQ(detokenizer.Push(tokens[0]), "");
  EXPECT_EQ(detokenizer.Push(tokens[1]), "é");
}

TEST(SentencePiece, WithoutByteTokens_ARunOfUnknownCharactersIsOneUnknownToken) {
  TinySentencePiece tiny;
  const TokenId a = tiny.AddNormal("a", -1);
  for (int byte = 0; byte < 256; ++byte) tiny.types[static_cast<size_t>(TinySentencePiece::Byte(static_cast<uint8_t>(byte)))] = 5;
  EXPECT_THAT(Encode(tiny, "你好a\xFF"), ElementsAre(0, a, 0));
}

TEST(SentencePiece, SpacesAreMarks_AlsoWhereTheTextHasMarks) {
  TinySentencePiece tiny;
  const TokenId word = tiny.AddNormal("▁a", -1);
  EXPECT_THAT(Encode(tiny, " a"), ElementsAre(word));
  EXPECT_THAT(Encode(tiny, "▁a"), ElementsAre(word));
  EXPECT_EQ(tiny.Build()->Decode({word}), " a");
}

TEST(SentencePiece, UserDefinedTokens_MatchBeforeAnyMerge) {
  TinySentencePiece tiny;
  tiny.AddNormal("▁a", -1);
  const TokenId a = tiny.AddNormal("a", -9);
  const TokenId two = tiny.Add("▁▁", TokenType::kUserDefined);
  EXPECT_THAT(Encode(tiny, "  a"), ElementsAre(two, a));
}

TEST(SentencePiece, UnusedTokens_AreTakenApartAgain) {
  TinySentencePiece tiny;
  const TokenId ab = tiny.AddNormal("ab", -1);
  const TokenId c = tiny.AddNormal("c", -9);
  tiny.Add("abc", TokenType::kUnused, -2);
  const TokenId abcd = tiny.AddNormal("abcd", -3);
  tiny.AddNormal("last", -3);
  EXPECT_THAT(Encode(tiny, "abc"), ElementsAre(ab, c));
  EXPECT_THAT(Encode(tiny, "abcd"), ElementsAre(abcd));
}

TEST(SentencePiece, SpacePrefix_ComesAtTheStartAndAfterControlTokens) {
  TinySentencePiece tiny;
  tiny.add_space_prefix = std::nullopt;  // as in Llama 2's files, which do not say
  const TokenId word = tiny.AddNormal("▁a", -1);
  const TokenId a = tiny.AddNormal("a", -9);
  const TokenId user = tiny.Add("<u>", TokenType::kUserDefined);
  EXPECT_THAT(Encode(tiny, "a"), ElementsAre(word));
  EXPECT_THAT(Encode(tiny, " a"), ElementsAre(kSpace, word));
  EXPECT_THAT(Encode(tiny, "<s>a</s>", SpecialTokens::kParse), ElementsAre(1, word, 2));
  EXPECT_THAT(Encode(tiny, "a<u>a"), ElementsAre(word, user, a));
  EXPECT_THAT(Encode(tiny,
                     "a\xFF"
                     "a"),
              ElementsAre(word, tiny.Byte(0xFF), a));
  EXPECT_THAT(Encode(tiny, ""), ElementsAre());
}

TEST(SentencePiece, DecodedText_LosesThePrefixOnly) {
  TinySentencePiece tiny;
  tiny.add_space_prefix = true;
  const TokenId word = tiny.AddNormal("▁a", -1);
  const auto tokenizer = tiny.Build();
  EXPECT_EQ(tokenizer->Decode({1, word, word}), "a a");
  EXPECT_EQ(tokenizer->Decode({kSpace, word}), " a");
  Detokenizer text(*tokenizer);
  EXPECT_EQ(text.Push(1), "");
  EXPECT_EQ(text.Push(word), "a");
  EXPECT_EQ(text.Push(word), " a");
  Detokenizer continuation(*tokenizer, Detokenizer::Start::kContinuation);
  EXPECT_EQ(continuation.Push(word), " a");
}

TEST(SentencePiece, ControlSpellingsInPlainText_StayText) {
  TinySentencePiece tiny;
  const std::string text = "<s>";
  for (const TokenId token : Encode(tiny, text)) EXPECT_NE(token, TinySentencePiece::kBos);
  EXPECT_THAT(Encode(tiny, text, SpecialTokens::kParse), ElementsAre(TinySentencePiece::kBos));
  const auto tokenizer = tiny.Build();
  EXPECT_EQ(tokenizer->Decode(tokenizer->EncodeMarked(text, {false, true, false})), text);
}

// The definition: look at all pairs, merge the best, start again.
std::vector<TokenId> MergeNaively(const TinySentencePiece& tiny, std::string_view text) {
  std::vector<std::string> parts;
  for (const char c : text) parts.emplace_back(1, c);
  const auto find = [&](const std::string& part) -> std::optional<size_t> {
    const auto spelled = part.find(' ') == std::string::npos ? part : std::string(kSpaceMark) + part.substr(1);
    for (size_t i = kSpace; i < tiny.tokens.size(); ++i) {
      if (SpacesFromMarks(tiny.tokens[i]) == part) return i;
    }
    return std::nullopt;
  };
  for (;;) {
    double best = -std::numeric_limits<double>::infinity();
    size_t place = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto token = find(parts[i] + parts[i + 1]);
      if (!token || tiny.scores[*token] <= best) continue;
      best = tiny.scores[*token];
      place = i + 1;
    }
    if (place == 0) break;
    parts[place - 1] += parts[place];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(place));
  }
  std::vector<TokenId> tokens;
  tokens.reserve(parts.size());
  for (const std::string& part : parts) tokens.push_back(static_cast<TokenId>(*find(part)));
  return tokens;
}

TEST(SentencePiece, RandomVocabulariesAndTexts_FollowTheDefinition) {
  constexpr uint64_t kSeed = 12;
  Random random(kSeed);
  for (int round = 0; round < 60; ++round) {
    TinySentencePiece tiny;
    for (const char* const letter : {"a", "b", "c"}) tiny.AddNormal(letter, -50);
    for (int i = 0; i < 40; ++i) {
      std::string token(2 + random.NextBelow(4), ' ');
      for (char& c : token) c = "abc "[random.NextBelow(4)];
      // Mostly as in real vocabularies, where words end before spaces; sometimes not.
      if (round % 3 != 0 && token.find_last_of(' ') != std::string::npos) token = " " + token.substr(token.find_last_of(' ') + 1);
      tiny.AddNormal(token, -1.0 - static_cast<double>(random.NextBelow(12)));
    }
    const auto tokenizer = tiny.Build();
    for (int i = 0; i < 30; ++i) {
      std::string text(random.NextBelow(i < 20 ? 40 : 300), ' ');
      for (char& c : text) c = "abc "[random.NextBelow(4)];
      EXPECT_EQ(tokenizer->Encode(text, SpecialTokens::kPlain), MergeNaively(tiny, text)) << text << ", seed " << kSeed;
    }
  }
}

TEST(SentencePiece, MegabyteOfOneLetter_TakesNoQuadraticTime) {
  TinySentencePiece tiny;
  tiny.AddNormal("a", -9);
  tiny.AddNormal("aa", -1);
  const TokenId four = tiny.AddNormal("aaaa", -2);
  EXPECT_EQ(Encode(tiny, std::string(1 << 20, 'a')), std::vector<TokenId>((1 << 20) / 4, four));
}

TEST(SentencePiece, ChatGlm3Answers_EndWhereAnotherTurnStarts) {
  TinySentencePiece tiny;
  tiny.pre = "chatglm-spm";
  const TokenId user = tiny.Add("<|user|>", TokenType::kControl);
  const auto tokenizer = tiny.Build();
  EXPECT_THAT(tokenizer->eos_tokens(), ElementsAre(TinySentencePiece::kEos, user));
  EXPECT_FALSE(tokenizer->add_bos());
  tiny.pre = "default";
  EXPECT_TRUE(tiny.Build()->add_bos());
}

TEST(SentencePiece, BrokenVocabularies_AreRefused) {
  const auto expect_corrupt = [](const TinySentencePiece& tiny, const char* reason) {
    const auto tokenizer = Tokenizer::Create(tiny.data());
    ASSERT_FALSE(tokenizer) << reason;
    EXPECT_EQ(tokenizer.error().code, ErrorCode::kCorruptFile);
    EXPECT_THAT(tokenizer.error().message, HasSubstr(reason));
  };
  TinySentencePiece few_scores;
  few_scores.scores.pop_back();
  expect_corrupt(few_scores, "259 scores");
  TinySentencePiece no_number;
  no_number.scores[5] = std::numeric_limits<double>::quiet_NaN();
  expect_corrupt(no_number, "not a number");
  TinySentencePiece byte;
  byte.tokens[TinySentencePiece::kFirstByte] = "<0xG0>";
  expect_corrupt(byte, "<0xG0>");
}

}  // namespace
}  // namespace autoglm
