#include "kvevents/event_batch.h"

#include <utility>

#include "json/json.h"

namespace autoglm {
namespace {

constexpr std::string_view kMedium = "GPU";

// How many events from the first on are one: the blocks of one prefix, or whatever is removed.
size_t NumTogether(std::span<const KvEvent> events) {
  const KvEvent::Kind kind = events.front().kind;
  if (kind == KvEvent::Kind::kCleared) return 1;
  size_t count = 1;
  while (count < events.size() && events[count].kind == kind &&
         (kind == KvEvent::Kind::kRemoved || events[count].parent == events[count - 1].key)) {
    ++count;
  }
  return count;
}

Json HashesOf(std::span<const KvEvent> events) {
  Json hashes = Json::array();
  for (const KvEvent& event : events) hashes.push_back(event.key.low);
  return hashes;
}

Json StoredOf(std::span<const KvEvent> events) {
  const BlockKey& parent = events.front().parent;
  Json tokens = Json::array();
  for (const KvEvent& event : events) {
    for (const TokenId token : event.tokens) tokens.push_back(token);
  }
  return Json::array({"BlockStored", HashesOf(events), parent == BlockKey() ? Json() : Json(parent.low), std::move(tokens),
                      kBlockSizeTokens, nullptr, kMedium, nullptr});
}

Json EventOf(std::span<const KvEvent> events) {
  switch (events.front().kind) {
    case KvEvent::Kind::kStored:
      return StoredOf(events);
    case KvEvent::Kind::kRemoved:
      return Json::array({"BlockRemoved", HashesOf(events), kMedium});
    case KvEvent::Kind::kCleared:
      break;
  }
  return Json::array({"AllBlocksCleared"});
}

}  // namespace

std::vector<uint8_t> EncodeEventBatch(std::span<const KvEvent> events, double unix_seconds) {
  Json list = Json::array();
  while (!events.empty()) {
    const size_t count = NumTogether(events);
    list.push_back(EventOf(events.first(count)));
    events = events.subspan(count);
  }
  return Json::to_msgpack(Json::array({unix_seconds, std::move(list), nullptr}));
}

}  // namespace autoglm
