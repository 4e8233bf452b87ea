#include "kvevents/event_batch.h"

#include <gtest/gtest.h>

#include "json/json.h"

namespace autoglm {
namespace {

BlockKey Key(uint64_t i) { return {.high = i, .low = 0xf000000000000000 + i}; }

KvEvent Stored(uint64_t key, uint64_t parent) {
  KvEvent event{.kind = KvEvent::Kind::kStored, .key = Key(key), .parent = parent == 0 ? BlockKey() : Key(parent)};
  event.tokens.fill(static_cast<TokenId>(key));
  return event;
}

KvEvent Removed(uint64_t key) { return {.kind = KvEvent::Kind::kRemoved, .key = Key(key)}; }

Json Decoded(std::span<const KvEvent> events) { return Json::from_msgpack(EncodeEventBatch(events, 1764115200.25)); }

TEST(EventBatch, HasVllmsFields) {
  const KvEvent events[] = {Stored(1, 0), Removed(1), {.kind = KvEvent::Kind::kCleared}};
  const Json batch = Decoded(events);
  ASSERT_EQ(batch.size(), 3u);
  EXPECT_EQ(batch[0], 1764115200.25);
  EXPECT_TRUE(batch[2].is_null());
  ASSERT_EQ(batch[1].size(), 3u);
  EXPECT_EQ(batch[1][0], Json::array({"BlockStored", Json::array({Key(1).low}), nullptr, std::vector<int>(32, 1), 32, nullptr,
                                      "GPU", nullptr}));
  EXPECT_EQ(batch[1][1], Json::array({"BlockRemoved", Json::array({Key(1).low}), "GPU"}));
  EXPECT_EQ(batch[1][2], Json::array({"AllBlocksCleared"}));
}

TEST(EventBatch, BlocksOfOnePrefixAreOneEvent) {
  const KvEvent events[] = {Stored(1, 0), Stored(2, 1), Stored(3, 2), Stored(4, 2), Stored(9, 0), Removed(3), Removed(9)};
  const Json batch = Decoded(events);
  ASSERT_EQ(batch[1].size(), 4u);
  EXPECT_EQ(batch[1][0][1], Json::array({Key(1).low, Key(2).low, Key(3).low}));
  EXPECT_EQ(batch[1][0][3].size(), 96u);
  EXPECT_EQ(batch[1][1][1], Json::array({Key(4).low}));
  EXPECT_EQ(batch[1][1][2], Key(2).low);
  EXPECT_TRUE(batch[1][2][2].is_null());
  EXPECT_EQ(batch[1][3][1], Json::array({Key(3).low, Key(9).low}));
}

// The first bytes of a message as MessagePack has them: a decoder of arrays finds 3 fields, a double, events, an unsigned hash.
TEST(EventBatch, BytesStayAsTheyAre) {
  const KvEvent events[] = {Removed(1)};
  const std::vector<uint8_t> bytes = EncodeEventBatch(events, 0.1);
  const std::vector<uint8_t> expected = {0x93, 0xcb, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a, 0x91, 0x93, 0xac, 'B',
                                         'l',  'o',  'c',  'k',  'R',  'e',  'm',  'o',  'v',  'e',  'd',  0x91, 0xcf, 0xf0,
                                         0,    0,    0,    0,    0,    0,    1,    0xa3, 'G',  'P',  'U',  0xc0};
  EXPECT_EQ(bytes, expected);
}

}  // namespace
}  // namespace autoglm
