#include "tokenizer/tiktoken_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tokenizer/tokenizer.h"

namespace autoglm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<AddedToken> kEnd = {{.id = 5, .content = "<e>", .is_special = true}};
constexpr std::string_view kAbc = "YQ== 0\nYg== 1\nYw== 2\nYmM= 3\n";  // a, b, c, bc

TEST(Tiktoken, LowestRankGoesFirst_AndSpecialTokensFollow) {
  auto model = BuildTiktoken(kAbc, kEnd);
  ASSERT_TRUE(model) << model.error().message;
  const auto tokenizer = Tokenizer::Create(*std::move(model));
  EXPECT_THAT(tokenizer->Encode("abc<e>", SpecialTokens::kParse), ElementsAre(0, 3, 5));
  EXPECT_EQ(tokenizer->Decode({0, 3, 5}), "abc");
  EXPECT_EQ(tokenizer->vocab_size(), 6);
}

TEST(Tiktoken, Glm4_IsKnownByItsSize) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < 151'329; ++i) {
    text += {kDigits[i >> 18], kDigits[i >> 12 & 63], kDigits[i >> 6 & 63], kDigits[i & 63]};
    text += " " + std::to_string(i) + "\n";
  }
  auto model = BuildTiktoken(text, {});
  ASSERT_TRUE(model) << model.error().message;
  const auto tokenizer = Tokenizer::Create(*std::move(model));
  EXPECT_THAT(tokenizer->Encode("[gMASK]<sop><|user|>", SpecialTokens::kParse), ElementsAre(151331, 151333, 151336));
  EXPECT_THAT(tokenizer->eos_tokens(), testing::UnorderedElementsAre(151329, 151336, 151338));
  EXPECT_FALSE(tokenizer->add_bos());
}

TEST(Tiktoken, UnknownSpecialTokens_AreAskedFor) {
  const auto model = BuildTiktoken(kAbc, {});
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(model.error().message, HasSubstr("added_tokens_decoder"));
}

TEST(Tiktoken, BrokenFiles_AreRefusedWithTheLine) {
  const auto refuse = [](std::string_view text, const char* reason) {
    const auto model = BuildTiktoken(text, kEnd);
    ASSERT_FALSE(model) << text;
    EXPECT_EQ(model.error().code, ErrorCode::kCorruptFile);
    EXPECT_THAT(model.error().message, HasSubstr(reason));
  };
  refuse("", "line 1");
  refuse("YQ== 0\nYg==\n", "line 2");
  refuse("YQ== 0\nYg== 7\n", "the rank 1");
  refuse("YQ== 0\n*g== 1\n", "in base64");
  refuse("YQ== 0\n 1\n", "in base64");
  refuse("YQ== 99999999999999999999\n", "the rank 0");
  refuse("YQ== 0\nYg== 1\nYw== 2\nYmM= 3\nYWI= 4\nYWI= 5\n", "has the id of another token");
  for (const int64_t id : {int64_t{1} << 40, std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(BuildTiktoken(kAbc, {{.id = id, .content = "<e>"}}).error().code, ErrorCode::kCorruptFile);
  }
}

TEST(Tiktoken, LooksUnlikeASentencePieceModel) {
  EXPECT_TRUE(LooksLikeTiktoken(kAbc));
  EXPECT_FALSE(LooksLikeTiktoken(""));
  EXPECT_FALSE(LooksLikeTiktoken("\x0A\x0E\x0A\x05<unk>"));
}

}  // namespace
}  // namespace autoglm
