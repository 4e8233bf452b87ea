#include "discovery/registration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm::discovery {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Registration Worker(const std::string& body) {
  const Result<Registration> registration = ParseRegistration(body);
  EXPECT_TRUE(registration) << registration.error().message;
  return registration.value_or(Registration());
}

TEST(Registration, WhatSglangsClientsSendIsUnderstood) {
  const Registration worker = Worker(
      R"({"url":"http://Worker-a:8000/","model_id":"mistral","priority":10,"cost":2,"worker_type":"regular","runtime":"sglang",
          "labels":{"tier":"gold","region":"eu","kv_events":"tcp://{host}:5557"},"api_key":"secret",
          "health_check_timeout_secs":30,"dp_aware":false,"bootstrap_port":null})");
  EXPECT_EQ(worker.url, "http://Worker-a:8000");
  EXPECT_THAT(worker.models, ElementsAre("mistral"));
  const gateway::UpstreamConfig config = ConfigOf(worker, {.spec = {.weight = 10}, .max_inflight = 7});
  EXPECT_EQ(config.spec.name, worker.url);
  EXPECT_EQ(config.url, worker.url);
  EXPECT_DOUBLE_EQ(config.spec.weight, 1);
  EXPECT_EQ(config.spec.region, "eu");
  EXPECT_EQ(config.kv_events, "tcp://Worker-a:5557");
  EXPECT_EQ(config.engine, gateway::EngineKind::kSglang);
  EXPECT_EQ(config.api_key, "secret");
  EXPECT_EQ(config.max_inflight, 7);
}

TEST(Registration, NothingButTheUrlIsNeeded) {
  const Registration worker = Worker(R"({"url":"https://w"})");
  EXPECT_EQ(worker.url, "https://w");
  EXPECT_THAT(worker.id, testing::MatchesRegex("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"));
  const gateway::UpstreamConfig like{.spec = {.models = {"a"}}, .api_key = "everybody's"};
  const gateway::UpstreamConfig config = ConfigOf(worker, like);
  EXPECT_EQ(config.spec.weight, 1);
  EXPECT_THAT(config.spec.models, ElementsAre("a"));
  EXPECT_EQ(config.api_key, "everybody's");
}

TEST(Registration, ModelsMayBeAList) {
  const Registration worker = Worker(R"({"url":"http://w:1","model_id":"a","models":[{"id":"a"},{"id":"b","context":4096}]})");
  EXPECT_THAT(worker.models, ElementsAre("a", "b"));
}

TEST(Registration, MistakesNameTheField) {
  const std::pair<const char*, const char*> bodies[] = {
      {R"({})", "url"},
      {R"({"url":5})", "url"},
      {R"({"url":"grpc://w:1"})", "url"},
      {R"({"url":"http://w:1/v1"})", "url"},
      {R"({"url":"http://w:99999"})", "url"},
      {R"({"url":"http://w:1","priority":-1})", "priority"},
      {R"({"url":"http://w:1","priority":1.5})", "priority"},
      {R"({"url":"http://w:1","cost":0})", "cost"},
      {R"({"url":"http://w:1","labels":{"a":1}})", "labels"},
      {R"({"url":"http://w:1","models":[{}]})", "models[0].id"},
      {R"({"url":"http://w:1","worker_type":"prefill"})", "worker_type"},
  };
  for (const auto& [body, field] : bodies) {
    const auto worker = ParseRegistration(body);
    ASSERT_FALSE(worker) << body;
    EXPECT_EQ(worker.error().param, field) << body;
    EXPECT_EQ(WorkerErrorJson(worker.error())["code"], "BAD_REQUEST");
  }
  EXPECT_FALSE(ParseRegistration("[]"));
  EXPECT_FALSE(ParseRegistration("{"));
}

TEST(Registration, AnswersLookAsSglangsDo) {
  const Registration worker = Worker(R"({"url":"http://w:1","model_id":"m","labels":{"tier":"gold"},"api_key":"secret"})");
  EXPECT_EQ(
      DumpJson(WorkerListJson(
          {&worker, 1},
          [](const std::string& url) { return WorkerState{.is_healthy = url == "http://w:1", .num_inflight = 3}; })),
      R"({"workers":[{"id":")" + worker.id +
          R"(","url":"http://w:1","model_id":"m","priority":50,"cost":1.0,"worker_type":"regular","is_healthy":true,"load":3,)"
          R"("connection_mode":"http","metadata":{"tier":"gold"}}],"total":1,)"
          R"("stats":{"prefill_count":0,"decode_count":0,"regular_count":1}})");
  EXPECT_EQ(RegisteredJson(worker)["location"], "/workers/" + worker.id);
  EXPECT_EQ(RemovedJson(worker)["status"], "accepted");
  for (const Json& answer : {WorkerJson(worker, {}), RegisteredJson(worker), RemovedJson(worker)}) {
    EXPECT_THAT(DumpJson(answer), Not(HasSubstr("secret")));
  }
  EXPECT_EQ(WorkerErrorJson({.code = ErrorCode::kNotFound, .message = "no"})["code"], "WORKER_NOT_FOUND");
}

}  // namespace
}  // namespace autoglm::discovery
