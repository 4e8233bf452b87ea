#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/api_server_fixture.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::RawHttpClient;
using testing::RawResponse;

// Answers that another server began. That both parts are one answer is held to by tests/e2e/test_continue.py.
class ApiContinuationTest : public ApiServerTest {
 protected:
  static std::string Continue(const std::string& fields, const std::string& members = {}, int max_tokens = 24) {
    return Chat(
        "Hello",
        R"(,"stream":true,"autoglm_continue":{"id":"chatcmpl-7","created":5,"seed":1,"token_ids":[70,71],"text_bytes":0)" +
            members + "}" + fields,
        max_tokens);
  }
  static size_t NumTokens(const RawResponse& response) { return EventsOf(response.body).back()["usage"]["completion_tokens"]; }

  static constexpr const char* kUsage = R"(,"stream_options":{"include_usage":true})";
};

TEST_F(ApiContinuationTest, ContinuedAnswer_HasTheNameOfTheFirstPartAndNoRole) {
  Serve();
  const RawResponse response = PostChat(Continue(kUsage));
  ASSERT_EQ(response.status, 200) << response.body;
  for (const Json& event : EventsOf(response.body)) {
    EXPECT_EQ(event["id"], "chatcmpl-7");
    EXPECT_EQ(event["created"], 5);
  }
  EXPECT_THAT(response.body, Not(HasSubstr("role")));
  EXPECT_EQ(NumTokens(response), 24u);
}

TEST_F(ApiContinuationTest, TheModelThatBeganTheAnswer_GoesOnWithIt) {
  StartServer();
  LoadModels({Spec("llama"), Spec("other")});
  EXPECT_EQ(EventsOf(PostChat(Continue("")).body).front()["model"], "llama");
  EXPECT_EQ(EventsOf(PostChat(Continue("", R"(,"model":"other")")).body).front()["model"], "other");
  const RawResponse unknown = PostChat(Continue("", R"(,"model":"third")"));
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(ErrorOf(unknown)["param"], "model");
}

TEST_F(ApiContinuationTest, UnderPressure_WhatWasBegunKeepsItsLengthAndIsNotRefused) {
  const DegradationOptions degradation{.cap_from = 1e-6, .cap_tokens = 4, .refuse_from = 1e-6};
  server_ = ApiServer::Start({.http = {.port = 0}, .generation = {.degradation = degradation}}, metrics_, Clock::Real()).value();
  LoadModel();
  RawHttpClient busy = Connect();
  SendRequest(busy, "POST", "/v1/chat/completions", Chat("Go on for long", R"(,"stream":true)", 400));
  ASSERT_TRUE(AwaitMetric(R"(autoglm_num_requests_running{model_name="llama"} 1)"));
  EXPECT_EQ(PostChat(Chat("Hello", R"(,"priority":1)")).status, 503);
  EXPECT_EQ(BodyOf(PostChat(Chat("Hello")))["usage"]["completion_tokens"], 4);
  EXPECT_EQ(NumTokens(PostChat(Continue(std::string(kUsage) + R"(,"priority":1)"))), 24u);
  EXPECT_EQ(NumTokens(PostChat(Continue(kUsage, R"(,"max_tokens":9)"))), 9u);
}

TEST_F(ApiContinuationTest, NobodyElseChoosesTheNameOfAnAnswer) {
  Serve();
  const RawResponse response = PostChat(Chat("Hello", R"(,"id":"chatcmpl-mine","created":5)"));
  EXPECT_NE(BodyOf(response)["id"], "chatcmpl-mine");
  EXPECT_NE(BodyOf(response)["created"], 5);
}

}  // namespace
}  // namespace autoglm
