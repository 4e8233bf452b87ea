#include "tokenizer/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/random.h"
#include "support/test_paths.h"
#include "tokenizer/gguf_pre_tokenizer.h"

namespace autoglm {
namespace {

using testing::ElementsAre;

std::vector<std::string> Cut(const PreTokenizer& pre_tokenizer, std::string_view text) {
  std::vector<std::string> pieces;
  pre_tokenizer.Cut(text, [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

PreTokenizer Named(std::string_view name, Regex::Jit jit = Regex::Jit::kWherePossible) {
  return (*GgufPreTokenizer::Find(name))->Build(jit);
}

std::vector<std::string> Cut(std::string_view name, std::string_view text) { return Cut(Named(name), text); }

TEST(PreTokenizer, CutsAsHuggingFaceDoes) {
  std::ifstream file(GoldenFile("tokenizer/cases.json"));
  const auto cases = nlohmann::json::parse(file).at("pieces");
  ASSERT_EQ(cases.size(), 4U);
  for (const auto& [name, examples] : cases.items()) {
    ASSERT_TRUE(GgufPreTokenizer::Find(name)) << name;
    const PreTokenizer pre_tokenizer = Named(name);
    for (const auto& example : examples) {
      const auto text = example.at("text").get<std::string>();
      EXPECT_EQ(Cut(pre_tokenizer, text), example.at("pieces").get<std::vector<std::string>>()) << name << ": " << text;
    }
  }
}

TEST(PreTokenizer, DigitsGoByThreeOneOrAll) {
  EXPECT_THAT(Cut("llama-bpe", "12345"), ElementsAre("123", "45"));
  EXPECT_THAT(Cut("glm4", "12345"), ElementsAre("123", "45"));
  EXPECT_THAT(Cut("chatglm-bpe", "12345"), ElementsAre("123", "45"));
  EXPECT_THAT(Cut("qwen2", "123"), ElementsAre("1", "2", "3"));
  EXPECT_THAT(Cut("smollm", "123"), ElementsAre("1", "2", "3"));
  EXPECT_THAT(Cut("gpt-2", "12345"), ElementsAre("12345"));
  EXPECT_THAT(Cut("default", "12345"), ElementsAre("12345"));
}

TEST(PreTokenizer, SmolLmDigit_EndsTheSpacesBeforeItAsTheEndOfTheTextDoes) {
  EXPECT_THAT(Cut("smollm", "a  1"), ElementsAre("a", "  ", "1"));
  EXPECT_THAT(Cut("gpt-2", "a  1"), ElementsAre("a", " ", " 1"));
}

TEST(PreTokenizer, UnknownName_IsRefusedWithTheKnownOnes) {
  const auto pre_tokenizer = GgufPreTokenizer::Find("tekken");
  ASSERT_FALSE(pre_tokenizer);
  EXPECT_EQ(pre_tokenizer.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(pre_tokenizer.error().message, testing::AllOf(testing::HasSubstr("tekken"), testing::HasSubstr("qwen2")));
}

TEST(PreTokenizer, JitAndInterpreterCutAlike_AndLoseNoByte) {
  constexpr uint64_t kSeed = 11;
  const auto atoms = std::to_array<std::string_view>(
      {"a", "Z", " ", "  ", "\n", "\r", "\t", "'s", "'RE", "1", "½", ".", "!?", "é", "你", "\u3000", "\u180e", "👍🏽", "\u0301"});
  Random random(kSeed);
  for (const char* const name : {"smollm", "gpt-2", "llama-bpe", "qwen2"}) {
    const PreTokenizer fast = Named(name);
    const PreTokenizer plain = Named(name, Regex::Jit::kNever);
    for (int round = 0; round < 300; ++round) {
      std::string text;
      for (uint64_t i = random.NextBelow(30); i > 0; --i) text += atoms[random.NextBelow(atoms.size())];
      const auto pieces = Cut(fast, text);
      EXPECT_EQ(pieces, Cut(plain, text)) << name << ", seed " << kSeed;
      std::string joined;
      for (const auto& piece : pieces) joined += piece;
      EXPECT_EQ(joined, text) << name << ", seed " << kSeed;
    }
  }
}

// A run of spaces costs the pattern one step back for each: the default limit of PCRE2 is ten million.
TEST(PreTokenizer, RunsLongerThanPcresDefaultLimits_AreCutRight) {
  constexpr size_t kNumSpaces = 12'000'000;
  const std::string text = std::string(kNumSpaces, ' ') + "x";
  for (const char* const name : {"smollm", "llama-bpe"}) {
    for (const auto jit : {Regex::Jit::kWherePossible, Regex::Jit::kNever}) {
      const auto pieces = Cut(Named(name, jit), text);
      ASSERT_EQ(pieces.size(), 2U) << name;
      EXPECT_EQ(pieces[0].size(), kNumSpaces - 1);
      EXPECT_EQ(pieces[1], " x");
    }
  }
}

}  // namespace
}  // namespace autoglm
