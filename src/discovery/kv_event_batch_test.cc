#include "discovery/kv_event_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>

#include "json/json.h"
#include "kvevents/event_batch.h"

namespace autoglm::discovery {
namespace {

using Kind = EngineEvent::Kind;
using testing::ElementsAre;

Result<std::vector<EngineEvent>> Parse(const Json& batch) { return ParseEventBatch(Json::to_msgpack(batch)); }
// Of the events as they stand in a batch.
Result<std::vector<EngineEvent>> ParseEvents(std::string_view events) {
  return Parse(Json::array({1.5, ParseJson(events).value(), nullptr}));
}

TEST(KvEventBatch, OurPublishersAreUnderstood) {
  KvEvent first{.kind = KvEvent::Kind::kStored, .key = {.high = 1, .low = ~uint64_t{0}}};
  first.tokens.fill(7);
  KvEvent second{.kind = KvEvent::Kind::kStored, .key = {.high = 2, .low = 2}, .parent = first.key};
  second.tokens.fill(8);
  const KvEvent all[] = {first, second, {.kind = KvEvent::Kind::kRemoved, .key = second.key}, {.kind = KvEvent::Kind::kCleared}};
  const auto events = ParseEventBatch(EncodeEventBatch(all, 1.5));
  ASSERT_TRUE(events) << events.error().message;
  ASSERT_EQ(events->size(), 3u);
  EXPECT_EQ((*events)[0].kind, Kind::kStored);
  EXPECT_THAT((*events)[0].blocks, ElementsAre(~uint64_t{0}, 2));
  EXPECT_EQ((*events)[0].parent, std::nullopt);
  EXPECT_EQ((*events)[0].tokens.size(), 64u);
  EXPECT_EQ((*events)[0].tokens[32], 8);
  EXPECT_EQ((*events)[0].block_size_tokens, 32);
  EXPECT_EQ((*events)[1].kind, Kind::kRemoved);
  EXPECT_THAT((*events)[1].blocks, ElementsAre(2));
  EXPECT_EQ((*events)[2].kind, Kind::kCleared);
}

TEST(KvEventBatch, ArraysMayEndEarlyOrGoOn) {
  const auto events = ParseEvents(
      R"([["BlockStored",[11],10,[1,2],2],
          ["BlockStored",[12],11,[1,2],2,null,"GPU",null,[null],0,"full_attention",null],
          ["BlockRemoved",[11]],
          ["BlockRemoved",[12],"GPU",0,[1]]])");
  ASSERT_TRUE(events) << events.error().message;
  ASSERT_EQ(events->size(), 4u);
  EXPECT_EQ((*events)[0].parent, 10u);
  EXPECT_EQ((*events)[1].parent, 11u);
}

TEST(KvEventBatch, MapsSayTheSame) {
  const auto events = ParseEvents(
      R"([{"type":"BlockStored","block_hashes":[-5,6],"parent_block_hash":null,"token_ids":[1,2,3,4],"block_size":2,
           "lora_id":null,"medium":"GPU","lora_name":null,"something_new":{}},
          {"type":"BlockRemoved","block_hashes":[-5],"medium":null},
          {"type":"AllBlocksCleared"}])");
  ASSERT_TRUE(events) << events.error().message;
  ASSERT_EQ(events->size(), 3u);
  EXPECT_EQ((*events)[0].blocks[0], (*events)[1].blocks[0]);
  EXPECT_EQ((*events)[0].blocks[0], static_cast<uint64_t>(-5));
  EXPECT_THAT((*events)[0].tokens, ElementsAre(1, 2, 3, 4));
}

TEST(KvEventBatch, HashesOfBytesAreNamesToo) {
  Json events = Json::array();
  const Json hash = Json::binary({1, 2, 3});
  events.push_back(Json::array({"BlockStored", Json::array({hash}), nullptr, Json::array({1}), 1}));
  events.push_back(Json::array({"BlockStored", Json::array({Json::binary({4, 5})}), hash, Json::array({1}), 1}));
  const auto parsed = Parse(Json::array({1.5, events}));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ((*parsed)[1].parent, (*parsed)[0].blocks[0]);
  EXPECT_NE((*parsed)[1].blocks[0], (*parsed)[0].blocks[0]);
}

TEST(KvEventBatch, WhatAPromptCannotBeServedFromIsLeftOut) {
  const auto events = ParseEvents(
      R"([["BlockStored",[1],null,[1],1,null,"CPU",null],
          ["BlockStored",[1],null,[1],1,3,"GPU","adapter"],
          ["BlockStored",[1],null,[1],1,null,"GPU",null,null,1],
          ["BlockRemoved",[1],"CPU"],
          ["SomethingElse",5]])");
  ASSERT_TRUE(events) << events.error().message;
  EXPECT_TRUE(events->empty());
}

TEST(KvEventBatch, OtherShapesAreRefused) {
  for (const char* events : {
           R"([5])",
           R"([[]])",
           R"([{}])",
           R"([["BlockStored"]])",
           R"([["BlockStored",5,null,[1],1]])",
           R"([["BlockStored",[1],null,"text",1]])",
           R"([["BlockStored",[1],null,[1,2],1]])",
           R"([["BlockStored",[1],null,[1],0]])",
           R"([["BlockStored",[1],null,[1],9223372036854775807]])",
           R"([["BlockStored",[null],null,[1],1]])",
           R"([["BlockStored",[1],[2],[1],1]])",
           R"([["BlockStored",[1],null,[1.5],1]])",
           R"([["BlockRemoved",null]])",
       }) {
    const auto parsed = ParseEvents(events);
    ASSERT_FALSE(parsed) << events;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(ParseEventBatch({}));
  EXPECT_FALSE(Parse(Json(5)));
  EXPECT_FALSE(Parse(Json::array({1.5})));
  EXPECT_FALSE(Parse(Json::array({1.5, "text"})));
}

}  // namespace
}  // namespace autoglm::discovery
