#include "server/api_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "auth/authenticator.h"
#include "auth/secret_hash.h"
#include "base/thread_pool.h"
#include "engine/loaded_model.h"
#include "json/json.h"
#include "server/api_server_fixture.h"
#include "support/api_transcript.h"

namespace autoglm {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RawHttpClient;
using testing::RawResponse;

TEST_F(ApiServerTest, WhileLoading_TheServerIsAliveButNotReady) {
  StartServer();
  EXPECT_EQ(Get("/health").status, 200);
  const RawResponse ready = Get("/ready");
  EXPECT_EQ(ready.status, 503);
  EXPECT_TRUE(ready.headers.contains("retry-after"));
  EXPECT_EQ(PostChat(Chat("Hi")).status, 503);
  EXPECT_EQ(BodyOf(Get("/v1/models"))["data"].size(), 0u);
  LoadModel();
  EXPECT_EQ(Get("/ready").status, 200);
  EXPECT_EQ(PostChat(Chat("Hi")).status, 200);
}

TEST_F(ApiServerTest, SmallRoutes_Answer) {
  Serve();
  EXPECT_EQ(BodyOf(Get("/health"))["status"], "ok");
  EXPECT_EQ(BodyOf(Get("/version"))["version"], "1.2.3");
  EXPECT_EQ(BodyOf(Get("/ready?verbose=1"))["status"], "ready");
  const RawResponse metrics = Get("/metrics");
  EXPECT_EQ(metrics.status, 200);
  EXPECT_THAT(metrics.headers.at("content-type"), HasSubstr("version=0.0.4"));
}

TEST_F(ApiServerTest, PercentEncodedPath_IsTheSamePath) {
  Serve();
  EXPECT_EQ(Get("/%68ealth").status, 200);
  EXPECT_EQ(Get("/v1%2Fmodels").status, 200);
  EXPECT_EQ(BodyOf(Get("/v1/models/%6clama"))["id"], "llama");
  EXPECT_EQ(Get("/v1/models/%256clama").status, 404);  // decoded once only
}

TEST_F(ApiServerTest, Models_AreKnownByNameAndAsDefault) {
  Serve();
  const Json list = BodyOf(Get("/v1/models"));
  ASSERT_EQ(list["data"].size(), 1u);
  EXPECT_EQ(list["data"][0]["id"], "llama");
  EXPECT_EQ(list["data"][0]["max_model_len"], 512);
  EXPECT_EQ(BodyOf(Get("/v1/models/llama"))["id"], "llama");
  EXPECT_EQ(BodyOf(Get("/v1/models/%6clama"))["id"], "llama");
  EXPECT_EQ(BodyOf(Get("/v1/models/default"))["id"], "llama");
  const RawResponse unknown = Get("/v1/models/other");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(ErrorOf(unknown)["code"], "model_not_found");
}

TEST_F(ApiServerTest, UnknownModel_IsNotFound) {
  Serve();
  const RawResponse response = PostChat(R"({"model":"gpt-9","messages":[{"role":"user","content":"Hi"}]})");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(ErrorOf(response)["code"], "model_not_found");
  EXPECT_EQ(ErrorOf(response)["param"], "model");
}

TEST_F(ApiServerTest, UnknownPathsAndMethods_AreRefused) {
  Serve();
  EXPECT_EQ(Get("/nowhere").status, 404);
  EXPECT_EQ(Get("/v1/models/").status, 404);
  EXPECT_EQ(ErrorOf(Get("/nowhere"))["type"], "invalid_request_error");
  const RawResponse get = Get("/v1/chat/completions");
  EXPECT_EQ(get.status, 405);
  EXPECT_EQ(get.headers.at("allow"), "POST");
  const RawResponse post = Post("/health", "");
  EXPECT_EQ(post.status, 405);
  EXPECT_EQ(post.headers.at("allow"), "GET, HEAD");
}

TEST_F(ApiServerTest, RequestId_IsRepeatedOrMade) {
  Serve();
  EXPECT_EQ(Get("/health", "X-Request-Id: abc-1\r\n").headers.at("x-request-id"), "abc-1");
  EXPECT_EQ(Get("/nowhere", "X-Request-Id: abc-2\r\n").headers.at("x-request-id"), "abc-2");
  EXPECT_EQ(Post("/v1/chat/completions", Chat("Hi"), "X-Request-Id: abc-3\r\n").headers.at("x-request-id"), "abc-3");
  EXPECT_EQ(Get("/health").headers.at("x-request-id").size(), 36u);
  EXPECT_EQ(Get("/health", "X-Request-Id: " + std::string(129, 'x') + "\r\n").headers.at("x-request-id").size(), 36u);
}

TEST_F(ApiServerTest, Chat_AnswersWithTextAndUsage) {
  Serve();
  const RawResponse response = PostChat(Chat("Hi"));
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_TRUE(response.headers.contains("openai-processing-ms"));
  const Json body = BodyOf(response);
  EXPECT_THAT(body["id"].get<std::string>(), ::testing::StartsWith("chatcmpl-"));
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["model"], "llama");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "length");
  EXPECT_FALSE(ContentOf(response).empty());
  EXPECT_EQ(body["usage"]["completion_tokens"], 24);
  EXPECT_EQ(body["usage"]["total_tokens"], 24 + body["usage"]["prompt_tokens"].get<int>());
}

TEST_F(ApiServerTest, Stream_GivesTheTextOfTheWholeAnswer) {
  Serve();
  const std::string whole = ContentOf(PostChat(Chat("Hi")));
  const RawResponse response = PostChat(Chat("Hi", R"(,"stream":true,"stream_options":{"include_usage":true})"));
  ASSERT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_THAT(response.body, EndsWith("data: [DONE]\n\n"));
  const std::vector<Json> events = EventsOf(response.body);
  EXPECT_EQ(StreamedText(events), whole);
  EXPECT_EQ(events.front()["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(events[events.size() - 2]["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(events.back()["choices"].size(), 0u);
  EXPECT_EQ(events.back()["usage"]["completion_tokens"], 24);
}

TEST_F(ApiServerTest, Completions_TakeTextAndTokens) {
  Serve();
  const std::string rest = R"(,"temperature":0,"ignore_eos":true,"max_tokens":12)";
  // The toy vocabulary has the bytes at 3 and up.
  const RawResponse text = Post("/v1/completions", R"({"prompt":"~~")" + rest + "}");
  ASSERT_EQ(text.status, 200) << text.body;
  EXPECT_EQ(BodyOf(text)["object"], "text_completion");
  const std::string answer = BodyOf(text)["choices"][0]["text"];
  const RawResponse tokens = Post("/v1/completions", R"({"prompt":[129,129])" + rest + "}");
  EXPECT_EQ(BodyOf(tokens)["choices"][0]["text"], answer);
  const RawResponse stream = Post("/v1/completions", R"({"prompt":"~~","stream":true)" + rest + "}");
  EXPECT_EQ(StreamedText(EventsOf(stream.body), "text"), answer);
  EXPECT_EQ(BodyOf(Post("/v1/completions", R"({"prompt":"~~","temperature":0,"ignore_eos":true})"))["usage"]["completion_tokens"],
            16);
}

TEST_F(ApiServerTest, SeveralPromptsAndChoices_AreAnsweredInOrder) {
  Serve();
  const std::string rest = R"(,"temperature":0,"ignore_eos":true,"max_tokens":8})";
  const std::string first = BodyOf(Post("/v1/completions", R"({"prompt":"abc")" + rest))["choices"][0]["text"];
  const std::string second = BodyOf(Post("/v1/completions", R"({"prompt":"xyz")" + rest))["choices"][0]["text"];
  const Json body = BodyOf(Post("/v1/completions", R"({"prompt":["abc","xyz"],"n":2)" + rest));
  ASSERT_EQ(body["choices"].size(), 4u);
  const std::string expected[] = {first, first, second, second};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(body["choices"][i]["index"], i);
    EXPECT_EQ(body["choices"][i]["text"], expected[i]);
  }
  EXPECT_EQ(body["usage"]["completion_tokens"], 32);
  EXPECT_EQ(Post("/v1/completions", R"({"prompt":["a","a","a","a","a"],"n":8})").status, 400);
}

TEST_F(ApiServerTest, StopString_EndsTheAnswerBeforeIt) {
  Serve();
  const std::string whole = ContentOf(PostChat(Chat("Hi", "", 64)));
  size_t at = whole.size() / 2;
  while (at < whole.size() && static_cast<unsigned char>(whole[at]) > '~') ++at;
  ASSERT_LT(at, whole.size()) << "no ASCII in the second half of: " << whole;
  const std::string stop(1, whole[at]);
  std::string escaped;
  AppendJsonEscaped(escaped, stop);
  const RawResponse response = PostChat(Chat("Hi", R"(,"stop":")" + escaped + "\"", 64));
  EXPECT_EQ(ContentOf(response), whole.substr(0, whole.find(stop)));
  EXPECT_EQ(BodyOf(response)["choices"][0]["finish_reason"], "stop");
  EXPECT_LT(BodyOf(response)["usage"]["completion_tokens"], 64);
}

TEST_F(ApiServerTest, SecondRequest_ReusesThePrefix) {
  Serve();
  const std::string body = Chat(std::string(100, 'q'));
  const RawResponse first = PostChat(body);
  const RawResponse second = PostChat(body);
  EXPECT_EQ(BodyOf(first)["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
  EXPECT_GT(BodyOf(second)["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
  EXPECT_EQ(ContentOf(first), ContentOf(second));
}

TEST_F(ApiServerTest, WithoutMaxTokens_ChatFillsTheContext) {
  Serve();
  const Json body = BodyOf(PostChat(R"({"messages":[{"role":"user","content":"Hi"}],"temperature":0,"ignore_eos":true})"));
  EXPECT_EQ(body["usage"]["total_tokens"], 512);
  EXPECT_EQ(body["choices"][0]["finish_reason"], "length");
}

TEST_F(ApiServerTest, PromptBeyondTheContext_IsRefusedWithBothNumbers) {
  Serve();
  const RawResponse chat = PostChat(Chat(std::string(600, '~')));
  EXPECT_EQ(chat.status, 400);
  EXPECT_EQ(ErrorOf(chat)["code"], "context_length_exceeded");
  EXPECT_EQ(ErrorOf(chat)["param"], "messages");
  EXPECT_THAT(ErrorOf(chat)["message"].get<std::string>(), HasSubstr("512"));
  EXPECT_THAT(ErrorOf(chat)["message"].get<std::string>(), HasSubstr("6"));
  const RawResponse text = Post("/v1/completions", R"({"prompt":")" + std::string(100'000, '~') + "\"}");
  EXPECT_EQ(ErrorOf(text)["code"], "context_length_exceeded");
  EXPECT_EQ(ErrorOf(text)["param"], "prompt");
}

TEST_F(ApiServerTest, TokenIdsBeyondTheVocabulary_AreRefused) {
  Serve();
  const RawResponse response = Post("/v1/completions", R"({"prompt":[1,512]})");
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(ErrorOf(response)["param"], "prompt");
  EXPECT_EQ(PostChat(Chat("Hi", R"(,"logit_bias":{"512":1})")).status, 400);
}

TEST_F(ApiServerTest, EveryRefusalOfTheTranscripts_ComesOverHttp) {
  Serve();
  RawHttpClient client = Connect();
  for (const auto& [file, path] :
       {std::pair("chat_requests.txt", "/v1/chat/completions"), std::pair("completion_requests.txt", "/v1/completions")}) {
    for (const ApiCase& api_case : ReadApiTranscript(file)) {
      if (api_case.status == 200) continue;
      SCOPED_TRACE(api_case.name);
      SendRequest(client, "POST", path, api_case.body);
      const RawResponse response = client.ReadResponse();
      ASSERT_EQ(response.status, api_case.status) << response.body;
      const Json error = ErrorOf(response);
      EXPECT_EQ(error["param"].is_null() ? "-" : error["param"].get<std::string>(), api_case.param);
      EXPECT_EQ(error["code"].is_null() ? "-" : error["code"].get<std::string>(), api_case.code);
      EXPECT_THAT(error["message"].get<std::string>(), HasSubstr(api_case.says));
    }
  }
  EXPECT_TRUE(IsIdle());
}

TEST_F(ApiServerTest, FullQueue_AsksToComeBackLaterAndLeavesNothingBehind) {
  Serve({.max_running = 1, .max_waiting = 1});
  RawHttpClient both = Connect();
  SendRequest(both, "POST", "/v1/chat/completions", Chat("Hi", R"(,"n":2,"stream":true)", 400));
  RawResponse response = PostChat(Chat("There", "", 400));
  while (response.status == 200) response = PostChat(Chat("There", "", 400));
  EXPECT_EQ(response.status, 429) << response.body;
  EXPECT_GE(std::stoi(response.headers.at("retry-after")), 1);
  EXPECT_EQ(ErrorOf(response)["code"], "rate_limit_exceeded");
  EXPECT_EQ(both.ReadResponse().status, 200);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!IsIdle() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_TRUE(IsIdle());
  EXPECT_EQ(PostChat(Chat("Hi")).status, 200);
}

TEST_F(ApiServerTest, MoreChoicesThanThereEverArePlaces_AreRefusedForGood) {
  Serve({.max_running = 1, .max_waiting = 1});
  const RawResponse response = PostChat(Chat("Hi", R"(,"n":3)"));
  EXPECT_EQ(response.status, 400) << response.body;
  EXPECT_EQ(ErrorOf(response)["param"], "n");
}

TEST_F(ApiServerTest, TimeoutAndClass_AreReadFromHeaders) {
  Serve();
  EXPECT_EQ(Post("/v1/chat/completions", Chat("Hi"), "x-request-timeout: 60\r\nx-slo-class: interactive\r\n").status, 200);
  EXPECT_EQ(Post("/v1/chat/completions", Chat("Hi"), "x-slo-class: gold\r\n").status, 400);
  EXPECT_EQ(ErrorOf(Post("/v1/chat/completions", Chat("Hi"), "x-request-timeout: soon\r\n"))["param"], "x-request-timeout");
  EXPECT_EQ(ErrorOf(PostChat(Chat("Hi", R"(,"service_tier":"gold")")))["param"], "service_tier");
}

TEST_F(ApiServerTest, TimeoutThatPasses_Answers504_AndEndsAStreamWithAnError) {
  Serve();
  const std::string body = Chat("Hello", R"(,"n":8)", 400);
  RawResponse response;
  for (int i = 0; i < 50 && response.status != 504; ++i)
    response = Post("/v1/chat/completions", body, "x-request-timeout: 0.002\r\n");
  EXPECT_THAT(response.status, ::testing::AnyOf(504, 503)) << response.body;
  EXPECT_TRUE(AwaitMetric(R"(finished_reason="deadline")"));
}

TEST_F(ApiServerTest, CachedTokens_StandInAHeader) {
  Serve();
  const std::string body = Chat("A sentence that is long enough to fill some blocks of the cache, and then some more words");
  EXPECT_EQ(PostChat(body).headers.count("x-cached-tokens"), 0u);
  EXPECT_GE(std::stoi(PostChat(body).headers.at("x-cached-tokens")), 32);
}

// ---- keys

class ApiServerKeysTest : public ApiServerTest {
 protected:
  void ServeWithKeys(std::vector<PublicPrefix> public_prefixes = {}) {
    AuthOptions auth;
    const auto add = [&](const std::string& name, const Policy& policy) {
      auth.keys.push_back({.name = name, .sha256 = Sha256Of("secret-" + name), .policy = policy});
    };
    add("all", {.tenant = "one"});
    add("few", {.tenant = "two", .models = {"other"}});
    add("others", {.tenant = "four"});
    add("small", {.tenant = "three", .highest_priority = 0, .max_output_tokens = 10, .requests_per_minute = 3});
    authenticator_ = Authenticator::Create(auth, Clock::Real()).value();
    const ApiServerOptions options{
        .http = {.port = 0}, .authenticator = authenticator_, .public_prefixes = std::move(public_prefixes)};
    server_ = ApiServer::Start(options, metrics_, Clock::Real()).value();
    LoadModel();
  }
  static std::string Key(const std::string& name) { return "Authorization: Bearer secret-" + name + "\r\n"; }
  RawResponse PostAs(const std::string& name, const std::string& body) const {
    return Post("/v1/chat/completions", body, Key(name));
  }

  std::shared_ptr<const Authenticator> authenticator_;
};

TEST_F(ApiServerKeysTest, WithoutAKey_NothingButHealthIsToldAndNothingServed) {
  ServeWithKeys();
  EXPECT_EQ(PostChat(Chat("Hi")).status, 401);
  EXPECT_EQ(ErrorOf(PostChat(Chat("Hi")))["code"], "invalid_api_key");
  EXPECT_EQ(Get("/v1/models").status, 401);
  EXPECT_EQ(PostAs("nobody", Chat("Hi")).status, 401);
  EXPECT_EQ(Get("/health").status, 200);
  EXPECT_EQ(PostAs("all", Chat("Hi")).status, 200);
  EXPECT_EQ(Post("/v1/chat/completions", Chat("Hi"), "x-api-key: secret-all\r\n").status, 200);
}

TEST_F(ApiServerKeysTest, ModelsOfOtherKeys_AreNeitherServedNorListed) {
  ServeWithKeys();
  const RawResponse response = PostAs("few", Chat("Hi"));
  EXPECT_EQ(response.status, 403);
  EXPECT_EQ(ErrorOf(response)["type"], "permission_error");
  EXPECT_TRUE(BodyOf(Get("/v1/models", Key("few")))["data"].empty());
  EXPECT_EQ(BodyOf(Get("/v1/models", Key("all")))["data"].size(), 1u);
}

TEST_F(ApiServerKeysTest, PolicyLimitsPriorityLengthAndRate) {
  ServeWithKeys();
  EXPECT_EQ(PostAs("small", Chat("Hi", R"(,"priority":-1)", 5)).status, 403);
  EXPECT_EQ(PostAs("small", Chat("Hi", "", 11)).status, 403);
  const RawResponse first = PostAs("small", Chat("Hi", "", 10));
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.headers.at("x-ratelimit-limit-requests"), "3");
  EXPECT_EQ(first.headers.at("x-ratelimit-remaining-requests"), "2");
  const RawResponse uncapped =
      PostAs("small", R"({"model":"default","messages":[{"role":"user","content":"Hi"}],"ignore_eos":true})");
  EXPECT_EQ(BodyOf(uncapped)["usage"]["completion_tokens"], 10) << "what is not said is what the key allows";
  EXPECT_EQ(PostAs("small", Chat("Hi", "", 10)).status, 200);
  const RawResponse refused = PostAs("small", Chat("Hi", "", 10));
  EXPECT_EQ(refused.status, 429);
  EXPECT_THAT(std::stoi(refused.headers.at("retry-after")), ::testing::AllOf(::testing::Ge(1), ::testing::Le(20)));
}

TEST_F(ApiServerKeysTest, PrefixesOfAnotherTenant_AreNotFound) {
  ServeWithKeys();
  const std::string body =
      Chat("A sentence that is long enough to fill some blocks of the cache, and then some more words", "", 5);
  EXPECT_EQ(PostAs("all", body).status, 200);
  EXPECT_EQ(PostAs("all", body).headers.count("x-cached-tokens"), 1u);
  EXPECT_EQ(PostAs("small", body).headers.count("x-cached-tokens"), 0u);
}

// ---- public prefixes

constexpr const char* kPublicSystem = "You are a helper who answers in short sentences and likes long walks in the rain";

class ApiServerPublicTest : public ApiServerKeysTest {
 protected:
  static PublicPrefix OfSystem(const std::string& model = "") {
    return {.model = model, .messages = Json::array({{{"role", "system"}, {"content", kPublicSystem}}}), .origin = "test"};
  }
  static std::string Asking(const std::string& fields = {}) {
    return R"({"messages":[{"role":"system","content":")" + std::string(kPublicSystem) +
           R"("},{"role":"user","content":"Why do the clouds over the old harbour look like ships, and who keeps the lights on"}],)"
           R"("max_tokens":2,"temperature":0)" +
           fields + "}";
  }
  int64_t CachedAs(const std::string& name, const std::string& body = Asking()) const {
    const RawResponse response = PostAs(name, body);
    EXPECT_EQ(response.status, 200) << response.body;
    return BodyOf(response)["usage"]["prompt_tokens_details"]["cached_tokens"];
  }
};

TEST_F(ApiServerPublicTest, PublicPrefix_IsFoundByAnotherTenant_AndNothingBehindIt) {
  ServeWithKeys({OfSystem()});
  EXPECT_EQ(CachedAs("all"), 0);
  const int64_t num_public = CachedAs("others");
  EXPECT_GE(num_public, 32);
  EXPECT_LE(num_public, std::string_view(kPublicSystem).size() + 32);
  EXPECT_GT(CachedAs("others"), num_public + 32) << "its own question";
  EXPECT_EQ(CachedAs("small"), num_public);
}

TEST_F(ApiServerPublicTest, PrefixOfAnotherModel_IsNotPublic) {
  ServeWithKeys({OfSystem("elsewhere")});
  EXPECT_EQ(CachedAs("all"), 0);
  EXPECT_EQ(CachedAs("others"), 0);
}

TEST_F(ApiServerPublicTest, PrefixOfAModel_IsThatOfItsOtherPrecisions) {
  ServeWithKeys({OfSystem("default")});
  const std::string body = Asking(R"(,"model":"llama@int8")");
  EXPECT_EQ(CachedAs("all", body), 0);
  EXPECT_GE(CachedAs("others", body), 32);
}

TEST_F(ApiServerPublicTest, ContextWithAPublicBeginning_IsHeldWhole_AndErasedBehindIt) {
  ServeWithKeys({OfSystem()});
  const RawResponse created = Post("/v1/contexts", Asking(), Key("all"));
  ASSERT_EQ(created.status, 200) << created.body;
  const int64_t num_tokens = BodyOf(created)["tokens"];
  EXPECT_TRUE(AwaitUsedBlocks(num_tokens / 32));
  const int64_t num_public = CachedAs("small");
  EXPECT_GE(num_public, 32);
  RawHttpClient client = Connect();
  SendRequest(client, "DELETE", "/v1/contexts/" + BodyOf(created)["id"].get<std::string>(), "", Key("all"));
  EXPECT_EQ(BodyOf(client.ReadResponse())["blocks_erased"], (num_tokens - num_public) / 32);
  EXPECT_EQ(CachedAs("others"), num_public);
  EXPECT_EQ(CachedAs("all"), num_public);
}

// ---- contexts

constexpr const char* kSystem =
    R"({"model":"llama","messages":[{"role":"system","content":"You are a helper who answers in short sentences and likes long walks in the rain"}]})";

TEST_F(ApiServerTest, Context_IsComputedOnce_AndGoneOnFrom) {
  Serve();
  const RawResponse created = Post("/v1/contexts", kSystem);
  ASSERT_EQ(created.status, 200) << created.body;
  const std::string id = BodyOf(created)["id"];
  EXPECT_GT(BodyOf(created)["tokens"], 32);
  EXPECT_EQ(BodyOf(created)["ttl"], 3600);
  const std::string body =
      R"({"context":")" + id + R"(","messages":[{"role":"user","content":"Hi"}],"max_tokens":5,"temperature":0})";
  const RawResponse answer = PostChat(body);
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_GE(BodyOf(answer)["usage"]["prompt_tokens_details"]["cached_tokens"], 32);
  const std::string whole =
      R"({"messages":[{"role":"system","content":"You are a helper who answers in short sentences and likes long walks in the rain"},)"
      R"({"role":"user","content":"Hi"}],"max_tokens":5,"temperature":0})";
  EXPECT_EQ(ContentOf(PostChat(whole)), ContentOf(answer));
  EXPECT_EQ(BodyOf(Get("/v1/contexts"))["data"].size(), 1u);
  EXPECT_EQ(BodyOf(Get("/v1/contexts/" + id))["id"], id);
}

TEST_F(ApiServerTest, Context_ForkPinAndErase) {
  Serve();
  const std::string id = BodyOf(Post("/v1/contexts", kSystem))["id"];
  const RawResponse fork = Post("/v1/contexts/" + id + "/fork", R"({"ttl":60})");
  ASSERT_EQ(fork.status, 200) << fork.body;
  EXPECT_NE(BodyOf(fork)["id"], id);
  EXPECT_EQ(BodyOf(fork)["ttl"], 60);
  EXPECT_EQ(BodyOf(Post("/v1/contexts/" + id + "/unpin", ""))["pinned"], false);
  EXPECT_EQ(BodyOf(Post("/v1/contexts/" + id + "/pin", R"({"ttl":5000})"))["ttl"], 5000);
  EXPECT_EQ(Post("/v1/contexts/" + id + "/restore", "").status, 200);
  EXPECT_EQ(ErrorOf(Post("/v1/contexts/" + id + "/save", ""))["code"], "unsupported") << "there is no disk";
  RawHttpClient client = Connect();
  SendRequest(client, "DELETE", "/v1/contexts/" + id, "");
  EXPECT_EQ(BodyOf(client.ReadResponse())["deleted"], true);
  EXPECT_EQ(Get("/v1/contexts/" + id).status, 404);
  EXPECT_EQ(Get("/v1/contexts/" + BodyOf(fork)["id"].get<std::string>()).status, 200);
}

TEST_F(ApiServerTest, ExpiredContext_GivesItsMemoryBackByItself) {
  Serve();
  const RawResponse created = Post("/v1/contexts", R"({"ttl":1,)" + std::string(kSystem).substr(1));
  ASSERT_EQ(created.status, 200) << created.body;
  EXPECT_TRUE(AwaitUsedBlocks(BodyOf(created)["tokens"].get<int64_t>() / 32));
  EXPECT_TRUE(AwaitUsedBlocks(0));
}

TEST_F(ApiServerTest, ContextThatIsNotKept_PinsNothing) {
  server_ = ApiServer::Start({.http = {.port = 0}, .contexts = {.max_of_tenant = 0}}, metrics_, Clock::Real()).value();
  LoadModel();
  EXPECT_EQ(Post("/v1/contexts", kSystem).status, 429);
  EXPECT_EQ(PostChat(Chat("Hi", "", 1)).status, 200);  // the engine's numbers are those of after it
  EXPECT_TRUE(AwaitUsedBlocks(0));
}

TEST_F(ApiServerTest, ServerEndsAtOnce_HoweverSeldomItLooksForExpiredContexts) {
  server_ =
      ApiServer::Start({.http = {.port = 0}, .context_sweep_interval = std::chrono::hours(1)}, metrics_, Clock::Real()).value();
  LoadModel();
  EXPECT_EQ(Post("/v1/contexts", kSystem).status, 200);
  const auto begin = std::chrono::steady_clock::now();
  server_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kPatience);
}

TEST_F(ApiServerTest, ContextsThatMakeNoSense_AreRefused) {
  Serve();
  EXPECT_EQ(Post("/v1/contexts", "{}").status, 400);
  EXPECT_EQ(Post("/v1/contexts", R"({"prompt":"a","messages":[]})").status, 400);
  EXPECT_EQ(ErrorOf(Post("/v1/contexts", R"({"prompt":"a","ttl":0})"))["param"], "ttl");
  EXPECT_EQ(ErrorOf(PostChat(Chat("Hi", R"(,"context":"ctx-1")")))["param"], "context");
  const std::string id = BodyOf(Post("/v1/contexts", R"({"prompt":"Once upon a time"})"))["id"];
  EXPECT_EQ(PostChat(Chat("Hi", R"(,"context":")" + id + "\"")).status, 400);
  const RawResponse text = Post("/v1/completions", R"({"context":")" + id + R"(","prompt":" there was","max_tokens":3})");
  EXPECT_EQ(text.status, 200) << text.body;
  const RawResponse wrong_method = Post("/v1/contexts/" + id, "{}");
  EXPECT_EQ(wrong_method.status, 405);
  EXPECT_EQ(wrong_method.headers.at("allow"), "GET, HEAD, DELETE");
}

TEST_F(ApiServerKeysTest, ContextsOfAnotherTenant_AreUnknown) {
  ServeWithKeys();
  const RawResponse created = Post("/v1/contexts", R"({"prompt":"Once upon a time"})", Key("all"));
  ASSERT_EQ(created.status, 200) << created.body;
  const std::string path = "/v1/contexts/" + BodyOf(created)["id"].get<std::string>();
  EXPECT_EQ(Get(path, Key("all")).status, 200);
  EXPECT_EQ(Get(path, Key("small")).status, 404);
  EXPECT_TRUE(BodyOf(Get("/v1/contexts", Key("small")))["data"].empty());
}

TEST_F(ApiServerTest, ClientThatVanishes_IsCancelled) {
  Serve();
  for (const char* stream : {"", R"(,"stream":true)"}) {
    RawHttpClient client = Connect();
    SendRequest(client, "POST", "/v1/chat/completions", Chat("Hi", std::string(R"(,"n":8)") + stream, 480));
    if (*stream != '\0') {
      EXPECT_TRUE(client.ReadUntil("data: "));
    }
    client.Reset();
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!IsIdle() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    EXPECT_TRUE(IsIdle());
  }
  EXPECT_TRUE(AwaitMetric(R"(code="499")"));
  EXPECT_TRUE(AwaitMetric(R"(finished_reason="cancelled")"));
}

TEST_F(ApiServerTest, ManyClientsAtOnce_GetTheAnswersTheyWouldGetAlone) {
  Serve();
  constexpr int kNumClients = 24;
  std::vector<std::string> alone;
  alone.reserve(kNumClients);
  for (int i = 0; i < kNumClients; ++i) alone.push_back(ContentOf(PostChat(Chat("client " + std::to_string(i)))));
  std::vector<std::string> together(kNumClients);
  std::vector<std::thread> clients;
  clients.reserve(kNumClients);
  for (int i = 0; i < kNumClients; ++i) {
    clients.emplace_back([&, i] {
      const RawResponse response = PostChat(Chat("client " + std::to_string(i), R"(,"stream":true)"));
      together[static_cast<size_t>(i)] = StreamedText(EventsOf(response.body));
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(together, alone);
}

TEST_F(ApiServerTest, Metrics_CountRequestsTokensAndTimes) {
  Serve();
  EXPECT_EQ(PostChat(Chat("Hi")).status, 200);
  EXPECT_EQ(PostChat("{").status, 400);
  EXPECT_EQ(Get("/nowhere").status, 404);
  EXPECT_TRUE(AwaitMetric(R"(finished_reason="length")"));
  const std::string metrics = Get("/metrics").body;
  EXPECT_THAT(metrics, HasSubstr("autoglm_generation_tokens_total{model_name=\"llama\"} 24"));
  EXPECT_EQ(metrics_.HttpRequests("/v1/chat/completions", 200).Value(), 1);
  EXPECT_EQ(metrics_.HttpRequests("/v1/chat/completions", 400).Value(), 1);
  EXPECT_EQ(metrics_.HttpRequests("other", 404).Value(), 1);
  EXPECT_EQ(metrics_.ForModel("llama").time_to_first_token.For("standard").Collect().histogram.sample_count, 1u);
  EXPECT_GT(metrics_.ForModel("llama").prefix_cache_queries.Value(), 0);
}

TEST_F(ApiServerTest, Timing_StagesAddUpToTheTotal) {
  Serve();
  const testing::RawResponse reply = Post("/v1/chat/completions", Chat("Hi"), "x-request-id: timed\r\nx-autoglm-timing: 1\r\n");
  ASSERT_EQ(reply.status, 200);
  EXPECT_THAT(reply.headers.at("server-timing"), ::testing::ContainsRegex("queue;dur=.*prefill;dur=.*decode;dur=.*total;dur="));
  EXPECT_EQ(reply.headers.at("x-trace-id").size(), 32U);
  EXPECT_EQ(reply.headers.at("x-span-id").size(), 16U);
  const Json record = AwaitTiming("timed");
  EXPECT_EQ(record["status"], 200);
  EXPECT_EQ(record["trace_id"], reply.headers.at("x-trace-id"));
  EXPECT_EQ(record["model"], "llama");
  EXPECT_EQ(record["completion_tokens"], 24);
  EXPECT_EQ(record["slo_class"], "standard");
  int64_t sum = 0;
  for (const auto& stage : record["stages_ns"]) sum += stage.get<int64_t>();
  EXPECT_EQ(sum, record["total_ns"]);
  for (const char* stage : {"parse", "template", "tokenize", "prefill", "decode", "deliver"}) {
    EXPECT_GT(record["stages_ns"].value(stage, 0), 0) << stage;
  }
  EXPECT_GT(record["cpu_ns"].get<int64_t>(), 0);
  EXPECT_EQ(Get("/v1/requests/unheard-of/timing").status, 404);
}

TEST_F(ApiServerTest, Timing_OfStreams_StandsInTheHeadAndBehindTheLastChunk) {
  Serve();
  const testing::RawResponse reply =
      Post("/v1/chat/completions", Chat("Hi", R"(,"stream":true)"), "x-request-id: timed\r\nx-autoglm-timing: 1\r\n");
  EXPECT_THAT(reply.headers.at("server-timing"), ::testing::ContainsRegex("prefill;dur="));
  EXPECT_THAT(reply.body, ::testing::ContainsRegex(R"("choices":\[\],"timing":\{.*"decode":.*"total":)"));
  const Json record = AwaitTiming("timed");
  int64_t sum = 0;
  for (const auto& stage : record["stages_ns"]) sum += stage.get<int64_t>();
  EXPECT_EQ(sum, record["total_ns"]);
  // Who does not ask is told nothing.
  EXPECT_THAT(PostChat(Chat("Hi", R"(,"stream":true)")).body, ::testing::Not(HasSubstr("timing")));
}

TEST_F(ApiServerTest, Requests_AreListed_AndTracesFound) {
  Serve();
  const std::string traceparent = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
  EXPECT_EQ(Get("/v1/models", "x-request-id: one\r\n" + traceparent).status, 200);
  EXPECT_EQ(AwaitTiming("one")["parent_span_id"], "00f067aa0ba902b7");
  const Json trace = *ParseJson(Get("/v1/traces/4bf92f3577b34da6a3ce929d0e0e4736").body);
  EXPECT_EQ(trace["data"][0]["id"], "one");
  const Json list = *ParseJson(Get("/v1/requests?route=/v1/models&limit=5").body);
  ASSERT_EQ(list["data"].size(), 1U);
  EXPECT_EQ(list["data"][0]["id"], "one");
  EXPECT_EQ(Get("/v1/requests?colour=red").status, 400);
  EXPECT_EQ(Get("/v1/requests?limit=many").status, 400);
}

TEST_F(ApiServerTest, Metrics_ComeAsOpenMetricsToo) {
  Serve();
  EXPECT_EQ(PostChat(Chat("Hi")).status, 200);
  const testing::RawResponse reply = Get("/metrics", "accept: application/openmetrics-text; version=1.0.0\r\n");
  EXPECT_THAT(reply.headers.at("content-type"), HasSubstr("application/openmetrics-text"));
  EXPECT_THAT(reply.body, HasSubstr("# {trace_id=\""));
  EXPECT_THAT(reply.body, ::testing::EndsWith("# EOF\n"));
}

TEST_F(ApiServerTest, Drain_LetsRunningAnswersFinishAndRefusesNewOnes) {
  Serve();
  RawHttpClient running = Connect();
  SendRequest(running, "POST", "/v1/chat/completions", Chat("Hi", R"(,"stream":true)", 400));
  ASSERT_TRUE(running.ReadUntil("data: "));
  server_->BeginDrain();
  EXPECT_EQ(Get("/ready").status, 503);
  EXPECT_EQ(Get("/health").status, 200);
  EXPECT_EQ(BodyOf(Get("/v1/models"))["data"].size(), 1u);
  const RawResponse refused = PostChat(Chat("Hi"));
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(refused.headers.contains("retry-after"));
  std::thread reader([&] { EXPECT_THAT(running.ReadResponse().body, EndsWith("data: [DONE]\n\n")); });
  EXPECT_TRUE(server_->WaitUntilDrained(kPatience));
  reader.join();
  EXPECT_FALSE(Connect().is_connected());
}

TEST_F(ApiServerTest, EndWithoutDrain_BreaksAnswersOffWithAReason) {
  Serve();
  RawHttpClient running = Connect();
  SendRequest(running, "POST", "/v1/chat/completions", Chat("Hi", R"(,"n":8,"stream":true)", 480));
  ASSERT_TRUE(running.ReadUntil("data: "));
  std::thread end([&] { server_.reset(); });
  const std::string rest = running.ReadToEnd();
  end.join();
  EXPECT_THAT(rest, HasSubstr("shutting down"));
  EXPECT_THAT(rest, Not(HasSubstr("[DONE]")));
}

TEST_F(ApiServerTest, SeveralModels_AreLoadedWhenAskedForAndListedWithTheirState) {
  StartServer();
  ModelSpec second = Spec("second");
  second.aliases = {"other"};
  LoadModels({Spec("first"), second});
  const Json before = BodyOf(Get("/v1/models"))["data"];
  ASSERT_EQ(before.size(), 3u);
  EXPECT_EQ(before[0]["id"], "first");
  EXPECT_EQ(before[0]["state"], "unloaded");
  EXPECT_EQ(before[2]["id"], "other");
  const RawResponse answer = PostChat(R"({"model":"other","messages":[{"role":"user","content":"Hi"}],"max_tokens":3})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(BodyOf(answer)["model"], "second");
  EXPECT_EQ(BodyOf(Get("/v1/models/first"))["state"], "unloaded");
  EXPECT_EQ(BodyOf(Get("/v1/models/other"))["state"], "loaded");
  EXPECT_GT(BodyOf(Get("/v1/models/other"))["memory_bytes"], 16 << 20);
  const std::string text = Get("/metrics").body;
  EXPECT_THAT(text, HasSubstr("autoglm_model_loaded{model_name=\"first\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("autoglm_model_loaded{model_name=\"second\"} 1\n"));
}

TEST_F(ApiServerTest, LoadAndUnload_AnswerWhenItIsDone) {
  Serve();
  EXPECT_EQ(BodyOf(Post("/v1/models/llama/unload", ""))["state"], "unloaded");
  EXPECT_EQ(BodyOf(Post("/v1/models/llama/unload", ""))["state"], "unloaded");
  EXPECT_EQ(BodyOf(Post("/v1/models/default/load", ""))["state"], "loaded");
  EXPECT_EQ(BodyOf(Post("/v1/models/llama@int8/load", ""))["id"], "llama@int8");
  EXPECT_EQ(BodyOf(Get("/v1/models"))["data"].size(), 2u);
  EXPECT_EQ(Post("/v1/models/nobody/load", "").status, 404);
  EXPECT_EQ(Post("/v1/models/nobody/unload", "").status, 404);
  EXPECT_EQ(Get("/v1/models/llama/load").status, 405);
  EXPECT_EQ(PostChat(Chat("Hi")).status, 200);
}

TEST_F(ApiServerTest, BrokenModel_IsAServerErrorThatDoesNotTellPaths) {
  StartServer();
  ModelSpec broken = Spec("broken");
  broken.path = "/secret/place/model.gguf";
  LoadModels({Spec("llama"), broken});
  const RawResponse response = PostChat(R"({"model":"broken","messages":[{"role":"user","content":"Hi"}]})");
  EXPECT_EQ(response.status, 500);
  EXPECT_THAT(response.body, AllOf(HasSubstr("broken"), Not(HasSubstr("secret"))));
  EXPECT_EQ(BodyOf(Get("/v1/models/broken"))["state"], "failed");
  EXPECT_EQ(PostChat(Chat("Hi")).status, 200);
}

TEST_F(ApiServerTest, WaitingForAModel_EndsWhenTheServerDoes) {
  StartServer();
  LoadModels({Spec("a"), Spec("b")}, {.memory_budget_bytes = 17 << 20});
  std::promise<Result<ModelRegistry::Lease>> loaded;
  registry_->Acquire("a", [&](Result<ModelRegistry::Lease> lease) { loaded.set_value(std::move(lease)); });
  auto lease = loaded.get_future().get();
  ASSERT_TRUE(lease) << lease.error().message;
  RawHttpClient waiting = Connect();
  SendRequest(waiting, "POST", "/v1/chat/completions", R"({"model":"b","messages":[{"role":"user","content":"Hi"}]})");
  RawHttpClient other = Connect();
  SendRequest(other, "GET", "/health", "");
  EXPECT_EQ(other.ReadResponse().status, 200);
  server_->BeginDrain();
  EXPECT_EQ(waiting.ReadResponse().status, 503);
  lease = tl::unexpected<Error>(Error{});
}

}  // namespace
}  // namespace autoglm
