#include "server/request_record.h"

#include "openai/response.h"
#include "telemetry/log.h"

namespace autoglm {
namespace {

bool IsKnown(TimePoint stamp) { return stamp != TimePoint{}; }

double Milliseconds(Duration duration) { return Seconds(duration) * 1e3; }

// Probes and scrapes come every few seconds and say nothing while they succeed.
LogLevel LevelOf(const RequestRecord& record) {
  if (record.status >= 500) return LogLevel::kWarning;
  return record.method == "POST" || record.status >= 400 ? LogLevel::kInfo : LogLevel::kDebug;
}

void LogGeneration(const RequestRecord& record, double e2e_ms) {
  Log(LevelOf(record), "request",
      {{"id", record.id},
       {"method", record.method},
       {"route", record.route},
       {"status", int64_t{record.status}},
       {"model", record.model},
       {"key", record.key_id},
       {"prompt_tokens", record.num_prompt_tokens},
       {"cached_tokens", record.num_cached_tokens},
       {"completion_tokens", record.num_completion_tokens},
       {"ttft_ms", record.time_to_first_token ? Milliseconds(*record.time_to_first_token) : 0.0},
       {"e2e_ms", e2e_ms},
       {"finish", FinishReasonName(*record.finish)}});
}

void LogOther(const RequestRecord& record, double e2e_ms) {
  Log(LevelOf(record), "request",
      {{"id", record.id},
       {"method", record.method},
       {"route", record.route},
       {"status", int64_t{record.status}},
       {"e2e_ms", e2e_ms}});
}

}  // namespace

void RecordRequest(const RequestRecord& record, ServerMetrics& metrics, TimePoint now) {
  metrics.HttpRequests(std::string(record.route), record.status).Increment();
  const Duration e2e = now - record.accepted;
  if (!record.finish) return LogOther(record, Milliseconds(e2e));
  ModelMetrics& of_model = metrics.ForModel(record.model);
  if (record.time_to_first_token) of_model.time_to_first_token.Observe(Seconds(*record.time_to_first_token));
  of_model.e2e_latency.Observe(Seconds(e2e));
  LogGeneration(record, Milliseconds(e2e));
}

void RecordGeneration(const TextGeneration& generation, FinishReason finish, ModelMetrics& metrics) {
  const SequenceTimes& times = generation.times();
  const int64_t num_generated = generation.num_generated_here();
  metrics.RequestsFinished(std::string(FinishReasonName(finish))).Increment();
  metrics.prompt_tokens.Increment(static_cast<double>(generation.num_prompt_tokens()));
  metrics.request_prompt_tokens.Observe(static_cast<double>(generation.num_prompt_tokens()));
  metrics.request_generation_tokens.Observe(static_cast<double>(num_generated));
  if (!IsKnown(times.first_scheduled)) return;
  metrics.queue_time.Observe(Seconds(times.first_scheduled - times.enqueued));
  if (!IsKnown(times.first_token)) return;
  metrics.prefill_time.Observe(Seconds(times.first_token - times.first_scheduled));
  const double decode_s = Seconds(times.last_token - times.first_token);
  metrics.decode_time.Observe(decode_s);
  if (num_generated > 1) metrics.time_per_output_token.Observe(decode_s / static_cast<double>(num_generated - 1));
}

}  // namespace autoglm
