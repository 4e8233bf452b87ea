#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "support/test_paths.h"
#include "support/tiny_vocabulary.h"

namespace autoglm {
namespace {

using testing::ElementsAre;

std::unique_ptr<Tokenizer> Load(const std::filesystem::path& path) {
  const auto file = GgufFile::Open(path);
  AUTOGLM_CHECK(file.has_value());
  auto tokenizer = Tokenizer::FromGguf(**file);
  AUTOGLM_CHECK(tokenizer.has_value());
  return *std::move(tokenizer);
}

nlohmann::json ReadJson(const char* golden) { return nlohmann::json::parse(std::ifstream(GoldenFile(golden))); }

TEST(Tokenizer, ToyModel_EncodesAsHuggingFaceDoes) {
  const auto tokenizer = Load(GoldenFile("gguf/llama.gguf"));
  EXPECT_EQ(tokenizer->vocab_size(), 512);
  EXPECT_THAT(tokenizer->eos_tokens(), ElementsAre(2));
  EXPECT_EQ(tokenizer->bos_token(), 1);
  EXPECT_FALSE(tokenizer->add_bos());
  const auto cases = ReadJson("tokenizer/cases.json").at("toy");
  for (const auto& example : cases) {
    const auto text = example.at("text").get<std::string>();
    EXPECT_EQ(tokenizer->Encode(text, SpecialTokens::kParse), example.at("ids").get<std::vector<TokenId>>()) << text;
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text, SpecialTokens::kPlain)), text);
  }
}

TEST(Tokenizer, SmolLm2_EncodesAsHuggingFaceDoes) {
  const auto model = TestModel();
  if (!model) GTEST_SKIP() << "needs SmolLM2-135M-Instruct.Q4_1.gguf: set AUTOGLM_TEST_MODEL or run ./test, which fetches it";
  const auto tokenizer = Load(*model);
  EXPECT_EQ(tokenizer->vocab_size(), 49152);
  EXPECT_THAT(tokenizer->eos_tokens(), ElementsAre(2, 0));
  const auto cases = ReadJson("smollm2/expected.json").at("tokenizer_cases");
  EXPECT_EQ(cases.size(), 17U);
  for (const auto& example : cases) {
    const auto text = example.at("text").get<std::string>();
    EXPECT_EQ(tokenizer->Encode(text, SpecialTokens::kParse), example.at("ids").get<std::vector<TokenId>>()) << text;
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text, SpecialTokens::kPlain)), text);
  }
}

TEST(Tokenizer, SpecialTokens_AreParsedOrPlainAsAsked) {
  TinyVocabulary tiny;
  const TokenId end = tiny.AddToken("<e>", TokenType::kControl);
  const auto tokenizer = tiny.Build();
  EXPECT_THAT(tokenizer->Encode("a<e>b<e>", SpecialTokens::kParse), ElementsAre('a', end, 'b', end));
  EXPECT_THAT(tokenizer->Encode("a<e>", SpecialTokens::kPlain), ElementsAre('a', '<', 'e', '>'));
  EXPECT_THAT(tokenizer->Encode("", SpecialTokens::kParse), ElementsAre());
}

TEST(Tokenizer, UserDefinedTokens_MatchInPlainTextToo) {
  TinyVocabulary tiny;
  const TokenId think = tiny.AddToken("<think>", TokenType::kUserDefined);
  const auto tokenizer = tiny.Build();
  EXPECT_THAT(tokenizer->Encode("a<think>", SpecialTokens::kPlain), ElementsAre('a', think));
  EXPECT_EQ(tokenizer->Decode({think}), "<think>");
}

TEST(Tokenizer, MarkedText_ParsesOnlySpellingsWithoutAPlainByte) {
  TinyVocabulary tiny;
  const TokenId end = tiny.AddToken("<e>", TokenType::kControl);
  const auto tokenizer = tiny.Build();
  const std::string text = "<e><e>";
  std::vector<bool> is_plain(text.size(), false);
  is_plain[4] = true;
  EXPECT_THAT(tokenizer->EncodeMarked(text, is_plain), ElementsAre(end, '<', 'e', '>'));
}

TEST(Tokenizer, OrdinaryText_IsOneTextAcrossMarks) {
  TinyVocabulary tiny;
  const TokenId ab = tiny.AddMerge("a", "b");
  const auto tokenizer = tiny.Build();
  EXPECT_THAT(tokenizer->EncodeMarked("ab", {false, true}), ElementsAre(ab));
}

TEST(Tokenizer, InvalidUtf8_IsEncodedByteByByteBetweenWholePieces) {
  TinyVocabulary tiny;
  const TokenId ab = tiny.AddMerge("a", "b");
  tiny.AddMerge("\xFF", "a");
  tiny.AddMerge("\xE4", "\xBD");
  const auto tokenizer = tiny.Build();
  EXPECT_THAT(tokenizer->Encode("ab\xFF\xFE"
                                "ab\xE4\xBD",
                                SpecialTokens::kParse),
              ElementsAre(ab, 0xFF, 0xFE, ab, 0xE4, 0xBD));
}

TEST(Tokenizer, AnyBytes_ComeBackFromDecode) {
  constexpr uint64_t kSeed = 6;
  Random random(kSeed);
  for (const char* const pre : {"smollm", "gpt-2", "llama-bpe", "glm4"}) {
    TinyVocabulary tiny;
    tiny.pre = pre;
    tiny.AddMerge(" ", " ");
    tiny.AddMerge("\xE4", "\xBD");
    tiny.AddToken("ab", TokenType::kUserDefined);
    const auto tokenizer = tiny.Build();
    for (int round = 0; round < 200; ++round) {
      std::string text(random.NextBelow(60), ' ');
      for (char& c : text) c = random.NextBelow(2) == 0 ? static_cast<char>(random.NextBelow(256)) : "ab \n"[random.NextBelow(4)];
      EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text, SpecialTokens::kParse)), text) << pre << ", seed " << kSeed;
    }
  }
}

TEST(Tokenizer, OnlyQwen2_IsNormalized) {
  TinyVocabulary tiny;
  const auto decode_encode = [&](const char* pre) {
    tiny.pre = pre;
    const auto tokenizer = tiny.Build();
    return tokenizer->Decode(tokenizer->Encode("e\u0301\xFF", SpecialTokens::kPlain));
  };
  EXPECT_EQ(decode_encode("qwen2"), "é\xFF");
  EXPECT_EQ(decode_encode("llama-bpe"), "e\u0301\xFF");
}

TEST(Tokenizer, WholeTokens_BeatMergesForLlamaAndGlm4Only) {
  TinyVocabulary tiny;
  const TokenId abc = tiny.AddNormal("abc");
  for (const auto& [pre, is_whole] : {std::pair{"llama-bpe", true}, {"glm4", true}, {"chatglm-bpe", false}, {"gpt-2", false}}) {
    tiny.pre = pre;
    const std::vector<TokenId> expected = is_whole ? std::vector<TokenId>{abc} : std::vector<TokenId>{'a', 'b', 'c'};
    EXPECT_EQ(tiny.Build()->Encode("abc", SpecialTokens::kPlain), expected) << pre;
  }
}

TEST(Tokenizer, HugeRuns_ComeBackWhole) {
  TinyVocabulary tiny;
  tiny.AddMerge("a", "a");
  tiny.AddMerge(" ", " ");
  tiny.AddToken("<|im_start|>", TokenType::kControl);
  const auto tokenizer = tiny.Build();
  constexpr size_t kNumBytes = 1 << 20;
  std::string open_tags;
  while (open_tags.size() < kNumBytes) open_tags += "<|im_";
  for (const auto& text :
       {std::string(kNumBytes, 'a'), std::string(kNumBytes, ' ') + "x", std::string(kNumBytes, '\xE4'), open_tags}) {
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text, SpecialTokens::kParse)), text);
  }
}

TEST(Tokenizer, TokenText_DependsOnTheTypeOfTheToken) {
  TinyVocabulary tiny;
  const TokenId control = tiny.AddToken("<c>", TokenType::kControl);
  const TokenId unknown = tiny.AddToken("<unk>", TokenType::kUnknown);
  const TokenId user = tiny.AddToken("<u>", TokenType::kUserDefined);
  const TokenId word = tiny.AddNormal(" wörd");
  const auto tokenizer = tiny.Build();
  EXPECT_EQ(tokenizer->TokenBytes(control), "");
  EXPECT_EQ(tokenizer->TokenSpelling(control), "<c>");
  EXPECT_TRUE(tokenizer->IsControl(control));
  EXPECT_EQ(tokenizer->TokenBytes(unknown), "");
  EXPECT_TRUE(tokenizer->IsControl(unknown));
  EXPECT_EQ(tokenizer->TokenBytes(user), "<u>");
  EXPECT_FALSE(tokenizer->IsControl(user));
  EXPECT_EQ(tokenizer->TokenBytes(word), " wörd");
  EXPECT_EQ(tokenizer->TokenSpelling(word), " wörd");
  for (const TokenId outside : {-1, word + 1, std::numeric_limits<TokenId>::max(), std::numeric_limits<TokenId>::min()}) {
    EXPECT_EQ(tokenizer->TokenBytes(outside), "");
    EXPECT_EQ(tokenizer->TokenSpelling(outside), "");
    EXPECT_FALSE(tokenizer->IsControl(outside));
  }
}

TEST(Tokenizer, FindToken_KnowsSpellingsAndBytes) {
  TinyVocabulary tiny;
  const TokenId control = tiny.AddToken("<c>", TokenType::kControl);
  const TokenId word = tiny.AddNormal(" wörd");
  tiny.AddToken("unused", TokenType::kUnused);
  const auto tokenizer = tiny.Build();
  EXPECT_EQ(*tokenizer->FindToken("<c>"), control);
  EXPECT_EQ(*tokenizer->FindToken(" wörd"), word);
  EXPECT_EQ(tokenizer->FindToken("unused").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(tokenizer->FindToken("").error().code, ErrorCode::kNotFound);
}

TEST(Tokenizer, FillingAtTheEnd_IsNoPartOfTheVocabulary) {
  TinyVocabulary tiny;
  tiny.AddToken("[PAD256]", TokenType::kUserDefined);
  const TokenId last = tiny.AddToken("<last>", TokenType::kControl);
  tiny.AddToken("[PAD258]", TokenType::kUserDefined);
  tiny.AddToken("filling", TokenType::kUnused);
  EXPECT_EQ(tiny.Build()->vocab_size(), last + 1);
}

TEST(Tokenizer, EndTokens_AreThoseOfTheFileAndTheWellKnown) {
  TinyVocabulary tiny;
  const TokenId end = tiny.AddToken("<|im_end|>", TokenType::kControl);
  const TokenId text = tiny.AddToken("<|endoftext|>", TokenType::kControl);
  tiny.AddToken("</s>", TokenType::kUserDefined);  // not a control token
  tiny.AddToken("<|user|>", TokenType::kControl);
  tiny.eos = {'x', text};
  EXPECT_THAT(tiny.Build()->eos_tokens(), ElementsAre('x', text, end));
}

TEST(Tokenizer, GlmAnswers_EndWhereAnotherTurnStarts) {
  for (const char* const pre : {"glm4", "chatglm-bpe"}) {
    TinyVocabulary tiny;
    tiny.pre = pre;
    const TokenId user = tiny.AddToken("<|user|>", TokenType::kControl);
    const TokenId observation = tiny.AddToken("<|observation|>", TokenType::kControl);
    EXPECT_THAT(tiny.Build()->eos_tokens(), ElementsAre(user, observation)) << pre;
  }
}

TEST(Tokenizer, Bos_IsAddedWhereTheFileOrTheFamilySaysSo) {
  struct Case {
    const char* pre;
    std::optional<bool> add_bos;
    bool expected;
  };
  for (const Case& c : {Case{"gpt-2", std::nullopt, false}, Case{"gpt-2", true, true}, Case{"llama-bpe", std::nullopt, true},
                        Case{"llama-bpe", false, false}, Case{"glm4", true, false}, Case{"chatglm-bpe", true, false}}) {
    TinyVocabulary tiny;
    tiny.pre = c.pre;
    tiny.bos = 65;
    tiny.add_bos = c.add_bos;
    const auto tokenizer = tiny.Build();
    EXPECT_EQ(tokenizer->add_bos(), c.expected) << c.pre;
    EXPECT_TRUE(tokenizer->has_bos());
    EXPECT_EQ(tokenizer->bos_token(), 65);
  }
}

TEST(Tokenizer, WithoutBosToken_NoneIsAdded) {
  TinyVocabulary tiny;
  tiny.add_bos = true;
  EXPECT_FALSE(tiny.Build()->add_bos());
  EXPECT_FALSE(tiny.Build()->has_bos());
}

TEST(Tokenizer, IdsOutsideTheVocabulary_AreRefused) {
  for (const int64_t id : {int64_t{256}, int64_t{-1}, int64_t{1} << 32}) {
    TinyVocabulary bos;
    bos.bos = id;
    EXPECT_EQ(Tokenizer::Create(bos.data()).error().code, ErrorCode::kCorruptFile) << id;
    TinyVocabulary eos;
    eos.eos = {id};
    EXPECT_EQ(Tokenizer::Create(eos.data()).error().code, ErrorCode::kCorruptFile) << id;
  }
}

TEST(Tokenizer, UnknownPreTokenizer_IsUnsupported) {
  TinyVocabulary tiny;
  tiny.pre = "tekken";
  EXPECT_EQ(Tokenizer::Create(tiny.data()).error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace autoglm
