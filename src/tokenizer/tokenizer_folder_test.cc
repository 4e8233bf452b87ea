#include "tokenizer/tokenizer_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/test_paths.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/tokenizer.h"

namespace autoglm {
namespace {

using testing::HasSubstr;

std::string Stream(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  Detokenizer detokenizer(tokenizer);
  std::string text;
  for (const TokenId token : tokens) text += detokenizer.Push(token);
  return text + detokenizer.Flush();
}

class TokenizerFolder : public testing::Test {
 protected:
  TokenizerFolder()
      : folder_(std::filesystem::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~TokenizerFolder() override { std::filesystem::remove_all(folder_); }

  void Write(const char* name, std::string_view text) { std::ofstream(folder_ / name, std::ios::binary) << text; }
  void CopyTiny(const char* kind, const char* name) {
    std::filesystem::copy_file(GoldenFile(std::string("tokenizer/tiny/") + kind + "/" + name), folder_ / name);
  }

  const std::filesystem::path folder_;
};

TEST_F(TokenizerFolder, TinyTokenizersOfEveryKind_AgreeWithTheirOwnLibraries) {
  int num_kinds = 0;
  for (const auto& entry : std::filesystem::directory_iterator(GoldenFile("tokenizer/tiny"))) {
    const auto tokenizer = Tokenizer::FromFolder(entry.path(), {});
    EXPECT_TRUE(tokenizer) << tokenizer.error().message;
    if (!tokenizer) continue;
    const auto cases = nlohmann::json::parse(std::ifstream(entry.path() / "cases.json"));
    EXPECT_GT(cases.size(), 20U);
    for (const auto& example : cases) {
      const auto text = example.at("text").get<std::string>();
      const auto ids = example.at("ids").get<std::vector<TokenId>>();
      EXPECT_EQ((*tokenizer)->Encode(text, SpecialTokens::kParse), ids) << entry.path().filename() << ": " << text;
      EXPECT_EQ(Stream(**tokenizer, ids), example.at("decoded").get<std::string>()) << entry.path().filename() << ": " << text;
    }
    ++num_kinds;
  }
  EXPECT_EQ(num_kinds, 18);
}

TEST_F(TokenizerFolder, SpecialTokensInPlainText_StayText_InEveryKind) {
  for (const auto& entry : std::filesystem::directory_iterator(GoldenFile("tokenizer/tiny"))) {
    const auto tokenizer = Tokenizer::FromFolder(entry.path(), {});
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    const std::string text = "a<end><pad> <end>b";
    std::vector<TokenId> plain = (*tokenizer)->Encode(text, SpecialTokens::kPlain);
    // What a vocabulary lacks may become its unknown token, which is one of the special ones.
    const auto is_control = [&](TokenId token) {
      return (*tokenizer)->IsControl(token) && (*tokenizer)->TokenSpelling(token) != "<unk>";
    };
    for (const TokenId token : plain) EXPECT_FALSE(is_control(token)) << entry.path();
    EXPECT_EQ((*tokenizer)->EncodeMarked(text, std::vector<bool>(text.size(), true)), plain) << entry.path();
    const auto marked = (*tokenizer)->EncodeMarked("<end><end>", {0, 0, 0, 0, 0, 0, 0, 1, 0, 0});
    EXPECT_EQ(std::count_if(marked.begin(), marked.end(), is_control), 1) << entry.path();
  }
}

TEST_F(TokenizerFolder, ParityTwin_GivesTheIdsOfItsGguf) {
  const auto folder = ParityFile("tokenizer");
  if (!folder) GTEST_SKIP() << "needs the parity fixtures: set AUTOGLM_PARITY";
  const auto tokenizer = Tokenizer::FromFolder(*folder, {});
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto file = GgufFile::Open(GoldenFile("gguf/llama.gguf"));
  const auto twin = Tokenizer::FromGguf(**file);
  EXPECT_EQ((*tokenizer)->eos_tokens(), (*twin)->eos_tokens());
  EXPECT_EQ((*tokenizer)->bos_token(), (*twin)->bos_token());
  EXPECT_EQ((*tokenizer)->add_bos(), (*twin)->add_bos());
  const auto cases = nlohmann::json::parse(std::ifstream(GoldenFile("tokenizer/cases.json")));
  for (const auto& example : cases.at("toy")) {
    const auto text = example.at("text").get<std::string>();
    EXPECT_EQ((*tokenizer)->Encode(text, SpecialTokens::kParse), example.at("ids").get<std::vector<TokenId>>()) << text;
  }
  EXPECT_THAT(**ReadChatTemplateSource(*folder), HasSubstr("add_generation_prompt"));
}

TEST_F(TokenizerFolder, ConfigAndExtraIds_NameTheEnds) {
  CopyTiny("gpt2", "tokenizer.json");
  Write("tokenizer_config.json", R"({"bos_token": {"content": "<pad>"}, "eos_token": "<end>", "add_bos_token": true})");
  const auto tokenizer = Tokenizer::FromFolder(folder_, {5, 7, 5});
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_TRUE((*tokenizer)->add_bos());
  EXPECT_EQ((*tokenizer)->TokenSpelling((*tokenizer)->bos_token()), "<pad>");
  const TokenId end = *(*tokenizer)->FindToken("<end>");
  EXPECT_EQ((*tokenizer)->eos_tokens().front(), end);
  EXPECT_THAT((*tokenizer)->eos_tokens(), testing::ElementsAre(end, 5, 7));
  EXPECT_EQ(Tokenizer::FromFolder(folder_, {1 << 20}).error().code, ErrorCode::kCorruptFile);
  EXPECT_EQ(Tokenizer::FromFolder(folder_, {-1}).error().code, ErrorCode::kCorruptFile);
  Write("tokenizer_config.json", R"({"bos_token": "<nowhere>"})");
  EXPECT_THAT(Tokenizer::FromFolder(folder_, {}).error().message, HasSubstr("<nowhere>"));
}

TEST_F(TokenizerFolder, PostProcessor_AddsBos_UnlessTheConfigSaysOtherwise) {
  CopyTiny("gemma", "tokenizer.json");
  EXPECT_TRUE((*Tokenizer::FromFolder(folder_, {}))->add_bos());
  Write("tokenizer_config.json", R"({"add_bos_token": false})");
  EXPECT_FALSE((*Tokenizer::FromFolder(folder_, {}))->add_bos());
}

TEST_F(TokenizerFolder, TokenizerJsonGoesBeforeTokenizerModel) {
  CopyTiny("gpt2", "tokenizer.json");
  Write("tokenizer.model", "nonsense");
  EXPECT_TRUE(Tokenizer::FromFolder(folder_, {}));
}

TEST_F(TokenizerFolder, WithoutAnyTokenizer_TheFolderIsNamed) {
  const auto tokenizer = Tokenizer::FromFolder(folder_, {});
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(tokenizer.error().message, HasSubstr(folder_.string()));
}

TEST_F(TokenizerFolder, ChatTemplate_ComesFromItsFile_ElseFromTheConfig) {
  EXPECT_EQ(*ReadChatTemplateSource(folder_), std::nullopt);
  Write("tokenizer_config.json",
        R"({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})");
  EXPECT_EQ(*ReadChatTemplateSource(folder_), "d");
  Write("tokenizer_config.json", R"({"chat_template": "one"})");
  EXPECT_EQ(*ReadChatTemplateSource(folder_), "one");
  Write("chat_template.jinja", "file");
  EXPECT_EQ(*ReadChatTemplateSource(folder_), "file");
  std::filesystem::remove(folder_ / "chat_template.jinja");
  Write("tokenizer_config.json", "[");
  EXPECT_EQ(ReadChatTemplateSource(folder_).error().code, ErrorCode::kCorruptFile);
}

}  // namespace
}  // namespace autoglm
