#include "json/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/fields.h"

namespace autoglm {
namespace {

using ::testing::HasSubstr;

std::string Repeat(std::string_view text, int64_t times) {
  std::string out;
  for (int64_t i = 0; i < times; ++i) out += text;
  return out;
}

std::string Escaped(std::string_view text) {
  std::string out;
  AppendJsonEscaped(out, text);
  return out;
}

Json Object(std::string_view text) { return ParseJson(text).value(); }

TEST(ParseJson, ValidText_KeepsTheOrderOfKeys) {
  EXPECT_EQ(DumpJson(Object(R"({"b":1,"a":[true,null,"x"]})")), R"({"b":1,"a":[true,null,"x"]})");
}

TEST(ParseJson, DuplicateKeys_TheLastValueCounts) { EXPECT_EQ(DumpJson(Object(R"({"a":1,"a":2})")), R"({"a":2})"); }

TEST(ParseJson, MalformedTexts_AreInvalidArguments) {
  for (const std::string_view text :
       {"", " ", "{", "]", "{\"a\"}", "[1,]", "NaN", "[Infinity]", "[-Infinity]", "[1e999]", "\"\xff\"", "\"\xc3\"",
        "\"\xed\xa0\x80\"", "\"\\ud800\"", "\"a\nb\"", "{}{}", "// x\n1", "\xff"}) {
    const Result<Json> parsed = ParseJson(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument) << text;
    EXPECT_THAT(parsed.error().message, HasSubstr("not valid")) << text;
    EXPECT_EQ(parsed.error().message.find("json.exception"), std::string::npos) << text;
  }
}

TEST(ParseJson, NulByte_EndsNoTextEarly) {
  for (const std::string& text : {std::string("{}\0", 3), std::string("{}\0{\"a\":1}", 10), std::string("[1,\0 2]", 7)}) {
    const Result<Json> parsed = ParseJson(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_THAT(parsed.error().message, HasSubstr("not valid: byte "));
  }
  EXPECT_EQ(Object(R"({"a":"\u0000"})")["a"].get<std::string>(), std::string("\0", 1));
}

TEST(ParseJson, UnterminatedLongString_GivesAShortMessage) {
  const Result<Json> parsed = ParseJson("\"" + std::string(1 << 20, 'x'));
  ASSERT_FALSE(parsed.has_value());
  EXPECT_LT(parsed.error().message.size(), 400u);
}

TEST(ParseJson, Depth_IsLimitedAndBracketsInStringsDoNotCount) {
  EXPECT_TRUE(ParseJson(Repeat("[", 64) + Repeat("]", 64)).has_value());
  const Result<Json> deep = ParseJson(Repeat("[", 65) + Repeat("]", 65));
  ASSERT_FALSE(deep.has_value());
  EXPECT_THAT(deep.error().message, HasSubstr("64 levels"));
  EXPECT_FALSE(ParseJson(Repeat("{\"a\":", 10'000'00)).has_value());
  EXPECT_TRUE(ParseJson("\"" + Repeat("[\\\"", 100) + "\"").has_value());
}

TEST(ParseJson, MembersOfOneObject_AreLimited) {
  std::string members = "\"k\":0";
  for (int i = 1; i < 1024; ++i) members += ",\"k" + std::to_string(i) + "\":0";
  EXPECT_TRUE(ParseJson("{" + members + "}").has_value());
  const Result<Json> wide = ParseJson("{" + members + ",\"z\":0}");
  ASSERT_FALSE(wide.has_value());
  EXPECT_THAT(wide.error().message, HasSubstr("1024 members"));
}

TEST(ParseJson, Values_AreLimitedButLongListsPass) {
  EXPECT_TRUE(ParseJson("[0" + Repeat(",0", 200'000) + "]").has_value());
  EXPECT_THAT(ParseJson("[[]" + Repeat(",[]", 200'000) + "]").error().message, HasSubstr("values"));
}

TEST(ParseJson, Bytes_AreLimited) {
  const Result<Json> parsed = ParseJson("[1,2]", {.max_bytes = 4});
  ASSERT_FALSE(parsed.has_value());
  EXPECT_EQ(parsed.error().code, ErrorCode::kPayloadTooLarge);
}

TEST(ParseMessagePack, WhatWasWrittenIsReadBack) {
  const Json value = Object(R"({"a":[1,-2,2.5,null,true,"x"],"b":{"c":18446744073709551615}})");
  EXPECT_EQ(ParseMessagePack(Json::to_msgpack(value)).value(), value);
}

TEST(ParseMessagePack, CutAndTrailingBytesAreInvalidArguments) {
  std::vector<uint8_t> bytes = Json::to_msgpack(Object(R"({"a":[1,"text"]})"));
  bytes.push_back(0);
  EXPECT_EQ(ParseMessagePack(bytes).error().code, ErrorCode::kInvalidArgument);
  for (size_t size = 0; size + 1 < bytes.size(); ++size) {
    EXPECT_FALSE(ParseMessagePack(std::span(bytes).first(size)).has_value()) << size;
  }
}

// A byte a level: a few megabytes would end the stack.
TEST(ParseMessagePack, Depth_IsLimited) {
  EXPECT_FALSE(ParseMessagePack(std::vector<uint8_t>(8 << 20, 0x91)).has_value());
  std::vector<uint8_t> deep(64, 0x91);
  deep.back() = 0x90;
  EXPECT_TRUE(ParseMessagePack(deep).has_value());
  EXPECT_FALSE(ParseMessagePack(deep, {.max_depth = 63}).has_value());
}

TEST(ParseMessagePack, LengthsThatAreOnlyClaimedTakeNoMemory) {
  for (const uint8_t type : {0xdd, 0xdf, 0xdb, 0xc6, 0xc9}) {  // array, map, string, bytes, extension of 32-bit length
    const std::vector<uint8_t> bytes = {type, 0xff, 0xff, 0xff, 0xff, 0x01, 0x02};
    EXPECT_FALSE(ParseMessagePack(bytes).has_value()) << int{type};
  }
}

TEST(ParseMessagePack, ValuesMembersAndBytes_AreLimited) {
  const std::vector<uint8_t> bytes = Json::to_msgpack(Object(R"({"a":[1,2,3,4],"b":0})"));
  EXPECT_TRUE(ParseMessagePack(bytes, {.max_members = 2, .max_values = 7}).has_value());
  EXPECT_FALSE(ParseMessagePack(bytes, {.max_values = 6}).has_value());
  EXPECT_FALSE(ParseMessagePack(bytes, {.max_members = 1}).has_value());
  EXPECT_EQ(ParseMessagePack(bytes, {.max_bytes = 4}).error().code, ErrorCode::kPayloadTooLarge);
}

TEST(DumpJson, InvalidUtf8_BecomesTheReplacementCharacter) { EXPECT_EQ(DumpJson(Json("a\xff")), "\"a\xEF\xBF\xBD\""); }

TEST(AppendJsonEscaped, EveryByte_ReadsBackAsItWas) {
  std::string text;
  for (int c = 0; c < 128; ++c) text += static_cast<char>(c);
  text += "é漢😀";
  EXPECT_EQ(Object("\"" + Escaped(text) + "\"").get<std::string>(), text);
}

TEST(AppendJsonEscaped, InvalidUtf8_BecomesTheReplacementCharacter) {
  constexpr std::string_view kReplaced = "\xEF\xBF\xBD";
  EXPECT_EQ(Escaped("\xff"), kReplaced);
  EXPECT_EQ(Escaped("\xc0\xaf"), std::string(kReplaced) + std::string(kReplaced));
  EXPECT_EQ(Escaped("a\xe6\xbc"), "a" + std::string(kReplaced) + std::string(kReplaced));
  EXPECT_EQ(Escaped("\xed\xa0\x80"
                    "b")
                .back(),
            'b');
  EXPECT_EQ(Escaped("\xf4\x90\x80\x80").size(), 4 * kReplaced.size());
}

TEST(JsonFields, RightTypes_AreRead) {
  const Json object = Object(R"({"s":"x","b":true,"i":-5,"f":5.0,"n":0.25,"l":[1],"o":{"a":1}})");
  const JsonFields fields = JsonFields::Of(object).value();
  EXPECT_EQ(fields.String("s").value(), "x");
  EXPECT_EQ(fields.Bool("b").value(), true);
  EXPECT_EQ(fields.Integer("i").value(), -5);
  EXPECT_EQ(fields.Integer("f").value(), 5);
  EXPECT_EQ(fields.Number("n").value(), 0.25);
  EXPECT_EQ(fields.Number("i").value(), -5.0);
  EXPECT_EQ(fields.Array("l").value()->size(), 1u);
  EXPECT_EQ(fields.Object("o").value()->size(), 1u);
}

TEST(JsonFields, NullAndMissing_AreAbsent) {
  const Json object = Object(R"({"a":null})");
  const JsonFields fields = JsonFields::Of(object).value();
  for (const char* name : {"a", "b"}) {
    EXPECT_EQ(fields.String(name).value(), std::nullopt);
    EXPECT_EQ(fields.Integer(name).value(), std::nullopt);
    EXPECT_EQ(fields.Array(name).value(), nullptr);
  }
}

TEST(JsonFields, WrongTypes_NameTheField) {
  const Json object = Object(R"({"s":5,"i":"5","f":5.5,"big":18446744073709551615,"huge":1e300})");
  const JsonFields fields = JsonFields::Of(object, "messages[2]").value();
  EXPECT_EQ(fields.String("s").error().param, "messages[2].s");
  EXPECT_EQ(fields.String("s").error().message, "messages[2].s must be a string, not an integer");
  for (const char* name : {"i", "f", "big", "huge"})
    EXPECT_EQ(fields.Integer(name).error().param, std::string("messages[2].") + name);
  EXPECT_FALSE(fields.Bool("s").has_value());
  EXPECT_FALSE(fields.Number("i").has_value());
  EXPECT_FALSE(fields.Array("s").has_value());
  EXPECT_FALSE(fields.Object("s").has_value());
}

TEST(JsonFields, NumberThatIsNoInteger_IsShown) {
  const Json json = Object(R"({"a":9223372036854775808,"b":1.5,"c":"5"})");
  const JsonFields fields = JsonFields::Of(json).value();
  EXPECT_THAT(fields.Integer("a").error().message, HasSubstr("not 9223372036854775808"));
  EXPECT_THAT(fields.Integer("b").error().message, HasSubstr("not 1.5"));
  EXPECT_THAT(fields.Integer("c").error().message, HasSubstr("not a string"));
}

TEST(JsonFields, NoObject_IsRefused) {
  const Json list = Object("[1]");
  EXPECT_EQ(JsonFields::Of(list).error().message, "the body must be an object, not a list");
  EXPECT_EQ(JsonFields::Of(list, "tools[0]").error().param, "tools[0]");
}

}  // namespace
}  // namespace autoglm
