#include "gateway/request_scan.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

TEST(RequestScan, WhatDecides_IsRead) {
  const std::string body =
      R"({"messages": [{"role":"user","content":"a \"quoted\" {[ word"}], "model":"glm", "stream":true,"user":"u1",
          "priority":-3, "max_tokens": 17 ,"n":2,"seed":5,"temperature":0.5,"tools":[{"a":{"model":"other"}}]})";
  const auto request = ScanRequest(body);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->model, "glm");
  EXPECT_EQ(request->user, "u1");
  EXPECT_TRUE(request->is_stream);
  EXPECT_EQ(request->priority, -3);
  EXPECT_EQ(request->max_tokens, 17);
  EXPECT_EQ(request->num_choices, 2);
  EXPECT_TRUE(request->has_seed);
  EXPECT_EQ(request->model_value.In(body), "\"glm\"");
  ASSERT_EQ(request->max_tokens_values.size(), 1);
  EXPECT_EQ(request->max_tokens_values.front().In(body), "17");
  EXPECT_EQ(request->prompt.In(body), R"([{"role":"user","content":"a \"quoted\" {[ word"}])");
}

TEST(RequestScan, PromptThatIsAString_IsFound) {
  const std::string body = R"({"prompt":"once upon" ,"model":"m"})";
  EXPECT_EQ(ScanRequest(body)->prompt.In(body), R"("once upon")");
}

TEST(RequestScan, NullMembers_CountAsAbsent) {
  const auto request =
      ScanRequest(R"({"model":"m","stream":null,"user":null,"max_tokens":null,"priority":null,"n":null,"seed":null})");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_FALSE(request->is_stream);
  EXPECT_FALSE(request->max_tokens);
  EXPECT_FALSE(request->has_seed);
}

// Whichever the server behind goes by, it is granted.
TEST(RequestScan, LargestOfSeveralBounds_Counts) {
  EXPECT_EQ(ScanRequest(R"({"max_tokens":50,"max_completion_tokens":20})")->max_tokens, 50);
  EXPECT_EQ(ScanRequest(R"({"max_completion_tokens":20,"max_tokens":50})")->max_tokens, 50);
  EXPECT_EQ(ScanRequest(R"({"n":2,"best_of":5})")->num_choices, 5);
}

TEST(RequestScan, BoundThatIsNull_HasAPlaceForAnother) {
  const std::string body = R"({"max_tokens": null ,"max_completion_tokens":7})";
  const auto request = ScanRequest(body);
  EXPECT_EQ(request->max_tokens, 7);
  ASSERT_EQ(request->max_tokens_values.size(), 2);
  EXPECT_EQ(request->max_tokens_values.front().In(body), "null");
}

TEST(RequestScan, LongNameOfAModel_IsRefused) {
  EXPECT_TRUE(ScanRequest(R"({"model":")" + std::string(256, 'm') + R"("})"));
  EXPECT_FALSE(ScanRequest(R"({"model":")" + std::string(257, 'm') + R"("})"));
}

TEST(RequestScan, WhatStandsBehindTheObject_IsRefused) {
  EXPECT_TRUE(ScanRequest("{\"model\":\"a\"} \r\n"));
  EXPECT_TRUE(ScanRequest("{}"));
  EXPECT_FALSE(ScanRequest(R"({"model":"allowed"}{"model":"forbidden"})"));
  EXPECT_FALSE(ScanRequest(R"({"model":"allowed"},)"));
}

// What decides about permission here must be what the server behind takes.
TEST(RequestScan, MemberThatStandsThereTwice_IsRefused) {
  const auto request = ScanRequest(R"({"model":"allowed","model":"forbidden"})");
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().param, "model");
  EXPECT_FALSE(ScanRequest(R"({"model":"allowed","\u006dodel":"forbidden"})"));
}

TEST(RequestScan, WrongTypes_AreRefusedByName) {
  for (const auto& [body, name] :
       std::initializer_list<std::pair<const char*, const char*>>{{R"({"model":5})", "model"},
                                                                  {R"({"stream":"yes"})", "stream"},
                                                                  {R"({"max_tokens":1.5})", "max_tokens"},
                                                                  {R"({"max_tokens":-1})", "max_tokens"},
                                                                  {R"({"n":0})", "n"},
                                                                  {R"({"priority":"high"})", "priority"}}) {
    const auto request = ScanRequest(body);
    ASSERT_FALSE(request) << body;
    EXPECT_EQ(request.error().param, name);
    EXPECT_EQ(request.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(RequestScan, WhatIsNoObject_IsRefused) {
  for (const char* body :
       {"", " ", "[]", "5", "\"text\"", "{", "{\"a\"", "{\"a\":}", "nonsense", "{\"model\":\"a\"", "{\"a\":\"\xff\"}"}) {
    EXPECT_FALSE(ScanRequest(body)) << body;
  }
}

TEST(RequestScan, LargeNumbersOfTokens_StayInRange) {
  EXPECT_FALSE(ScanRequest(R"({"max_tokens":1e300})"));
  EXPECT_EQ(ScanRequest(R"({"max_tokens":100.0})")->max_tokens, 100);
  EXPECT_EQ(ScanRequest(R"({"max_tokens":9223372036854775807})")->max_tokens, ScannedRequest::kMostTokens);
}

TEST(EditBody, ValuesAreReplacedAndTheRestIsUntouched) {
  const std::string body = R"( { "model" : "a", "x" : [1, 2],"max_tokens":5 })";
  const auto request = ScanRequest(body);
  const std::string edited = EditBody(body, {{request->max_tokens_values.front(), "3"}, {request->model_value, "\"long name\""}});
  EXPECT_EQ(edited, R"( { "model" : "long name", "x" : [1, 2],"max_tokens":3 })");
}

TEST(EditBody, FirstMembers_StandBeforeAllOthers) {
  for (const auto& [body, expected] :
       std::initializer_list<std::pair<std::string, std::string>>{{R"({"a":1})", R"({"s":2,"a":1})"},
                                                                  {R"( { "a":1})", R"( {"s":2, "a":1})"},
                                                                  {"{}", R"({"s":2})"},
                                                                  {"{ }", R"({"s":2 })"}}) {
    EXPECT_EQ(EditBody(body, {FirstMembers(body, "\"s\":2,")}), expected);
  }
}

}  // namespace
}  // namespace autoglm::gateway
