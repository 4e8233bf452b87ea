#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "support/test_paths.h"
#include "tokenizer/chat_template.h"

namespace autoglm {
namespace {

using Json = nlohmann::ordered_json;
using testing::HasSubstr;

Result<std::string> TryRender(const std::string& source, const Json& context = Json::object()) {
  const auto parsed = ChatTemplate::Parse(source);
  if (!parsed) return tl::unexpected<Error>(parsed.error());
  return (*parsed)->Render(context);
}

std::string Repeat(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

std::string Message(const Result<std::string>& rendered) {
  return rendered ? "rendered " + std::to_string(rendered->size()) + " bytes" : rendered.error().message;
}

TEST(ChatTemplateLimits, DeepNesting_IsRefusedByTheParser) {
  for (const std::string& source : {
           "{{ " + Repeat("(", 10000) + "1" + Repeat(")", 10000) + " }}",
           "{{ " + Repeat("[", 10000) + Repeat("]", 10000) + " }}",
           "{{ " + Repeat("{1:", 5000) + "1" + Repeat("}", 5000) + " }}",
           "{{ " + Repeat("-", 10000) + "1 }}",
           "{{ " + Repeat("not ", 10000) + "1 }}",
           "{{ 1" + Repeat(" + 1", 10000) + " }}",
           "{{ 1" + Repeat(" ** 1", 10000) + " }}",
           "{{ x" + Repeat(".x", 10000) + " }}",
           "{{ x" + Repeat("[0]", 10000) + " }}",
           "{{ x" + Repeat("()", 10000) + " }}",
           "{{ x" + Repeat("|trim", 10000) + " }}",
           "{{ x" + Repeat(" is defined", 10000) + " }}",
           "{{ " + Repeat("1 if 1 else ", 5000) + "1 }}",
           "{{ 1" + Repeat(" if 1", 10000) + " }}",
           "{{ x" + Repeat(" or x", 10000) + " }}",
           Repeat("{% if 1 %}", 5000) + Repeat("{% endif %}", 5000),
           Repeat("{% for x in y %}", 5000) + Repeat("{% endfor %}", 5000),
           "{% set " + Repeat("(", 10000) + "x" + Repeat(")", 10000) + " = 1 %}",
       }) {
    EXPECT_FALSE(TryRender(source).has_value()) << source.substr(0, 40);
  }
}

TEST(ChatTemplateLimits, WhatRealTemplatesNest_IsFine) {
  EXPECT_EQ(TryRender("{{ " + Repeat("(", 40) + "1" + Repeat(")", 40) + " }}"), "1");
  EXPECT_EQ(TryRender("{{ 1" + Repeat(" + 1", 100) + " }}"), "101");
  EXPECT_EQ(TryRender(Repeat("{% if 1 %}", 40) + "x" + Repeat("{% endif %}", 40)), "x");
  std::string chain = "{% if x == 0 %}0";
  for (int i = 1; i < 1000; ++i) chain += "{% elif x == " + std::to_string(i) + " %}" + std::to_string(i);
  EXPECT_EQ(TryRender(chain + "{% endif %}", {{"x", 999}}), "999");
}

TEST(ChatTemplateLimits, LongSources_AreRefused) {
  EXPECT_THAT(Message(TryRender(std::string(300 << 10, 'x'))), HasSubstr("longer than"));
  EXPECT_EQ(TryRender(std::string(100 << 10, 'x'))->size(), 100U << 10);
}

TEST(ChatTemplateLimits, Recursion_Ends) {
  EXPECT_THAT(Message(TryRender("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")), HasSubstr("too deeply"));
  EXPECT_THAT(Message(TryRender("{% macro m(x) %}{% for i in [1] %}{{ m([x]) }}{% endfor %}{% endmacro %}{{ m(1) }}")),
              HasSubstr("too deeply"));
  EXPECT_EQ(TryRender("{% macro m(n) %}{{ n }}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(20) }}"),
            "20191817161514131211109876543210");
}

TEST(ChatTemplateLimits, NestedValues_AreRefusedWhenMade) {
  const std::string head = "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = ";
  for (const char* value : {"[ns.l]", "(ns.l,)", "{'k': ns.l}", "{'k': ns.l}.items()", "[ns.l.count]", "[[ns.l]]|map('list')"}) {
    EXPECT_THAT(Message(TryRender(head + value + " %}{% endfor %}done")), HasSubstr("nested too deeply")) << value;
  }
  EXPECT_THAT(Message(TryRender("{% set ns = namespace(l=0) %}{% for i in range(100000) %}{% for j in [ns.l] %}"
                                "{% set ns.l = loop %}{% endfor %}{% endfor %}done")),
              HasSubstr("nested too deeply"));
}

TEST(ChatTemplateLimits, CirclesOfNamespaces_NeitherLeakNorLoop) {
  const std::string circle = "{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = [b] %}";
  EXPECT_EQ(TryRender(circle + "{{ a.b[0].a.b[0].a is defined }}{{ a == a }}{{ a == b }}"), "TrueTrueFalse");
  EXPECT_THAT(Message(TryRender(circle + "{{ a }}")), HasSubstr("too deeply"));
  EXPECT_FALSE(TryRender(circle + "{{ a|tojson }}").has_value());
  EXPECT_EQ(TryRender("{% set ns = namespace() %}{% macro m() %}x{% endmacro %}{% set ns.m = m %}{{ ns.m() }}"), "x");
}

TEST(ChatTemplateLimits, AMacroThatOutlivesItsBlock_IsRefused) {
  const auto rendered = TryRender(
      "{% set ns = namespace() %}{% for i in [1] %}{% macro m() %}x{% endmacro %}{% set ns.m = m %}{% endfor %}{{ ns.m() }}");
  ASSERT_FALSE(rendered.has_value());
  EXPECT_EQ(rendered.error().code, ErrorCode::kUnsupported);
}

TEST(ChatTemplateLimits, GrowingStrings_AreRefused) {
  const std::string grow = "{% set ns = namespace(t='abcdefgh') %}{% for i in range(64) %}{% set ns.t = ";
  for (const char* value : {"ns.t ~ ns.t", "ns.t + ns.t", "ns.t * 2", "[ns.t, ns.t]|join", "ns.t.replace('a', ns.t)",
                            "ns.t|replace('', 'xx')", "[ns.t, ns.t]|string", "[ns.t, ns.t]|tojson", "''.join([ns.t, ns.t])"}) {
    EXPECT_FALSE(TryRender(grow + value + " %}{% endfor %}done").has_value()) << value;
  }
  EXPECT_FALSE(TryRender("{{ 'x' * 9223372036854775807 }}").has_value());
  EXPECT_FALSE(TryRender("{{ 'x' * 100000000 }}").has_value());
  EXPECT_FALSE(TryRender("{% set x = 'x' * 1000000 %}{% for i in range(1000) %}{{ x }}{% endfor %}").has_value());
  EXPECT_FALSE(TryRender("{% set x %}{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}{% endset %}").has_value());
  EXPECT_FALSE(TryRender("{{ 'a\\n'|indent(100000000) }}").has_value());
  EXPECT_FALSE(TryRender("{{ [[1]]|tojson(indent=100000000) }}").has_value());
  EXPECT_FALSE(TryRender("{{ ('\\n' * 5000000).splitlines()|length }}").has_value());
  EXPECT_FALSE(TryRender("{{ ('\\n' * 5000000)|list|length }}").has_value());
  EXPECT_FALSE(TryRender("{{ ('a ' * 5000000).split()|length }}").has_value());
}

TEST(ChatTemplateLimits, GrowingLists_AreRefused) {
  const std::string grow = "{% set ns = namespace(l=[1]) %}{% for i in range(64) %}{% set ns.l = ";
  for (const char* value :
       {"ns.l + ns.l", "ns.l * 2", "(ns.l + ns.l)|list", "(ns.l + ns.l)[:]", "(ns.l * 2)|map('string')|list"}) {
    EXPECT_FALSE(TryRender(grow + value + " %}{% endfor %}done").has_value()) << value;
  }
  EXPECT_FALSE(TryRender("{{ [1] * 9223372036854775807 }}").has_value());
  EXPECT_FALSE(TryRender("{{ [1, 2, 3] * 1000000000 }}").has_value());
  EXPECT_FALSE(TryRender("{{ range(100001) }}").has_value());
  EXPECT_EQ(TryRender("{{ range(100000)|length }}{{ range(9223372036854775806, 9223372036854775807, 5)|length }}"), "1000001");
  EXPECT_FALSE(
      TryRender("{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = ns.l + [i] %}{% endfor %}").has_value());
}

TEST(ChatTemplateLimits, SharedValues_ArePrintedAndComparedWithinBounds) {
  // 60 levels of [x, x] print as 2^60 items.
  const std::string shared =
      "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] "
      "%}{% endfor %}";
  for (const char* use : {"{{ ns.a }}", "{{ ns.a|tojson }}", "{{ ns.a == ns.b }}", "{{ ns.a < ns.b }}"}) {
    EXPECT_FALSE(TryRender(shared + use).has_value()) << use;
  }
}

TEST(ChatTemplateLimits, EndlessWork_IsCutOff) {
  for (const char* source : {
           "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
           "{% set s = 'a' * 1000000 %}{% for a in range(90000) %}{% if s|upper == s|lower %}{% endif %}{% endfor %}",
           "{% set s = 'a' * 1000000 %}{% for a in range(90000) %}{% if s[a] == s|length %}{% endif %}{% endfor %}",
           // NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one text on two lines
           "{% set s = 'a' * 1000000 %}{% set t = 'a' * 500000 + 'b' %}{% for a in range(90000) %}{% if t in s or s.rfind(t) > 0 "
           "%}{% endif %}{% endfor %}",
           "{% set l = range(90000)|list %}{% for a in range(90000) %}{% if -1 in l %}{% endif %}{% endfor %}",
           "{% set l = range(90000)|list %}{% for a in range(90000) %}{% set x = l|sort|max %}{% endfor %}",
           "{{ range(90000)|unique|list|length }}",
           "{{ ('a' * 1000000).strip('a' * 1000000) }}{% for a in range(90000) %}{{ ('a' * 1000000).strip('a') }}{% endfor %}",
           "{{ range(90000)|map('string')|join(('x' * 100000)) }}",
       }) {
    EXPECT_FALSE(TryRender(source).has_value()) << source;
  }
}

TEST(ChatTemplateLimits, IntegersNeverOverflow) {
  for (const char* source :
       {"{{ 9223372036854775807 + 1 }}", "{{ -9223372036854775807 - 2 }}", "{{ 9223372036854775807 * 2 }}", "{{ 3 ** 100 }}",
        "{{ 2 ** 9223372036854775807 }}", "{{ -(-9223372036854775807 - 1) }}", "{{ (-9223372036854775807 - 1) // -1 }}",
        "{{ (-9223372036854775807 - 1)|abs }}", "{{ 10.0 ** 400 }}"}) {
    EXPECT_FALSE(TryRender(source).has_value()) << source;
  }
  EXPECT_EQ(TryRender("{{ (-9223372036854775807 - 1) % -1 }}{{ 1 ** 9223372036854775807 }}{{ (-1) ** 9223372036854775807 }}"),
            "01-1");
  EXPECT_EQ(TryRender("{{ 'abc'[-9223372036854775807:9223372036854775807:9223372036854775807] }}{{ [1][::-9223372036854775807] }}"
                      "{{ [1][9223372036854775807] }}{{ 'x'[-9223372036854775807] }}"),
            "a[1]");
  EXPECT_EQ(TryRender("{{ 1|round(-9223372036854775807) }}{{ 1.5|round(9223372036854775807) }}"), "01.5");
}

TEST(ChatTemplateLimits, LongConversations_Render) {
  Json messages = Json::array();
  for (int i = 0; i < 1000; ++i) {
    messages.push_back({{"role", i % 2 == 0 ? "user" : "assistant"}, {"content", std::string(2000, 'x')}});
  }
  const std::string source =
      "{% macro text(c) %}{% if c is string %}{{ c }}{% endif %}{% endmacro %}{% for m in messages %}"
      "{% if m.role == 'assistant' and '</think>' in m.content %}{{ m.content.split('</think>')[-1].strip() }}{% endif %}"
      "{{ '<|' + m.role + '|>' + text(m.content).strip() + (m.content|trim)[:0] }}{% endfor %}";
  const auto rendered = TryRender(source, {{"messages", messages}});
  ASSERT_TRUE(rendered.has_value()) << rendered.error().message;
  EXPECT_GT(rendered->size(), 2000000U);
}

TEST(ChatTemplateLimits, FuzzCorpus_RendersOrIsRefused) {
  int num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SourceDir() / "fuzz/corpus/chat_template")) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    const std::string input = text.str();
    const size_t split = input.find('\0');
    const Json context = Json::parse(split == std::string::npos ? "{}" : input.substr(split + 1), nullptr, false);
    if (context.is_discarded()) continue;
    const auto rendered = TryRender(input.substr(0, split), context);
    EXPECT_TRUE(rendered.has_value() || !rendered.error().message.empty()) << entry.path();
    ++num_files;
  }
  EXPECT_GT(num_files, 20);
}

}  // namespace
}  // namespace autoglm
