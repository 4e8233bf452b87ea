#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "json/json.h"
#include "server/api_server.h"
#include "support/raw_http_client.h"
#include "support/test_paths.h"

namespace autoglm {

inline constexpr std::chrono::milliseconds kPatience{10'000};

// The real server with a real engine, and a model of random weights whose context is 512 tokens.
class ApiServerTest : public ::testing::Test {
 protected:
  void TearDown() override {
    server_.reset();
    if (!registry_) return;
    EXPECT_TRUE(registry_->CheckIntegrity().has_value());
  }

  void StartServer() { server_ = ApiServer::Start({.http = {.port = 0}, .version = "1.2.3"}, metrics_, Clock::Real()).value(); }
  static ModelSpec Spec(const std::string& name, EngineOptions options = {}) {
    options.kv_memory_bytes = 16 << 20;
    return {.name = name, .aliases = {}, .path = GoldenFile("gguf/llama.gguf"), .load = {}, .engine = options};
  }
  void LoadModels(std::vector<ModelSpec> specs, RegistryOptions options = {}) {
    options.num_threads = 1;
    registry_ = ModelRegistry::Create(std::move(specs), options, Clock::Real()).value();
    server_->Serve(registry_);
  }
  void LoadModel(EngineOptions options = {}) {
    LoadModels({Spec("llama", options)});
    std::promise<Result<ModelRegistry::Lease>> loaded;
    registry_->Acquire("llama", [&](Result<ModelRegistry::Lease> lease) { loaded.set_value(std::move(lease)); });
    ASSERT_TRUE(loaded.get_future().get());
  }
  bool IsIdle() const {
    const EngineStats stats = registry_->Models().front().engine;
    return stats.num_running + stats.num_waiting == 0 && registry_->Models().front().num_leases == 0;
  }
  void Serve(EngineOptions options = {}) {
    StartServer();
    LoadModel(options);
  }

  testing::RawHttpClient Connect() const { return testing::RawHttpClient(server_->port()); }
  static void SendRequest(testing::RawHttpClient& client, const std::string& method, const std::string& path,
                          const std::string& body, const std::string& headers = {}) {
    client.Send(method + " " + path + " HTTP/1.1\r\nHost: x\r\n" + headers + "Content-Length: " + std::to_string(body.size()) +
                "\r\n\r\n" + body);
  }
  testing::RawResponse Post(const std::string& path, const std::string& body, const std::string& headers = {}) const {
    testing::RawHttpClient client = Connect();
    SendRequest(client, "POST", path, body, headers);
    return client.ReadResponse();
  }
  testing::RawResponse Get(const std::string& path, const std::string& headers = {}) const {
    testing::RawHttpClient client = Connect();
    SendRequest(client, "GET", path, "", headers);
    return client.ReadResponse();
  }

  // Greedy and of a fixed length, so that answers can be compared.
  static std::string Chat(const std::string& content, const std::string& fields = {}, int max_tokens = 24) {
    return R"({"model":"default","messages":[{"role":"user","content":")" + content +
           R"("}],"temperature":0,"ignore_eos":true,"max_tokens":)" + std::to_string(max_tokens) + fields + "}";
  }
  testing::RawResponse PostChat(const std::string& body) const { return Post("/v1/chat/completions", body); }
  static Json BodyOf(const testing::RawResponse& response) { return ParseJson(response.body).value(); }
  static std::string ContentOf(const testing::RawResponse& response) {
    return BodyOf(response)["choices"][0]["message"]["content"];
  }
  static Json ErrorOf(const testing::RawResponse& response) { return BodyOf(response)["error"]; }

  // The JSON of every event but [DONE].
  static std::vector<Json> EventsOf(std::string_view body) {
    std::vector<Json> events;
    for (size_t end = body.find("\n\n"); end != std::string_view::npos; end = body.find("\n\n")) {
      const std::string_view event = body.substr(0, end);
      if (event != "data: [DONE]") events.push_back(ParseJson(event.substr(6)).value());
      body.remove_prefix(end + 2);
    }
    return events;
  }
  static std::string StreamedText(const std::vector<Json>& events, const char* kind = "delta") {
    std::string text;
    for (const Json& event : events) {
      for (const Json& choice : event.at("choices")) {
        text += kind == std::string_view("text") ? choice.at("text").get<std::string>() : choice.at("delta").value("content", "");
      }
    }
    return text;
  }
  // Until the metrics say what they will say in the end; false where they do not.
  bool AwaitMetric(const std::string& line) const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
      if (Get("/metrics").body.find(line) != std::string::npos) return true;
      std::this_thread::yield();
    }
    return false;
  }

  // The record of a request, which is there shortly after its answer.
  Json AwaitTiming(const std::string& id) const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
      const testing::RawResponse response = Get("/v1/requests/" + id + "/timing");
      if (response.status == 200 && BodyOf(response)["state"] == "done") return BodyOf(response);
      std::this_thread::yield();
    }
    return Json::object();
  }

  // Without asking the server for anything.
  bool AwaitUsedBlocks(int64_t num_blocks) const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
      if (registry_->Models().front().engine.blocks.num_used == num_blocks) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

  ServerMetrics metrics_;
  std::unique_ptr<ApiServer> server_;
  std::shared_ptr<ModelRegistry> registry_;
};

}  // namespace autoglm
