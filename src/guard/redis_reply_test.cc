#include "guard/redis_reply.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::guard {
namespace {

using Kind = RedisReply::Kind;

RedisReply Parse(std::string_view bytes) {
  RedisReplyParser parser;
  parser.Feed(bytes);
  const auto reply = parser.Next();
  EXPECT_TRUE(reply && *reply) << bytes;
  return reply && *reply ? **reply : RedisReply();
}

TEST(RedisReplyParser, EveryKind_IsRead) {
  EXPECT_EQ(Parse("+OK\r\n"), (RedisReply{.kind = Kind::kText, .text = "OK"}));
  EXPECT_EQ(Parse("-NOSCRIPT No.\r\n"), (RedisReply{.kind = Kind::kError, .text = "NOSCRIPT No."}));
  EXPECT_EQ(Parse(":-42\r\n"), (RedisReply{.kind = Kind::kInteger, .integer = -42}));
  EXPECT_EQ(Parse("$3\r\na\r\n\r\n").text, "a\r\n");
  EXPECT_EQ(Parse("$-1\r\n").kind, Kind::kNil);
  EXPECT_EQ(Parse("*-1\r\n").kind, Kind::kNil);
  const RedisReply list = Parse("*3\r\n:1\r\n*2\r\n+a\r\n$-1\r\n*0\r\n");
  ASSERT_EQ(list.list.size(), 3u);
  EXPECT_EQ(list.list[0].integer, 1);
  EXPECT_EQ(list.list[1].list[0].text, "a");
  EXPECT_EQ(list.list[2].kind, Kind::kList);
}

TEST(RedisReplyParser, RepliesInPieces_ComeOneByOne) {
  const std::string bytes = "*2\r\n:1\r\n$5\r\nhello\r\n+OK\r\n";
  RedisReplyParser parser;
  int num_replies = 0;
  for (const char byte : bytes) {
    parser.Feed({&byte, 1});
    const auto reply = parser.Next();
    ASSERT_TRUE(reply);
    num_replies += reply->has_value() ? 1 : 0;
  }
  EXPECT_EQ(num_replies, 2);
}

TEST(RedisReplyParser, ManyRepliesAtOnce_ReachNoBound) {
  RedisReplyParser parser;
  for (int i = 0; i < 100; ++i) {
    parser.Feed(std::string(1000, 'x').insert(0, "+").append("\r\n"));
    parser.Feed(":1\r\n");
    ASSERT_TRUE(*parser.Next());
    ASSERT_TRUE(*parser.Next());
  }
}

TEST(RedisReplyParser, WhatIsNoReplyOrTooLarge_IsAnError) {
  for (const std::string& bytes :
       {std::string("HTTP/1.1 400 Bad Request\r\n"), std::string("*1000000000\r\n"), std::string("*1\r\n*2000\r\n"),
        std::string(":x\r\n"), "$1000000000\r\n" + std::string(70'000, 'x'), "+" + std::string(70'000, 'x'),
        std::string("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n")}) {
    RedisReplyParser parser;
    parser.Feed(bytes);
    EXPECT_FALSE(parser.Next()) << bytes.substr(0, 30);
  }
}

}  // namespace
}  // namespace autoglm::guard
