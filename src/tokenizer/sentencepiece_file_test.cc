#include "tokenizer/sentencepiece_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/tokenizer.h"

namespace autoglm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The few parts of a protobuf that these files have.
std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(value | 0x80));
  bytes.push_back(static_cast<char>(value));
  return bytes;
}
std::string Number(uint64_t field, uint64_t value) { return Varint(field << 3) + Varint(value); }
std::string Text(uint64_t field, std::string_view text) {
  return Varint(field << 3 | 2) + Varint(text.size()) + std::string(text);
}
std::string Piece(std::string_view text, uint64_t type) { return Text(1, Text(1, text) + Number(3, type)); }

std::string TrainerSpec(uint64_t model_type) { return Text(2, Number(3, model_type)); }
std::string NormalizerSpec(bool removes_spaces) { return Text(3, Number(3, 0) + Number(4, removes_spaces ? 1 : 0)); }
std::string Pieces() { return Piece("<unk>", 2) + Piece("<s>", 3) + Piece("</s>", 3) + Piece("a", 1); }

void ExpectRefused(const std::string& bytes, ErrorCode code, const char* reason) {
  const auto model = BuildSentencePieceFile(bytes, {});
  ASSERT_FALSE(model) << reason;
  EXPECT_EQ(model.error().code, code);
  EXPECT_THAT(model.error().message, HasSubstr(reason));
}

TEST(SentencePieceFile, AddedTokens_ComeBehindThePieces) {
  std::vector<AddedToken> added = {{.id = 1, .content = "<s>", .is_special = true},
                                   {.id = 6, .content = "<x>", .is_special = true}};
  auto model = BuildSentencePieceFile(Pieces() + TrainerSpec(2) + NormalizerSpec(false), added);
  ASSERT_TRUE(model) << model.error().message;
  const auto tokenizer = Tokenizer::Create(*std::move(model));
  EXPECT_THAT(tokenizer->Encode("a<x>a<s>", SpecialTokens::kParse), ElementsAre(3, 6, 3, 1));
  EXPECT_THAT(tokenizer->eos_tokens(), ElementsAre(2));
  EXPECT_EQ(tokenizer->bos_token(), 1);
}

TEST(SentencePieceFile, AddedTokensThatDoNotFit_AreRefused) {
  const std::string bytes = Pieces() + TrainerSpec(2) + NormalizerSpec(false);
  EXPECT_FALSE(BuildSentencePieceFile(bytes, {{.id = 3, .content = "<x>"}}));
  EXPECT_FALSE(BuildSentencePieceFile(bytes, {{.id = int64_t{1} << 40, .content = "<x>"}}));
  // Each within reach of the one before it, but together gigabytes of filling.
  const std::vector<AddedToken> far = {{.id = 60'000, .content = "<x>"}, {.id = 120'000, .content = "<y>"}};
  EXPECT_FALSE(BuildSentencePieceFile(bytes, far));
}

TEST(SentencePieceFile, ChatGlm3_HasItsOwnTokensBehindThePieces) {
  std::string bytes = Pieces();
  for (int i = 4; i < 64'789; ++i) bytes += Piece("p" + std::to_string(i), 1);
  auto model = BuildSentencePieceFile(bytes + TrainerSpec(2) + NormalizerSpec(false), {});
  ASSERT_TRUE(model) << model.error().message;
  const auto tokenizer = Tokenizer::Create(*std::move(model));
  EXPECT_THAT(tokenizer->Encode("[gMASK]sop<|user|>", SpecialTokens::kParse), ElementsAre(64790, 64792, 64795));
  EXPECT_THAT(tokenizer->eos_tokens(), ElementsAre(2, 64795, 64797));
  for (const TokenId token : tokenizer->Encode("philosophy", SpecialTokens::kParse)) EXPECT_NE(token, 64792);
  EXPECT_FALSE(tokenizer->add_bos());
}

TEST(SentencePieceFile, WhatIsNotBuilt_IsRefusedByName) {
  ExpectRefused(Pieces() + NormalizerSpec(false), ErrorCode::kUnsupported, "not of type BPE");
  ExpectRefused(Pieces() + TrainerSpec(2) + Text(3, Number(5, 0)), ErrorCode::kUnsupported, "escape_whitespaces");
  ExpectRefused(Pieces() + Text(2, Number(3, 2) + Number(24, 1)), ErrorCode::kUnsupported, "treat_whitespace_as_suffix");
}

TEST(SentencePieceFile, BrokenFiles_AreRefused) {
  ExpectRefused("", ErrorCode::kCorruptFile, "no pieces");
  ExpectRefused("\x0A\xFF\xFF\xFF\xFF\x0F", ErrorCode::kCorruptFile, "longer than the file");
  ExpectRefused("\x0F", ErrorCode::kCorruptFile, "unknown type");
  ExpectRefused(std::string(20, '\xFF'), ErrorCode::kCorruptFile, "without end");
  ExpectRefused(Pieces() + TrainerSpec(2) + Text(3, Text(2, "map")), ErrorCode::kCorruptFile, "precompiled_charsmap");
  ExpectRefused(Pieces() + TrainerSpec(2) + Text(3, Text(2, std::string("\4\0\0\0\0\0\0\0\xFF", 9))), ErrorCode::kCorruptFile,
                "no UTF-8");
  ExpectRefused(Pieces() + Piece("x", 9) + TrainerSpec(2) + NormalizerSpec(false), ErrorCode::kCorruptFile, "token_type");
  ExpectRefused(Pieces() + TrainerSpec(2) + Text(2, Number(3, 2) + Number(40, 99)) + NormalizerSpec(false),
                ErrorCode::kCorruptFile, "99");
}

}  // namespace
}  // namespace autoglm
