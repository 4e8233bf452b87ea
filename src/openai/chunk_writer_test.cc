#include "openai/chunk_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "json/json.h"

namespace autoglm {
namespace {

ChunkWriter Writer(ResponseKind kind, StreamUsage usage) {
  return ChunkWriter(
      {.kind = kind, .id = "id-1", .created_unix_seconds = 1700000000, .model = "m\"", .system_fingerprint = "fp_1"}, usage);
}

std::string WholeStream(const ChunkWriter& writer) {
  std::string out;
  writer.AppendRole(out, 0);
  writer.AppendText(out, 0, "Hé \"you\"\n");
  writer.AppendFinish(out, 0, FinishReason::kStop);
  writer.AppendUsage(out, {.num_prompt_tokens = 7, .num_cached_tokens = 4, .num_completion_tokens = 3});
  ChunkWriter::AppendDone(out);
  return out;
}

TEST(ChunkWriter, ChatStream_HasTheFormOfOpenAi) {
  const std::string head =
      R"(data: {"id":"id-1","object":"chat.completion.chunk","created":1700000000,"model":"m\"","system_fingerprint":"fp_1","choices":[)";
  EXPECT_EQ(WholeStream(Writer(ResponseKind::kChatCompletion, StreamUsage::kOmit)),
            head + R"({"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]})" +
                "\n\n" +                                                                                                      //
                head + R"({"index":0,"delta":{"content":"Hé \"you\"\n"},"logprobs":null,"finish_reason":null}]})" + "\n\n" +  //
                head + R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]})" + "\n\n" +                        //
                "data: [DONE]\n\n");
}

TEST(ChunkWriter, TextStreamWithUsage_HasTheFormOfOpenAi) {
  const std::string head =
      R"(data: {"id":"id-1","object":"text_completion","created":1700000000,"model":"m\"","system_fingerprint":"fp_1","choices":[)";
  const std::string tail = "],\"usage\":null}\n\n";
  EXPECT_EQ(
      WholeStream(Writer(ResponseKind::kTextCompletion, StreamUsage::kInclude)),
      head + R"({"index":0,"text":"Hé \"you\"\n","logprobs":null,"finish_reason":null})" + tail +  //
          head + R"({"index":0,"text":"","logprobs":null,"finish_reason":"stop"})" + tail +        //
          head +
          R"(],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":4}}})" +
          "\n\n" + "data: [DONE]\n\n");
}

TEST(ChunkWriter, EveryText_StaysOneEventOfValidJson) {
  const ChunkWriter writer = Writer(ResponseKind::kChatCompletion, StreamUsage::kOmit);
  for (const std::string& text :
       {std::string("data: x\n\ndata: y\r\n"), std::string("\0\x1f", 2), std::string("\xff\xfe"), std::string("\"}],")}) {
    std::string out;
    writer.AppendText(out, 3, text);
    ASSERT_TRUE(out.starts_with("data: ") && out.ends_with("\n\n"));
    EXPECT_EQ(out.find('\n'), out.size() - 2);
    const Json event = ParseJson(std::string_view(out).substr(6)).value();
    EXPECT_EQ(event["choices"][0]["index"], 3);
    EXPECT_TRUE(event["choices"][0]["delta"]["content"].is_string());
  }
}

TEST(ChunkWriter, NotesForContinuing_AreCommentsOfTheNextEvent) {
  std::string out;
  ChunkWriter::AppendOrigin(out, {.id = "chatcmpl-1",
                                  .created_unix_seconds = 5,
                                  .seed = -7,
                                  .model = "m\n",
                                  .num_prompt_tokens = 9,
                                  .num_cached_tokens = 0,
                                  .max_tokens = 3});
  ChunkWriter::AppendTokens(out, std::vector<TokenId>{17, 905});
  EXPECT_EQ(
      out,
      R"(: autoglm-stream {"id":"chatcmpl-1","created":5,"seed":-7,"model":"m\n","prompt_tokens":9,"cached_tokens":0,"max_tokens":3})"
      "\n: autoglm-tokens 17,905\n");
}

TEST(ChunkWriter, FailuresAndPings_AreEventsOfTheirOwn) {
  std::string out;
  ChunkWriter::AppendPing(out);
  ChunkWriter::AppendError(out, {.status = 500, .message = "broken", .type = "server_error", .code = "internal_error"});
  EXPECT_EQ(out,
            ": ping\n\ndata: "
            "{\"error\":{\"message\":\"broken\",\"type\":\"server_error\",\"param\":null,\"code\":\"internal_error\"}}\n\n");
}

}  // namespace
}  // namespace autoglm
