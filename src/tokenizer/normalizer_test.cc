#include "tokenizer/normalizer.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

using Where = SpacePrefix::Where;

std::string Apply(const Normalizer& normalizer, std::string_view text, TextPlace place = TextPlace::kStart) {
  std::string storage;
  return std::string(normalizer.Apply(text, place, storage));
}

TEST(Normalizer, StepsComeInOrder_ThenThePrefix) {
  const Normalizer normalizer({Normalizer::Replace{"ab", "b"}, Normalizer::Replace{"bb", "c"}, Normalizer::Nfc{}},
                              {.where = Where::kTextStart});
  EXPECT_EQ(Apply(normalizer, "abbe\u0301"), " cé");
  EXPECT_EQ(Apply(normalizer, "x", TextPlace::kAfterControl), "x");
}

TEST(Normalizer, TextThatStaysAsItIs_IsNotCopied) {
  const Normalizer normalizer({Normalizer::Replace{"a", "b"}, Normalizer::Nfc{}}, {});
  const std::string_view text = "xyz é";
  std::string storage;
  EXPECT_EQ(normalizer.Apply(text, TextPlace::kStart, storage).data(), text.data());
}

TEST(Normalizer, PrefixStandsWhereItShould) {
  const auto prefixed = [](Where where, TextPlace place) { return Apply(Normalizer({}, {.where = where}), "a", place) == " a"; };
  EXPECT_FALSE(prefixed(Where::kNowhere, TextPlace::kStart));
  EXPECT_TRUE(prefixed(Where::kTextStartAndAfterControl, TextPlace::kAfterControl));
  EXPECT_FALSE(prefixed(Where::kTextStartAndAfterControl, TextPlace::kAfterUserDefined));
  EXPECT_TRUE(prefixed(Where::kEveryStretch, TextPlace::kAfterUserDefined));
  const SpacePrefix left_out = {.where = Where::kEveryStretch, .before_space = SpacePrefix::BeforeSpace::kLeaveOut};
  EXPECT_EQ(Apply(Normalizer({}, left_out), " a"), " a");
  EXPECT_EQ(Apply(Normalizer({}, left_out), ""), "");
}

// The expected texts are what SentencePieceProcessor.normalize gives, with its U+2581 as spaces.
TEST(Normalizer, ExtraSpaces_AreThoseOfSentencePiece) {
  const Normalizer normalizer = SentencePieceNormalizer({.where = Where::kTextStart}, {Normalizer::RemoveExtraSpaces{}});
  EXPECT_EQ(Apply(normalizer, "  the   night "), " the night");
  EXPECT_EQ(Apply(normalizer, " ▁the  night▁ "), "  the night");
  EXPECT_EQ(Apply(normalizer, "a ▁ b"), " a   b");
  EXPECT_EQ(Apply(normalizer, " ▁"), "");
  EXPECT_EQ(Apply(normalizer, "  "), "");
}

}  // namespace
}  // namespace autoglm
