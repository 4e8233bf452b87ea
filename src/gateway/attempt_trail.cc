#include "gateway/attempt_trail.h"

#include <algorithm>

namespace autoglm::gateway {
namespace {

// The last place stands for all attempts there is no place for.
AttemptRecord& PlaceOf(RequestRecord& record, const UpstreamAttempt& attempt) {
  return record.attempts[std::min(attempt.number(), RequestRecord::kMaxAttempts - 1)];
}

// The stages that an attempt has been through, as far as the connection says.
void RecordProgress(ActiveRequest& active, const UpstreamAttempt& attempt) {
  const http::CallTimes times = attempt.times();
  if (times.connected == TimePoint{}) return;
  active.EnterAt(Stage::kSend, times.connected);
  if (times.sent != TimePoint{}) active.EnterAt(Stage::kWait, times.sent);
}

}  // namespace

void RecordAttemptBegin(ActiveRequest& active, const UpstreamAttempt& attempt, AttemptKind kind) {
  // Beside another one the request goes on waiting for that.
  const TimePoint begun = active.clock().Now();
  if (kind != AttemptKind::kHedge) active.EnterAt(Stage::kConnect, begun);
  const uint32_t now = active.SinceBegun(begun);
  const uint16_t upstream = active.NameIndex(attempt.upstream().name());
  active.Update([&](RequestRecord& record) {
    PlaceOf(record, attempt) = {.begin_us = now,
                                .upstream = upstream,
                                .is_retry = kind == AttemptKind::kRetry,
                                .is_hedge = kind == AttemptKind::kHedge,
                                .is_continuation = kind == AttemptKind::kContinuation};
    record.num_attempts = static_cast<uint8_t>(std::min<size_t>(attempt.number() + 1, 255));
  });
}

void RecordFirstByte(ActiveRequest& active, const UpstreamAttempt& attempt, TimePoint now) {
  RecordProgress(active, attempt);
  active.EnterAt(Stage::kStream, now);
  const uint32_t since_begun = active.SinceBegun(now);
  active.Update([&](RequestRecord& record) {
    PlaceOf(record, attempt).first_byte_us = since_begun;
    if (record.first_token_ns == 0) record.first_token_ns = int64_t{since_begun} * 1000;
  });
}

void RecordAttemptEnd(ActiveRequest& active, const UpstreamAttempt& attempt, int status, std::string_view reason) {
  // Of two at once, the one that is given up says nothing of the request any more.
  bool has_answer = false;
  active.Update([&](const RequestRecord& record) { has_answer = record.stage == Stage::kStream; });
  if (!has_answer) RecordProgress(active, attempt);
  const uint32_t now = active.SinceBegun(active.clock().Now());
  const uint16_t why = active.NameIndex(reason);
  active.Update([&](RequestRecord& record) {
    AttemptRecord& place = PlaceOf(record, attempt);
    place.end_us = std::max(now, place.begin_us + 1);
    place.status = static_cast<uint16_t>(status);
    place.reason = why;
    place.is_answer = reason.empty();
  });
}

}  // namespace autoglm::gateway
