#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <variant>

#include "json/json.h"
#include "openai/chat_completion_request.h"
#include "openai/completion_request.h"
#include "openai/error.h"
#include "support/api_transcript.h"
#include "support/test_paths.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;

Json DescribeContinuation(const std::optional<Continuation>& continuation) {
  if (!continuation) return nullptr;
  const StreamOrigin& origin = continuation->origin;
  return {{"id", origin.id},
          {"created", origin.created_unix_seconds},
          {"seed", origin.seed},
          {"model", origin.model},
          {"prompt_tokens", origin.num_prompt_tokens.value_or(-1)},
          {"cached_tokens", origin.num_cached_tokens.value_or(-1)},
          {"max_tokens", origin.max_tokens.value_or(-1)},
          {"token_ids", continuation->token_ids},
          {"text_bytes", continuation->text_bytes}};
}

Json Describe(const GenerationParams& params) {
  const SamplingParams& sampling = params.sampling;
  Json biases = Json::array();
  for (const auto& [token, bias] : sampling.logit_bias) biases.push_back({token, bias});
  return {{"model", params.model},
          {"max_tokens", params.max_tokens ? Json(*params.max_tokens) : Json()},
          {"n", params.num_choices},
          {"priority", params.priority},
          {"stream", params.stream},
          {"include_usage", params.include_usage},
          {"continues", DescribeContinuation(params.continuation)},
          {"temperature", sampling.temperature},
          {"top_k", sampling.top_k},
          {"top_p", sampling.top_p},
          {"min_p", sampling.min_p},
          {"presence_penalty", sampling.presence_penalty},
          {"frequency_penalty", sampling.frequency_penalty},
          {"repetition_penalty", sampling.repetition_penalty},
          {"logit_bias", biases},
          {"seed", sampling.seed ? Json(*sampling.seed) : Json()},
          {"stop", sampling.stop},
          {"ignore_eos", sampling.ignore_eos},
          {"min_tokens", sampling.min_tokens}};
}

Result<Json> DescribeChat(std::string_view body) {
  AUTOGLM_TRY(const ChatCompletionRequest request, ParseChatCompletionRequest(body));
  Json described = Describe(request.params);
  described["messages"] = request.messages;
  described["tools"] = request.tools;
  described["chat_template_kwargs"] = request.chat_template_kwargs;
  described["add_generation_prompt"] = request.add_generation_prompt;
  return described;
}

Result<Json> DescribeCompletion(std::string_view body) {
  AUTOGLM_TRY(const CompletionRequest request, ParseCompletionRequest(body));
  Json described = Describe(request.params);
  described["prompts"] = Json::array();
  for (const CompletionPrompt& prompt : request.prompts) {
    std::visit([&](const auto& value) { described["prompts"].push_back(value); }, prompt);
  }
  return described;
}

// The ids of floats that are no binary fractions: 0.85f is not 0.85.
bool SameValue(const Json& expected, const Json& actual) {
  if (!expected.is_number_float() || !actual.is_number()) return expected == actual;
  return expected.get<float>() == actual.get<float>();
}

void ExpectParsed(const ApiCase& api_case, const Json& described) {
  const Json expected = ParseJson(api_case.parsed).value();
  for (const auto& [field, value] : expected.items()) {
    EXPECT_TRUE(SameValue(value, described.at(field)))
        << field << " is " << DumpJson(described.at(field)) << ", not " << DumpJson(value);
  }
}

void ExpectError(const ApiCase& api_case, const Error& error) {
  const ErrorBody body = ErrorBodyOf(error);
  EXPECT_EQ(body.status, api_case.status) << body.message;
  EXPECT_EQ(body.param.empty() ? "-" : body.param, api_case.param);
  EXPECT_EQ(body.code.empty() ? "-" : body.code, api_case.code);
  EXPECT_EQ(body.type, "invalid_request_error");
  EXPECT_THAT(body.message, HasSubstr(api_case.says));
  EXPECT_TRUE(ParseJson(ErrorJson(body)).has_value());
}

void Replay(const char* file, Result<Json> (*describe)(std::string_view)) {
  const std::vector<ApiCase> cases = ReadApiTranscript(file);
  ASSERT_GT(cases.size(), 50u) << file;
  for (const ApiCase& api_case : cases) {
    SCOPED_TRACE(api_case.name);
    const Result<Json> described = describe(api_case.body);
    ASSERT_EQ(described.has_value(), api_case.status == 200) << (described ? "accepted" : described.error().message);
    if (described) {
      ExpectParsed(api_case, *described);
    } else {
      ExpectError(api_case, described.error());
    }
  }
}

TEST(RequestTranscript, ChatCompletions_AreReadOrRefusedAsWritten) { Replay("chat_requests.txt", DescribeChat); }

TEST(RequestTranscript, Completions_AreReadOrRefusedAsWritten) { Replay("completion_requests.txt", DescribeCompletion); }

TEST(RequestTranscript, FuzzCorpus_IsReadOrRefusedWithAReason) {
  int num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SourceDir() / "fuzz/corpus/chat_request")) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string body((std::istreambuf_iterator<char>(in)), {});
    for (const Result<Json>& described : {DescribeChat(body), DescribeCompletion(body)}) {
      EXPECT_TRUE(described.has_value() || !described.error().message.empty()) << entry.path();
    }
    ++num_files;
  }
  EXPECT_GT(num_files, 10);
}

TEST(RequestTranscript, EveryPrefixOfABody_IsRefusedAndNothingBreaks) {
  const std::string body =
      R"({"messages":[{"role":"user","content":[{"type":"text","text":"é😀"}]}],"stop":["a"],"logit_bias":{"1":2}})";
  ASSERT_TRUE(ParseChatCompletionRequest(body).has_value());
  for (size_t length = 0; length < body.size(); ++length) {
    EXPECT_FALSE(ParseChatCompletionRequest(std::string_view(body).substr(0, length)).has_value()) << length;
  }
}

}  // namespace
}  // namespace autoglm
