#include "tokenizer/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/check.h"
#include "support/test_paths.h"

namespace autoglm {
namespace {

using Json = nlohmann::ordered_json;
using testing::HasSubstr;

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  AUTOGLM_CHECK(file.good());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The moment at which the expected texts were made.
ChatTemplate::Time GoldenTime() {
  std::tm time{};
  time.tm_year = 2025 - 1900;
  time.tm_mday = 2;
  time.tm_hour = 3;
  time.tm_min = 4;
  time.tm_sec = 5;
  time.tm_isdst = -1;
  return std::chrono::system_clock::from_time_t(std::mktime(&time));
}

Result<std::string> TryRender(const std::string& source, const Json& context) {
  const auto parsed = ChatTemplate::Parse(source);
  if (!parsed) return tl::unexpected<Error>(parsed.error());
  return (*parsed)->Render(context, GoldenTime());
}

void ExpectCase(const std::string& source, const Json& context, const Json& example) {
  SCOPED_TRACE(example.at("case").get<std::string>() + ": " + source.substr(0, 200));
  const Result<std::string> rendered = TryRender(source, context);
  if (example.contains("error")) {
    EXPECT_FALSE(rendered.has_value()) << "gave " << *rendered << "\ninstead of " << example.at("error");
    return;
  }
  ASSERT_TRUE(rendered.has_value()) << rendered.error().message;
  EXPECT_EQ(*rendered, example.at("expected").get<std::string>());
}

std::vector<std::filesystem::path> JsonFiles(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  return files;
}

TEST(ChatTemplate, Snippets_RenderAsJinja2Does) {
  const Json golden = Json::parse(ReadFile(GoldenFile("templates/snippets.json")));
  EXPECT_GT(golden.at("cases").size(), 200U);
  for (const Json& example : golden.at("cases")) ExpectCase(example.at("template"), golden.at("context"), example);
}

TEST(ChatTemplate, OwnTemplates_RenderAsJinja2Does) {
  int num_cases = 0;
  for (const auto& path : JsonFiles(GoldenFile("templates"))) {
    if (path.stem() == "snippets") continue;
    SCOPED_TRACE(path.filename());
    const std::string source = ReadFile(std::filesystem::path(path).replace_extension(".jinja"));
    const Json golden = Json::parse(ReadFile(path));
    for (const Json& example : golden.at("cases")) {
      ExpectCase(source, example.at("context"), example);
      ++num_cases;
    }
  }
  EXPECT_GT(num_cases, 40);
}

TEST(ChatTemplate, PublishedTemplates_RenderAsJinja2Does) {
  const auto folder = ParityFile("templates");
  if (!folder) GTEST_SKIP() << "needs the parity fixtures: set AUTOGLM_PARITY";
  int num_cases = 0;
  for (const auto& path : JsonFiles(*folder)) {
    SCOPED_TRACE(path.filename());
    const Json golden = Json::parse(ReadFile(path));
    for (const Json& example : golden.at("cases")) {
      ExpectCase(golden.at("template"), example.at("context"), example);
      ++num_cases;
    }
  }
  EXPECT_GE(num_cases, 72);
}

TEST(ChatTemplate, RaiseException_PassesItsMessageOn) {
  const auto rendered = TryRender("{{ raise_exception('System role not supported') }}", Json::object());
  ASSERT_FALSE(rendered.has_value());
  EXPECT_EQ(rendered.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(rendered.error().message, "System role not supported");
}

TEST(ChatTemplate, OtherErrors_NameTheLine) {
  const auto rendered = TryRender("one\ntwo\n{{ 'a' + messages }}", {{"messages", Json::array()}});
  ASSERT_FALSE(rendered.has_value());
  EXPECT_EQ(rendered.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(rendered.error().message, HasSubstr("line 3"));
  EXPECT_THAT(rendered.error().message, HasSubstr("'str' and 'list'"));

  const auto parsed = ChatTemplate::Parse("one\n{% if x %}\n{{ x y }}{% endif %}");
  ASSERT_FALSE(parsed.has_value());
  EXPECT_THAT(parsed.error().message, HasSubstr("line 3: expected }}, found 'y'"));
}

TEST(ChatTemplate, WhatTheEngineLacks_IsRefusedAsUnsupported) {
  for (const char* source :
       {"{{ x|wordwrap }}", "{{ x is filter }}", "{% include 'a' %}", "{% call m() %}{% endcall %}", "{{ f(*x) }}",
        "{% for x in y recursive %}{% endfor %}", "{{ '%s' % 1 }}", "{{ 'x'.format(1) }}", "{{ 2 ** 64 }}", "{{ 0xFF }}",
        "{{ 99999999999999999999 }}", "{{ x[1, 2] }}", "{% with a = 1 %}{% endwith %}", "{{ '1e30'|int }}", "{{ (-8) ** 0.5 }}",
        "{{ strftime_now('%Q') }}", "{{ [1]|map('wordwrap')|list }}", "{{ '\\N{DASH}'|nosuch }}"}) {
    const auto rendered = TryRender(source, {{"x", "text"}, {"y", {1}}});
    ASSERT_FALSE(rendered.has_value()) << source;
    EXPECT_FALSE(rendered.error().message.empty()) << source;
    if (std::string_view(source).find("\\N") == std::string_view::npos) {
      EXPECT_EQ(rendered.error().code, ErrorCode::kUnsupported) << source << ": " << rendered.error().message;
    }
  }
}

TEST(ChatTemplate, Context_MustBeAnObjectOfBoundedDepth) {
  EXPECT_FALSE(TryRender("x", Json::array()).has_value());
  EXPECT_FALSE(TryRender("x", nullptr).has_value());
  Json deep = 1;
  for (int i = 0; i < 200; ++i) deep = Json::array({deep});
  EXPECT_FALSE(TryRender("x", {{"deep", deep}}).has_value());
  EXPECT_EQ(TryRender("{{ n }}", {{"n", INT64_MIN}}), "-9223372036854775808");
  EXPECT_FALSE(TryRender("{{ n }}", {{"n", UINT64_MAX}}).has_value());
}

TEST(ChatTemplate, Context_ShadowsFunctionsAndKeepsKeyOrder) {
  EXPECT_EQ(TryRender("{{ range }}", {{"range", "mine"}}), "mine");
  EXPECT_EQ(TryRender("{{ d|tojson }}", {{"d", {{"z", 1}, {"a", 2}, {"m", 3}}}}), R"({"z": 1, "a": 2, "m": 3})");
}

TEST(ChatTemplate, InvalidUtf8_IsPassedThrough) {
  EXPECT_EQ(TryRender("\xFF{{ x[::-1] }}{{ x|upper }}{{ x|length }}", {{"x", "a\xC3"}}),
            "\xFF\xC3"
            "aA\xC3"
            "2");
}

TEST(ChatTemplate, OneTemplate_RendersOnManyThreads) {
  const auto parsed = ChatTemplate::Parse(ReadFile(GoldenFile("templates/marked_turns.jinja")));
  ASSERT_TRUE(parsed.has_value());
  const Json example = Json::parse(ReadFile(GoldenFile("templates/marked_turns.json"))).at("cases").at(0);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int repeat = 0; repeat < 50; ++repeat) {
        EXPECT_EQ((*parsed)->Render(example.at("context"), GoldenTime()), example.at("expected").get<std::string>());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace autoglm
