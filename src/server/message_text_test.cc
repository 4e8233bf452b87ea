#include "server/message_text.h"

#include <gtest/gtest.h>

#include "json/json.h"

namespace autoglm {
namespace {

Json InputOf(const ParsedGeneration& parsed) { return *ParseJson(InputMessagesJson(parsed)); }

TEST(MessageText, MessagesOfChats_ConsistOfParts) {
  const auto parsed = ParseChatCompletion(R"({"messages": [
      {"role": "system", "content": "Be brief."},
      {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
      {"role": "assistant", "content": null, "tool_calls": [
          {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\": \"Rome\"}"}}]},
      {"role": "tool", "tool_call_id": "c1", "content": "sunny"}]})");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(InputOf(*parsed), *ParseJson(R"([
      {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
      {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]},
      {"role": "assistant", "parts": [{"type": "tool_call", "name": "look", "id": "c1", "arguments": {"at": "Rome"}}]},
      {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "sunny"}]}])"));
}

TEST(MessageText, PromptsOfCompletions_AreUsersMessages) {
  const auto texts = ParseCompletion(R"({"prompt": ["one", "two"]})");
  ASSERT_TRUE(texts) << texts.error().message;
  EXPECT_EQ(InputOf(*texts), *ParseJson(R"([{"role": "user", "parts": [{"type": "text", "content": "one"}]},
                                            {"role": "user", "parts": [{"type": "text", "content": "two"}]}])"));
  const auto tokens = ParseCompletion(R"({"prompt": [5, 6, 7]})");
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_EQ(InputOf(*tokens), *ParseJson(R"([{"role": "user", "parts": [{"type": "token_ids", "count": 3}]}])"));
}

TEST(MessageText, LongOnes_AreCutBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "ä€";
  const auto parsed = ParseCompletion(DumpJson({{"prompt", text}}));
  ASSERT_TRUE(parsed) << parsed.error().message;
  const std::string cut = InputOf(*parsed)[0]["parts"][0]["content"];
  EXPECT_LE(cut.size(), (8u << 10) + 6);
  EXPECT_EQ(text.substr(0, cut.size() - 6) + " [cut]", cut);
  Json messages = Json::array();
  for (int i = 0; i < 40; ++i) messages.push_back({{"role", "user"}, {"content", std::to_string(i)}});
  const auto many = ParseChatCompletion(DumpJson({{"messages", messages}}));
  ASSERT_TRUE(many) << many.error().message;
  const Json last = InputOf(*many);
  ASSERT_EQ(last.size(), 32u);
  EXPECT_EQ(last[31]["parts"][0]["content"], "39");
}

TEST(MessageText, Answers_SayWhyTheyEnded) {
  EXPECT_EQ(*ParseJson(OutputMessagesJson({{"Sun.", FinishReason::kStop}, {"Ra\xC3", FinishReason::kLength}})), *ParseJson(R"([
      {"role": "assistant", "parts": [{"type": "text", "content": "Sun."}], "finish_reason": "stop"},
      {"role": "assistant", "parts": [{"type": "text", "content": "Ra"}], "finish_reason": "length"}])"));
}

}  // namespace
}  // namespace autoglm
