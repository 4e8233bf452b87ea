#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "telemetry/request_delivery.h"
#include "telemetry/request_record.h"
#include "telemetry/request_texts.h"
#include "telemetry/trace_context.h"

namespace autoglm {

class RequestLog;

// What is known when a request's head and body are there.
struct RequestBeginning {
  std::string_view id;
  std::string_view method;
  TimePoint accepted{};  // first byte
  TimePoint head_complete{};
  TimePoint body_complete{};
  TraceContext context = {};
  int64_t num_received_bytes = 0;
  bool is_gateway = false;
};

// A request while it is being served: it is in one stage at a time, and leaves its record in the log when the answer is known and
// has left, or its last owner lets go of it. Any thread.
class ActiveRequest {
 public:
  // From RequestLog::Begin.
  ActiveRequest(RequestLog& log, const Clock& clock, const RequestBeginning& beginning);
  ~ActiveRequest();
  ActiveRequest(const ActiveRequest&) = delete;
  ActiveRequest& operator=(const ActiveRequest&) = delete;

  // The stage that it was in ends, and this one begins. Time that goes back counts as standing still.
  void Enter(Stage stage);
  void EnterAt(Stage stage, TimePoint now);
  // Stages that somebody else timed, from `begin` to `end`. They follow on the stage it is in; or replace it, where it was
  // entered only to say what is going on, and then `begin` may lie within the stage before. What they do not cover is
  // unexplained. It is in `next` then.
  void Append(TimePoint begin, TimePoint end, const StageTimes& stages, Stage next);
  // A piece for the picture.
  void AddSpan(Stage stage, TimePoint begin, TimePoint end, int64_t num_tokens, int64_t batch);

  // Fills in what is known of it. The log's names() has numbers for names.
  template <typename Edit>
  void Update(Edit edit) {
    const std::lock_guard lock(mutex_);
    edit(record_);
  }
  uint16_t NameIndex(std::string_view name) const;

  // Its text, where the log keeps texts; else there is no use in making it.
  bool keeps_text() const;
  void SetInputMessages(std::string json);
  void SetOutputMessages(std::string json);

  // Both, in any order, end it; later calls do nothing. The answer is known: the rest is delivering it.
  void Answered(int status);
  void Delivered(const RequestDelivery& delivery);

  RequestRecord Snapshot() const;  // as of now

  const TraceId& trace() const { return trace_; }
  const SpanId& span() const { return span_; }
  const TraceContext& context() const { return context_; }
  const Clock& clock() const { return clock_; }
  TimePoint begun() const { return begun_; }
  // Microseconds since it began, as records have them.
  uint32_t SinceBegun(TimePoint when) const;

 private:
  friend class RequestLog;

  void CloseStage(TimePoint now);
  void TakeBack(TimePoint begin);
  void PushSpan(Stage stage, TimePoint begin, TimePoint end, int64_t num_tokens, int64_t batch);
  void FinishIfDone();
  void Finish(TimePoint end);

  RequestLog& log_;
  const Clock& clock_;
  const TraceContext context_;
  const TraceId trace_;
  const SpanId span_;
  const TimePoint begun_;

  mutable std::mutex mutex_;  // of all below
  RequestRecord record_;
  RequestText text_;
  TimePoint since_;                     // when its stage began
  Stage before_ = Stage::kUnexplained;  // that it was in before
  bool is_answered_ = false;
  bool is_delivered_ = false;
  bool is_finished_ = false;

  // Of RequestLog's list.
  ActiveRequest* previous_ = nullptr;
  ActiveRequest* next_ = nullptr;
};

}  // namespace autoglm
