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
  for (int i = 0; i < 40; ++i) messages.push_back({{"role", "user"}, {"content", std::string(4000, 'x') + std::to_string(i)}});
  const auto many = ParseChatCompletion(DumpJson({{"messages", messages}}));
  ASSERT_TRUE(many) << many.error().message;
  const Json last = InputOf(*many);
  ASSERT_GE(last.size(), 14u);
  ASSERT_LE(last.size(), 16u);
  EXPECT_EQ(last.back()["parts"][0]["content"], std::string(4000, 'x') + "39");
  EXPECT_EQ(last[0]["parts"][0]["content"], std::string(4000, 'x') + std::to_string(40 - last.size()));
}

TEST(MessageText, HugeToolCalls_StaySmall) {
  Json calls = Json::array();
  for (int i = 0; i < 100; ++i) {
    const std::string arguments = DumpJson({{"text", std::string(100'000, 'a')}});
    calls.push_back(
        {{"id", std::string(1000, 'i')}, {"type", "function"}, {"function", {{"name", "look"}, {"arguments", arguments}}}});
  }
  const Json asks{{"role", "user"}, {"content", "Go."}};
  const Json goes{{"role", "assistant"}, {"content", "I go."}, {"tool_calls", calls}};
  const auto parsed = ParseChatCompletion(DumpJson({{"messages", Json::array({asks, goes})}}));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_LT(InputMessagesJson(*parsed).size(), 200u << 10);
  const Json parts = InputOf(*parsed).back()["parts"];
  EXPECT_EQ(parts.size(), 17u);
  EXPECT_TRUE(parts[1]["arguments"].get<std::string>().ends_with("aaa [cut]"));
}

TEST(MessageText, Answers_SayWhyTheyEnded) {
  EXPECT_EQ(*ParseJson(OutputMessagesJson({{"Sun.", FinishReason::kStop}, {"Ra\xC3", FinishReason::kLength}})), *ParseJson(R"([
      {"role": "assistant", "parts": [{"type": "text", "content": "Sun."}], "finish_reason": "stop"},
      {"role": "assistant", "parts": [{"type": "text", "content": "Ra"}], "finish_reason": "length"}])"));
}

TEST(MessageText, ManyLongAnswers_StaySmall) {
  const std::vector<ChoiceText> choices(1000, {std::string(20'000, 'x'), FinishReason::kLength});
  const std::string json = OutputMessagesJson(choices);
  EXPECT_LT(json.size(), 66u << 10);
  EXPECT_EQ(ParseJson(json)->back()["finish_reason"], "length");
}

}  // namespace
}  // namespace autoglm
