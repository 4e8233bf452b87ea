#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "support/gguf_builder.h"
#include "support/tiny_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace autoglm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The metadata of a whole tokenizer, of which a test changes or leaves out one value.
class TokenizerGguf : public testing::Test {
 protected:
  TokenizerGguf() {
    TinyVocabulary tiny;
    tiny.AddMerge("a", "b");                      // 256
    tiny.AddToken("<bos>", TokenType::kControl);  // 257
    tiny.AddToken("<eos>", TokenType::kControl);  // 258
    tiny.AddToken("<eot>", TokenType::kControl);  // 259
    tiny.AddToken("<eom>", TokenType::kControl);  // 260
    values_ = {{"tokenizer.ggml.model", std::string("gpt2")}, {"tokenizer.ggml.pre", std::string("gpt-2")},
               {"tokenizer.ggml.tokens", tiny.tokens},        {"tokenizer.ggml.token_type", tiny.types},
               {"tokenizer.ggml.merges", tiny.merges},        {"tokenizer.ggml.bos_token_id", int64_t{257}},
               {"tokenizer.ggml.eos_token_id", int64_t{258}}, {"tokenizer.ggml.eot_token_id", int64_t{259}},
               {"tokenizer.ggml.eom_token_id", int64_t{260}}, {"tokenizer.ggml.add_bos_token", true}};
  }

  Result<std::unique_ptr<Tokenizer>> Load() const {
    GgufBuilder builder;
    for (const auto& [key, value] : values_) builder.Add(key, value);
    const auto bytes = builder.Build();
    const auto file = GgufFile::Parse(bytes);
    AUTOGLM_CHECK(file.has_value());
    return Tokenizer::FromGguf(**file);
  }
  void ExpectRefused(ErrorCode code, const std::string& reason) const {
    const auto tokenizer = Load();
    ASSERT_FALSE(tokenizer) << reason;
    EXPECT_EQ(tokenizer.error().code, code);
    EXPECT_THAT(tokenizer.error().message, HasSubstr(reason));
  }

  std::map<std::string, GgufValue> values_;
};

TEST_F(TokenizerGguf, ReadsEveryKey) {
  const auto tokenizer = Load();
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_THAT((*tokenizer)->Encode("ab<eos>", SpecialTokens::kParse), ElementsAre(256, 258));
  EXPECT_THAT((*tokenizer)->eos_tokens(), ElementsAre(258, 259, 260));
  EXPECT_EQ((*tokenizer)->bos_token(), 257);
  EXPECT_TRUE((*tokenizer)->add_bos());
}

TEST_F(TokenizerGguf, OptionalKeys_MayBeAbsent) {
  for (const char* const key :
       {"pre", "token_type", "bos_token_id", "eos_token_id", "eot_token_id", "eom_token_id", "add_bos_token"}) {
    values_.erase(std::string("tokenizer.ggml.") + key);
  }
  const auto tokenizer = Load();
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_FALSE((*tokenizer)->has_bos());
  EXPECT_THAT((*tokenizer)->eos_tokens(), ElementsAre());
}

TEST_F(TokenizerGguf, RequiredKeys_MustBeThere) {
  for (const char* const key : {"tokenizer.ggml.tokens", "tokenizer.ggml.merges"}) {
    const auto value = values_.extract(key).mapped();
    ExpectRefused(ErrorCode::kCorruptFile, key);
    values_[key] = value;
  }
  values_.erase("tokenizer.ggml.model");
  ExpectRefused(ErrorCode::kUnsupported, "has no tokenizer");
}

TEST_F(TokenizerGguf, ValuesOfAnotherKind_AreRefused) {
  for (auto& [key, value] : values_) {
    if (key == "tokenizer.ggml.model" || key == "tokenizer.ggml.pre") continue;
    const GgufValue right = std::exchange(value, GgufValue(0.5));
    const auto tokenizer = Load();
    ASSERT_FALSE(tokenizer) << key;
    EXPECT_EQ(tokenizer.error().code, ErrorCode::kCorruptFile) << key;
    EXPECT_THAT(tokenizer.error().message, HasSubstr(key));
    value = right;
  }
}

TEST_F(TokenizerGguf, OtherModelsAndPreTokenizers_AreUnsupported) {
  values_["tokenizer.ggml.pre"] = std::string("tekken");
  ExpectRefused(ErrorCode::kUnsupported, "tekken");
  values_["tokenizer.ggml.model"] = std::string("bert");
  ExpectRefused(ErrorCode::kUnsupported, "\"bert\" is not known; known are gpt2 and llama");
}

}  // namespace
}  // namespace autoglm
