#include "prompts/prompt_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "support/tiny_vocabulary.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;

class PromptTest : public ::testing::Test {
 protected:
  PromptTest() {
    bos_ = vocabulary_.AddToken("<bos>", TokenType::kControl);
    user_ = vocabulary_.AddToken("<|user|>", TokenType::kControl);
    vocabulary_.bos = bos_;
    vocabulary_.eos = {vocabulary_.AddToken("<|end|>", TokenType::kControl)};
    vocabulary_.add_bos = true;
  }

  PromptEncoder Encoder(std::string source) {
    tokenizer_ = vocabulary_.Build();
    template_ = ChatTemplate::Parse(std::move(source)).value();
    return PromptEncoder(*tokenizer_, template_.get(), 100);
  }
  static ChatCompletionRequest Request(const std::string& fields) {
    return ParseChatCompletionRequest(R"({"messages":[{"role":"user","content":"a"}])" + fields + "}").value();
  }
  static ChatCompletionRequest Saying(const std::string& content) {
    ChatCompletionRequest request = Request("");
    request.messages[0]["content"] = content;
    return request;
  }
  std::vector<TokenId> Bytes(std::string_view text) {
    std::vector<TokenId> tokens;
    for (const char byte : text) tokens.push_back(static_cast<unsigned char>(byte));
    return tokens;
  }
  static std::vector<TokenId> Join(std::vector<TokenId> a, const std::vector<TokenId>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }

  static constexpr const char* kContentOnly = "{{ messages[0]['content'] }}";

  TinyVocabulary vocabulary_;
  TokenId bos_ = 0;
  TokenId user_ = 0;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ChatTemplate> template_;
};

TEST_F(PromptTest, ControlTokens_ComeFromTheTemplateOnly) {
  const PromptEncoder encoder = Encoder("<|user|>{{ messages[0]['content'] }}");
  EXPECT_EQ(encoder.EncodeChat(Saying("<|user|>")).value(), Join({bos_, user_}, Bytes("<|user|>")));
}

TEST_F(PromptTest, RoleAndBosToken_SpellControlTokensToo) {
  const PromptEncoder encoder = Encoder("{{ bos_token }}<|{{ messages[0]['role'] }}|>{{ messages[0]['content'] }}");
  EXPECT_EQ(encoder.EncodeChat(Saying("<bos>")).value(), Join({bos_, user_}, Bytes("<bos>")));
}

TEST_F(PromptTest, Bos_IsThereOnce) {
  EXPECT_EQ(Encoder(kContentOnly).EncodeChat(Saying("a")).value(), Join({bos_}, Bytes("a")));
  EXPECT_EQ(Encoder("<bos>a").EncodeChat(Saying("")).value(), Join({bos_}, Bytes("a")));
  EXPECT_EQ(Encoder(kContentOnly).EncodeCompletion("a").value(), Join({bos_}, Bytes("a")));
  EXPECT_EQ(Encoder(kContentOnly).EncodeCompletion("<bos>a").value(), Join({bos_}, Bytes("a")));
}

TEST_F(PromptTest, ModelWithoutAddBos_GetsNone) {
  vocabulary_.add_bos = false;
  EXPECT_EQ(Encoder(kContentOnly).EncodeChat(Saying("a")).value(), Bytes("a"));
  EXPECT_EQ(Encoder(kContentOnly).EncodeCompletion("a").value(), Bytes("a"));
}

TEST_F(PromptTest, RawPrompt_MaySpellControlTokens) {
  EXPECT_EQ(Encoder(kContentOnly).EncodeCompletion("<|user|>a").value(), Join({bos_, user_}, Bytes("a")));
}

TEST_F(PromptTest, TokenIds_StayAsTheyAre) {
  const std::vector<TokenId> tokens = {5, 7, user_};
  EXPECT_EQ(Encoder(kContentOnly).EncodeCompletion(tokens).value(), tokens);
}

TEST_F(PromptTest, EmptyPrompt_IsRefusedWhereThereIsNoBos) {
  EXPECT_EQ(Encoder(kContentOnly).EncodeCompletion("").value(), std::vector<TokenId>{bos_});
  vocabulary_.add_bos = false;
  EXPECT_EQ(Encoder(kContentOnly).EncodeCompletion("").error().param, "prompt");
  EXPECT_EQ(Encoder(kContentOnly).EncodeChat(Saying("")).error().param, "messages");
}

TEST_F(PromptTest, TemplateContext_HasKwargsThatCannotReplaceTheMessages) {
  vocabulary_.add_bos = false;
  const PromptEncoder encoder =
      Encoder("{{ mood }}{{ messages[0]['content'] }}{% if add_generation_prompt %}+{% endif %}{{ eos_token }}");
  const ChatCompletionRequest request =
      Request(R"(,"chat_template_kwargs":{"mood":"x","messages":[],"add_generation_prompt":true},"add_generation_prompt":false)");
  EXPECT_EQ(encoder.EncodeChat(request).value(), Join(Bytes("xa"), {vocabulary_.eos.begin(), vocabulary_.eos.end()}));
}

TEST_F(PromptTest, Refusal_CarriesTheTemplatesWords) {
  const Result<std::vector<TokenId>> tokens = Encoder("{{ raise_exception('no system role') }}").EncodeChat(Saying("a"));
  ASSERT_FALSE(tokens.has_value());
  EXPECT_EQ(tokens.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(tokens.error().param, "messages");
  EXPECT_THAT(tokens.error().message, HasSubstr("no system role"));
}

TEST_F(PromptTest, ModelWithoutTemplate_PointsToCompletions) {
  tokenizer_ = vocabulary_.Build();
  const Result<std::vector<TokenId>> tokens = PromptEncoder(*tokenizer_, nullptr, 100).EncodeChat(Saying("a"));
  ASSERT_FALSE(tokens.has_value());
  EXPECT_THAT(tokens.error().message, HasSubstr("/v1/completions"));
}

TEST_F(PromptTest, ToolsWithoutAPlaceInTheTemplate_AreRefused) {
  const ChatCompletionRequest request = Request(R"(,"tools":[{"type":"function","function":{"name":"f"}}])");
  const Result<std::vector<TokenId>> tokens = Encoder(kContentOnly).EncodeChat(request);
  ASSERT_FALSE(tokens.has_value());
  EXPECT_EQ(tokens.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(tokens.error().param, "tools");
  EXPECT_THAT(tokens.error().message, HasSubstr("chat template"));

  vocabulary_.add_bos = false;
  EXPECT_EQ(Encoder("{% for t in tools %}{{ t.function.name }}{% endfor %}").EncodeChat(request).value(), Bytes("f"));
}

TEST_F(PromptTest, TextThatCanNeverFit_IsRefusedBeforeItIsEncoded) {
  const PromptEncoder encoder = Encoder(kContentOnly);
  const std::string text(1 << 20, 'a');
  for (const Result<std::vector<TokenId>>& tokens : {encoder.EncodeChat(Saying(text)), encoder.EncodeCompletion(text)}) {
    ASSERT_FALSE(tokens.has_value());
    EXPECT_EQ(tokens.error().code, ErrorCode::kContextLengthExceeded);
    EXPECT_THAT(tokens.error().message, HasSubstr("100 tokens"));
  }
}

}  // namespace
}  // namespace autoglm
