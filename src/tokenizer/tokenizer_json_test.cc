#include "tokenizer/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/check.h"
#include "json/json.h"
#include "tokenizer/tokenizer.h"

namespace autoglm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A whole file of characters, of which a test changes one part.
class TokenizerJsonTest : public testing::Test {
 protected:
  TokenizerJsonTest() {
    json_["added_tokens"] = Json::array({{{"id", 5}, {"content", "<e>"}, {"special", true}}});
    json_["model"] = {
        {"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"c", 2}, {"ab", 3}, {"?", 4}}}, {"merges", Json::array({"a b"})}};
  }

  Result<TokenizerModel> Build() const { return BuildTokenizerJson(json_.dump()); }
  std::vector<TokenId> Encode(std::string_view text, SpecialTokens specials = SpecialTokens::kParse) const {
    auto model = Build();
    AUTOGLM_CHECK(model.has_value());
    return Tokenizer::Create(*std::move(model))->Encode(text, specials);
  }
  void ExpectRefused(ErrorCode code, const std::string& reason) const {
    const auto model = Build();
    ASSERT_FALSE(model) << reason;
    EXPECT_EQ(model.error().code, code) << model.error().message;
    EXPECT_THAT(model.error().message, HasSubstr(reason));
  }

  Json json_;
};

TEST_F(TokenizerJsonTest, ReadsBothSpellingsOfMerges) {
  EXPECT_THAT(Encode("abc<e>"), ElementsAre(3, 2, 5));
  json_["model"]["merges"] = Json::array({Json::array({"a", "b"})});
  EXPECT_THAT(Encode("abc<e>"), ElementsAre(3, 2, 5));
}

TEST_F(TokenizerJsonTest, UnknownCharacters_AreLeftOut_OrTheUnknownToken) {
  EXPECT_THAT(Encode("axb"), ElementsAre(3));
  json_["model"]["unk_token"] = "?";
  EXPECT_THAT(Encode("axyb\xFF"), ElementsAre(0, 4, 4, 1, 4));
  json_["model"]["fuse_unk"] = true;
  EXPECT_THAT(Encode("axyb"), ElementsAre(0, 4, 1));
}

TEST_F(TokenizerJsonTest, SpecialTokenThatMergesWouldMake_StaysText) {
  json_["added_tokens"][0] = {{"id", 3}, {"content", "ab"}, {"special", true}};
  EXPECT_THAT(Encode("ab", SpecialTokens::kPlain), ElementsAre(0, 1));
  EXPECT_THAT(Encode("ab"), ElementsAre(3));
}

TEST_F(TokenizerJsonTest, GapsBetweenIds_AreNoTokens) {
  json_["added_tokens"][0]["id"] = 9;
  const auto tokenizer = Tokenizer::Create(*Build());
  EXPECT_EQ(tokenizer->vocab_size(), 10);
  EXPECT_EQ(tokenizer->TokenBytes(7), "");
  EXPECT_THAT(tokenizer->Encode("<e>", SpecialTokens::kParse), ElementsAre(9));
}

TEST_F(TokenizerJsonTest, BrokenVocabularies_AreRefused) {
  const Json whole = json_;
  const auto refuse = [&](const char* name, const Json& value, const char* reason) {
    json_ = whole;
    json_["model"][name] = value;
    ExpectRefused(ErrorCode::kCorruptFile, reason);
  };
  refuse("merges", Json::array({"a z"}), "is not two tokens");
  refuse("merges", Json::array({"ab"}), "which is not two tokens");
  refuse("merges", Json::array({"b a"}), "join to a third");
  refuse("merges", Json::array({Json::array({"a"})}), "a merge that is not two tokens");
  refuse("merges", Json::array({Json::array({"a", "b", "c"})}), "more than two");
  refuse("merges", Json::array({5}), "a merge that is no text");
  refuse("merges", Json::array({Json::array({Json::array({"a", "b"})})}), "a merge");
  refuse("vocab", Json::object(), "is empty");
  refuse("vocab", {{"a", -1}}, "out of range");
  refuse("vocab", {{"a", 2'000'000'000}}, "out of range");
  refuse("vocab", {{"a", uint64_t{18'446'744'073'709'551'615U}}}, "no whole number");
  refuse("vocab", {{"a", 1.5}}, "no whole number");
  refuse("vocab", {{"a", 0}, {"b", 0}}, "there twice");
  refuse("unk_token", "nowhere", "unk_token");
}

TEST_F(TokenizerJsonTest, AddedTokensThatDoNotFit_AreRefused) {
  const auto refuse = [&](const Json& token, const char* reason) {
    json_["added_tokens"][0] = token;
    ExpectRefused(ErrorCode::kCorruptFile, reason);
  };
  refuse({{"id", 0}, {"content", "<e>"}}, "has the id of another token");
  refuse({{"id", 1'000'000'000}, {"content", "<e>"}}, "out of range");
  refuse({{"content", "<e>"}}, "no id");
  refuse({{"id", 7}, {"content", ""}}, "no content");
  refuse("text", "no object");
}

TEST_F(TokenizerJsonTest, PartsThatAreNotBuilt_AreNamed) {
  const Json whole = json_;
  const auto refuse = [&](const char* pointer, const Json& value, const char* reason) {
    json_ = whole;
    json_[Json::json_pointer(pointer)] = value;
    ExpectRefused(ErrorCode::kUnsupported, reason);
  };
  refuse("/model/type", "WordPiece", "a model of type \"WordPiece\"");
  refuse("/model/vocab", Json::array(), "Unigram");
  refuse("/model/dropout", 0.1, "model.dropout");
  refuse("/model/continuing_subword_prefix", "##", "model.continuing_subword_prefix");
  refuse("/normalizer", {{"type", "NFKC"}}, "the normalizer \"NFKC\"");
  refuse("/normalizer", {{"type", "Prepend"}, {"prepend", "x"}}, "\"Prepend\"");
  refuse("/normalizer", {{"type", "Replace"}, {"pattern", {{"Regex", "a"}}}, {"content", ""}}, "with a Regex");
  refuse("/pre_tokenizer", {{"type", "Whitespace"}}, "the pre_tokenizer \"Whitespace\"");
  refuse("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "Odd"}}, "the behavior \"Odd\"");
  refuse("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}}, "(a");
  refuse("/decoder", {{"type", "WordPiece"}}, "the decoder \"WordPiece\"");
  refuse("/post_processor", {{"type", "BertProcessing"}}, "the post_processor \"BertProcessing\"");
}

TEST_F(TokenizerJsonTest, TextsThatAreNoTokenizer_AreRefused) {
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{"), std::string("{}"), std::string("{\"model\": 1}"),
        std::string("{\"model\": {\"vocab\": {\"a\": 0}"), std::string(100'000, '['),
        "{\"a\": " + std::string(1000, '[') + std::string(1000, ']') + "}", std::string("{\"\xFF\": 1}")}) {
    const auto model = BuildTokenizerJson(text);
    ASSERT_FALSE(model) << text.substr(0, 40);
    EXPECT_EQ(model.error().code, ErrorCode::kCorruptFile) << model.error().message;
  }
}

TEST_F(TokenizerJsonTest, CatastrophicPattern_EndsInBoundedTime) {
  json_["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "(a+)+$"}}}, {"behavior", "Isolated"}};
  EXPECT_EQ(Encode(std::string(5000, 'a') + "b").size(), 5000U);
}

TEST_F(TokenizerJsonTest, HugePatterns_AreRefused) {
  const auto refuse = [&](const std::string& pattern) {
    json_["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}};
    ExpectRefused(ErrorCode::kUnsupported, "pattern");
  };
  refuse(std::string(10'000, 'a'));
  refuse("((a{1000}){1000}){1000}");
  refuse(std::string(1000, '(') + std::string(1000, ')'));
}

TEST_F(TokenizerJsonTest, ManyTokens_TakeNoQuadraticTime) {
  std::string text = R"({"model": {"type": "BPE", "vocab": {)";
  for (int i = 0; i < 200'000; ++i) text += "\"t" + std::to_string(i) + "\": " + std::to_string(i) + ", ";
  text += "\"a\": 200000}, \"merges\": []}}";
  const auto model = BuildTokenizerJson(text);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->vocabulary->size(), 200'001);
}

}  // namespace
}  // namespace autoglm
