#include "openai/response.h"

#include <gtest/gtest.h>

#include <vector>

#include "json/json.h"
#include "openai/error.h"

namespace autoglm {
namespace {

ResponseHead Head(ResponseKind kind) {
  return {.kind = kind, .id = "id-1", .created_unix_seconds = 1700000000, .model = "m", .system_fingerprint = "fp_1"};
}

constexpr Usage kUsage{.num_prompt_tokens = 7, .num_cached_tokens = 4, .num_completion_tokens = 3};

TEST(BuildResponse, ChatCompletion_HasTheFormOfOpenAi) {
  const std::vector<Choice> choices = {{.text = "a\"b", .finish = FinishReason::kStop},
                                       {.text = "", .finish = FinishReason::kLength}};
  EXPECT_EQ(
      BuildResponse(Head(ResponseKind::kChatCompletion), choices, kUsage),
      R"({"id":"id-1","object":"chat.completion","created":1700000000,"model":"m","choices":[)"
      R"({"index":0,"message":{"role":"assistant","content":"a\"b","refusal":null},"logprobs":null,"finish_reason":"stop"},)"
      R"({"index":1,"message":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":"length"}],)"
      R"("usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":4}},)"
      R"("system_fingerprint":"fp_1"})");
}

TEST(BuildResponse, TextCompletion_HasTheFormOfOpenAi) {
  const std::vector<Choice> choices = {{.text = "x", .finish = FinishReason::kLength}};
  EXPECT_EQ(BuildResponse(Head(ResponseKind::kTextCompletion), choices, {}),
            R"({"id":"id-1","object":"text_completion","created":1700000000,"model":"m","choices":[)"
            R"({"index":0,"text":"x","logprobs":null,"finish_reason":"length"}],)"
            R"("usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"prompt_tokens_details":{"cached_tokens":0}},)"
            R"("system_fingerprint":"fp_1"})");
}

TEST(BuildModelList, Cards_AreListedInOrder) {
  const std::vector<ModelCard> cards = {
      {.id = "a", .created_unix_seconds = 1, .context_length = 2048, .state = "loaded", .memory_bytes = 5},
      {.id = "b", .state = "unloaded"}};
  EXPECT_EQ(BuildModelList(cards), R"({"object":"list","data":[)"
                                   R"({"id":"a","object":"model","created":1,"owned_by":"autoglm","max_model_len":2048,)"
                                   R"("state":"loaded","memory_bytes":5},)"
                                   R"({"id":"b","object":"model","created":0,"owned_by":"autoglm","max_model_len":null,)"
                                   R"("state":"unloaded","memory_bytes":0}]})");
  EXPECT_EQ(BuildModelList({}), R"({"object":"list","data":[]})");
}

TEST(ErrorBodyOf, EveryCode_HasItsStatusAndType) {
  const auto body = [](ErrorCode code) { return ErrorBodyOf({.code = code, .message = "m"}); };
  EXPECT_EQ(body(ErrorCode::kInvalidArgument).status, 400);
  EXPECT_EQ(body(ErrorCode::kUnsupported).status, 400);
  EXPECT_EQ(body(ErrorCode::kContextLengthExceeded).status, 400);
  EXPECT_EQ(body(ErrorCode::kContextLengthExceeded).code, "context_length_exceeded");
  EXPECT_EQ(body(ErrorCode::kUnauthenticated).status, 401);
  EXPECT_EQ(body(ErrorCode::kPermissionDenied).status, 403);
  EXPECT_EQ(body(ErrorCode::kNotFound).status, 404);
  EXPECT_EQ(body(ErrorCode::kPayloadTooLarge).status, 413);
  EXPECT_EQ(body(ErrorCode::kResourceExhausted).status, 429);
  EXPECT_EQ(body(ErrorCode::kResourceExhausted).code, "rate_limit_exceeded");
  EXPECT_EQ(body(ErrorCode::kCancelled).status, 499);
  EXPECT_EQ(body(ErrorCode::kUnavailable).status, 503);
  EXPECT_EQ(body(ErrorCode::kDeadlineExceeded).status, 504);
  for (const ErrorCode code : {ErrorCode::kInternal, ErrorCode::kCorruptFile, ErrorCode::kIo}) {
    EXPECT_EQ(body(code).status, 500);
    EXPECT_EQ(body(code).type, "server_error");
  }
}

TEST(ErrorBodyOf, UnknownModel_HasItsOwnCode) {
  EXPECT_EQ(ErrorBodyOf({.code = ErrorCode::kNotFound, .message = "m", .param = "model"}).code, "model_not_found");
  EXPECT_EQ(ErrorBodyOf({.code = ErrorCode::kNotFound, .message = "m"}).code, "not_found");
}

TEST(ErrorBodyOf, LongMessage_IsCutBetweenCharacters) {
  const std::string text = "The model '" + std::string(1010, 'x');  // 1021 bytes
  EXPECT_EQ(ErrorBodyOf({.message = text + "abc"}).message, text + "abc");
  EXPECT_EQ(ErrorBodyOf({.message = text + "abcd"}).message, text + "abc...");
  EXPECT_EQ(ErrorBodyOf({.message = text + "a\u20ac\u20ac"}).message, text + "a...");
  EXPECT_LE(ErrorBodyOf({.message = std::string(2000, '\x80')}).message.size(), 1024u + 3u);
}

TEST(ErrorJson, EmptyFields_AreNullAndBytesAreEscaped) {
  EXPECT_EQ(ErrorJson({.status = 400, .message = "a\xff\"", .type = "t"}),
            "{\"error\":{\"message\":\"a\xEF\xBF\xBD\\\"\",\"type\":\"t\",\"param\":null,\"code\":null}}");
}

}  // namespace
}  // namespace autoglm
