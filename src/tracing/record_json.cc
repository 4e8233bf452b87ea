#include "tracing/record_json.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

#include "telemetry/stage.h"
#include "telemetry/utc_time.h"

namespace autoglm {
namespace {

void AddText(Json& json, const char* key, std::string_view text) {
  if (!text.empty()) json[key] = text;
}

void AddCount(Json& json, const char* key, int64_t count) {
  if (count != 0) json[key] = count;
}

std::string TimeOf(int64_t unix_ns) {
  const auto since_epoch = std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(unix_ns));
  return FormatUtc(std::chrono::system_clock::time_point(since_epoch));
}

Json StagesJson(const RequestRecord& record) {
  Json stages = Json::object();
  for (size_t i = 0; i < kNumStages; ++i) {
    if (record.stages[i] != 0) stages[std::string(StageName(static_cast<Stage>(i)))] = record.stages[i];
  }
  return stages;
}

Json TcpJson(const TcpFigures& tcp) {
  return {{"rtt_us", tcp.rtt_us},
          {"rtt_variation_us", tcp.rtt_variation_us},
          {"min_rtt_us", tcp.min_rtt_us},
          {"retransmits", tcp.num_retransmits},
          {"busy_us", tcp.busy_us},
          {"receiver_limited_us", tcp.receiver_limited_us},
          {"buffer_limited_us", tcp.buffer_limited_us},
          {"delivery_bytes_per_s", tcp.delivery_bytes_per_s}};
}

Json SpanJson(const StageSpan& span) {
  Json json{{"stage", StageName(span.stage)}, {"begin_us", span.begin_us}, {"length_us", span.length_us}};
  AddCount(json, "tokens", span.num_tokens);
  AddCount(json, "batch", span.batch);
  if (span.num_parts > 1) json["parts"] = span.num_parts;
  return json;
}

Json AttemptJson(const AttemptRecord& attempt, const InternedNames& names) {
  Json json{{"upstream", names.NameOf(attempt.upstream)}, {"begin_us", attempt.begin_us}, {"end_us", attempt.end_us}};
  AddCount(json, "first_byte_us", attempt.first_byte_us);
  AddCount(json, "status", attempt.status);
  AddText(json, "failed", names.NameOf(attempt.reason));
  for (const auto& [key, is_set] : {std::pair{"retry", attempt.is_retry}, std::pair{"hedge", attempt.is_hedge},
                                    std::pair{"continuation", attempt.is_continuation}, std::pair{"answer", attempt.is_answer}}) {
    if (is_set) json[key] = true;
  }
  return json;
}

}  // namespace

Json RecordSummaryJson(const RequestRecord& record, const InternedNames& names) {
  Json json{{"id", record.id.view()},
            {"trace_id", record.trace.Hex()},
            {"span_id", record.span.Hex()},
            {"state", record.state == RequestState::kDone ? "done" : std::string(StageName(record.stage))},
            {"begun", TimeOf(record.begun_unix_ns)},
            {"begun_unix_ns", record.begun_unix_ns},
            {"method", names.NameOf(record.method)},
            {"route", names.NameOf(record.route)},
            {"status", record.status}};
  if (record.parent.is_set()) json["parent_span_id"] = record.parent.Hex();
  AddText(json, "model", names.NameOf(record.model));
  AddText(json, "tenant", names.NameOf(record.tenant));
  AddText(json, "slo_class", names.NameOf(record.slo_class));
  AddText(json, "finish", names.NameOf(record.finish));
  AddText(json, "refused", names.NameOf(record.reason));
  AddText(json, "upstream", names.NameOf(record.upstream));
  if (record.is_client_gone) json["client_gone"] = true;
  if (record.violates_slo) json["violates_slo"] = true;
  json["total_ns"] = record.total_ns;
  AddCount(json, "first_token_ns", record.first_token_ns);
  json["stages_ns"] = StagesJson(record);
  AddCount(json, "prompt_tokens", record.num_prompt_tokens);
  AddCount(json, "cached_tokens", record.num_cached_tokens);
  AddCount(json, "completion_tokens", record.num_completion_tokens);
  AddCount(json, "attempts_made", record.num_attempts);
  return json;
}

Json RecordJson(const RequestRecord& record, const InternedNames& names) {
  Json json = RecordSummaryJson(record, names);
  AddCount(json, "choices", record.num_choices);
  AddCount(json, "steps", record.num_steps);
  AddCount(json, "prefill_steps", record.num_prefill_steps);
  AddCount(json, "preemptions", record.num_preemptions);
  AddCount(json, "largest_batch", record.largest_batch);
  if (record.mean_batch > 0) json["mean_batch"] = record.mean_batch;
  AddCount(json, "cpu_ns", record.cpu_ns);
  AddCount(json, "run_queue_ns", record.run_queue_ns);
  AddCount(json, "write_blocked_ns", record.write_blocked_ns);
  json["received_bytes"] = record.num_received_bytes;
  json["sent_bytes"] = record.num_sent_bytes;
  if (record.tcp.rtt_us != 0) json["tcp"] = TcpJson(record.tcp);
  Json spans = Json::array();
  for (size_t i = 0; i < record.num_spans; ++i) spans.push_back(SpanJson(record.spans[i]));
  json["spans"] = std::move(spans);
  const size_t num_attempts = std::min<size_t>(record.num_attempts, RequestRecord::kMaxAttempts);
  for (size_t i = 0; i < num_attempts; ++i) json["attempts"].push_back(AttemptJson(record.attempts[i], names));
  return json;
}

}  // namespace autoglm
