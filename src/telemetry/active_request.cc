#include "telemetry/active_request.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "telemetry/request_log.h"
#include "telemetry/utc_time.h"

namespace autoglm {
namespace {

// Shorter ones cannot be seen in a picture.
constexpr std::chrono::microseconds kLeastSpan{1};

uint32_t Microseconds(Duration duration) {
  const int64_t us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return static_cast<uint32_t>(std::clamp<int64_t>(us, 0, std::numeric_limits<uint32_t>::max()));
}

}  // namespace

ActiveRequest::ActiveRequest(RequestLog& log, const Clock& clock, const RequestBeginning& beginning)
    : log_(log),
      clock_(clock),
      context_(beginning.context),
      trace_(context_.trace.is_set() ? context_.trace : NewTraceId()),
      span_(NewSpanId()),
      begun_(beginning.accepted),
      since_(beginning.accepted) {
  record_.id = beginning.id;
  record_.method = log_.names().IndexOf(beginning.method);
  record_.trace = trace_;
  record_.span = span_;
  record_.parent = context_.parent;
  record_.is_sampled = context_.is_sampled.value_or(false);
  record_.is_gateway = beginning.is_gateway;
  record_.num_received_bytes = beginning.num_received_bytes;
  record_.begun_ns = Nanoseconds(begun_.time_since_epoch());
  record_.begun_unix_ns = UnixNanoseconds() - Nanoseconds(clock_.Now() - begun_);
  record_.stage = Stage::kReceiveHead;
  CloseStage(beginning.head_complete);
  record_.stage = Stage::kReceiveBody;
  CloseStage(beginning.body_complete);
  record_.stage = Stage::kUnexplained;  // until somebody takes it up
}

ActiveRequest::~ActiveRequest() {
  {
    const std::lock_guard lock(mutex_);  // the log's list may be looked at until it has left
    if (!is_finished_) Finish(clock_.Now());
  }
  log_.Leave(*this);
}

uint16_t ActiveRequest::NameIndex(std::string_view name) const { return log_.names().IndexOf(name); }

bool ActiveRequest::keeps_text() const { return log_.texts() != nullptr; }

void ActiveRequest::SetInputMessages(std::string json) {
  const std::lock_guard lock(mutex_);
  text_.input_messages = std::move(json);
}

void ActiveRequest::SetOutputMessages(std::string json) {
  const std::lock_guard lock(mutex_);
  text_.output_messages = std::move(json);
}

uint32_t ActiveRequest::SinceBegun(TimePoint when) const { return Microseconds(when - begun_); }

void ActiveRequest::Enter(Stage stage) { EnterAt(stage, clock_.Now()); }

void ActiveRequest::EnterAt(Stage stage, TimePoint now) {
  const std::lock_guard lock(mutex_);
  CloseStage(now);
  before_ = record_.stage;
  record_.stage = stage;
}

void ActiveRequest::CloseStage(TimePoint now) {
  if (is_finished_ || now <= since_) return;
  record_.stages[static_cast<size_t>(record_.stage)] += Nanoseconds(now - since_);
  PushSpan(record_.stage, since_, now, 0, 0);
  since_ = now;
}

void ActiveRequest::Append(TimePoint begin, TimePoint end, const StageTimes& stages, Stage next) {
  const std::lock_guard lock(mutex_);
  if (is_finished_) return;
  if (begin < since_) TakeBack(begin);
  CloseStage(begin);
  begin = since_;
  int64_t left = Nanoseconds(std::max(end, begin) - begin);
  for (size_t i = 0; i < kNumStages; ++i) {
    const int64_t taken = std::clamp<int64_t>(stages[i], 0, left);
    record_.stages[i] += taken;
    left -= taken;
  }
  record_.stages[static_cast<size_t>(Stage::kUnexplained)] += left;
  since_ = std::max(end, begin);
  record_.stage = next;
}

// The end of the stage before, as far as it reaches.
void ActiveRequest::TakeBack(TimePoint begin) {
  int64_t& nanoseconds = record_.stages[static_cast<size_t>(before_)];
  const int64_t taken = std::min(nanoseconds, Nanoseconds(since_ - begin));
  nanoseconds -= taken;
  since_ -= std::chrono::nanoseconds(taken);
  if (record_.num_spans == 0) return;
  StageSpan& last = record_.spans[record_.num_spans - 1];
  if (last.stage == before_) last.length_us -= std::min(last.length_us, Microseconds(std::chrono::nanoseconds(taken)));
}

void ActiveRequest::AddSpan(Stage stage, TimePoint begin, TimePoint end, int64_t num_tokens, int64_t batch) {
  const std::lock_guard lock(mutex_);
  PushSpan(stage, begin, end, num_tokens, batch);
}

void ActiveRequest::PushSpan(Stage stage, TimePoint begin, TimePoint end, int64_t num_tokens, int64_t batch) {
  if (end - begin < kLeastSpan) return;
  const StageSpan span{.begin_us = SinceBegun(begin),
                       .length_us = Microseconds(end - begin),
                       .num_tokens = static_cast<uint32_t>(num_tokens),
                       .batch = static_cast<uint16_t>(std::min<int64_t>(batch, std::numeric_limits<uint16_t>::max())),
                       .stage = stage};
  StageSpan* last = record_.num_spans > 0 ? &record_.spans[record_.num_spans - 1] : nullptr;
  const bool goes_on = last != nullptr && last->num_parts == 1 && last->stage == stage && num_tokens == 0 &&
                       last->num_tokens == 0 && last->end_us() + 1 >= span.begin_us;
  if (goes_on) {
    last->length_us = static_cast<uint32_t>(span.end_us() - last->begin_us);
    return;
  }
  if (record_.num_spans < RequestRecord::kMaxSpans) {
    record_.spans[record_.num_spans++] = span;
    return;
  }
  last->length_us = static_cast<uint32_t>(std::max(last->end_us(), span.end_us()) - last->begin_us);
  last->num_tokens += span.num_tokens;
  last->batch = std::max(last->batch, span.batch);
  last->num_parts = static_cast<uint8_t>(std::min(last->num_parts + 1, 255));
}

void ActiveRequest::Answered(int status) {
  const TimePoint now = clock_.Now();
  const std::lock_guard lock(mutex_);
  if (is_finished_ || is_answered_) return;
  is_answered_ = true;
  record_.status = static_cast<uint16_t>(status);
  CloseStage(now);
  record_.stage = Stage::kDeliver;
  if (log_.judge_) {
    record_.total_ns = Nanoseconds(since_ - begun_);
    record_.violates_slo = log_.judge_(record_);
  }
  FinishIfDone();
}

void ActiveRequest::Delivered(const RequestDelivery& delivery) {
  const std::lock_guard lock(mutex_);
  if (is_finished_ || is_delivered_) return;
  is_delivered_ = true;
  record_.is_client_gone = !delivery.is_complete;
  record_.num_sent_bytes = delivery.num_sent_bytes;
  record_.write_blocked_ns = Nanoseconds(delivery.write_blocked);
  record_.tcp = delivery.tcp;
  if (is_answered_) CloseStage(delivery.ended);
  FinishIfDone();
}

void ActiveRequest::FinishIfDone() {
  if (is_answered_ && is_delivered_) Finish(since_);
}

void ActiveRequest::Finish(TimePoint end) {
  CloseStage(end);
  is_finished_ = true;
  record_.total_ns = Nanoseconds(since_ - begun_);
  record_.state = RequestState::kDone;
  if (!text_.input_messages.empty() && keeps_text()) log_.texts()->Add(span_, std::move(text_));  // before somebody asks
  log_.Add(record_);
}

RequestRecord ActiveRequest::Snapshot() const {
  const TimePoint now = clock_.Now();
  const std::lock_guard lock(mutex_);
  RequestRecord record = record_;
  if (record.state == RequestState::kDone) return record;
  if (now > since_) record.stages[static_cast<size_t>(record.stage)] += Nanoseconds(now - since_);
  record.total_ns = Nanoseconds(std::max(now, since_) - begun_);
  return record;
}

}  // namespace autoglm
