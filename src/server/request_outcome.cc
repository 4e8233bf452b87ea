#include "server/request_outcome.h"

#include <algorithm>
#include <limits>

#include "openai/response.h"
#include "telemetry/log.h"

namespace autoglm {
namespace {

bool IsKnown(TimePoint stamp) { return stamp != TimePoint{}; }

double Milliseconds(Duration duration) { return Seconds(duration) * 1e3; }

// Probes and scrapes come every few seconds and say nothing while they succeed.
LogLevel LevelOf(const RequestOutcome& record) {
  if (record.status >= 500) return LogLevel::kWarning;
  return record.method == "POST" || record.status >= 400 ? LogLevel::kInfo : LogLevel::kDebug;
}

void LogGeneration(const RequestOutcome& record, double e2e_ms) {
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

void LogOther(const RequestOutcome& record, double e2e_ms) {
  Log(LevelOf(record), "request",
      {{"id", record.id},
       {"method", record.method},
       {"route", record.route},
       {"status", int64_t{record.status}},
       {"e2e_ms", e2e_ms}});
}

template <typename T>
T Clamped(int64_t value) {
  return static_cast<T>(std::clamp<int64_t>(value, 0, std::numeric_limits<T>::max()));
}

void FillRecord(const RequestOutcome& outcome) {
  ActiveRequest& active = *outcome.active;
  active.Update([&](RequestRecord& record) {
    record.route = active.NameIndex(outcome.route);
    if (!outcome.finish) return;
    record.finish = active.NameIndex(FinishReasonName(*outcome.finish));
    record.num_choices = Clamped<uint8_t>(outcome.num_choices);
    record.num_prompt_tokens = Clamped<uint32_t>(outcome.num_prompt_tokens);
    record.num_cached_tokens = Clamped<uint32_t>(outcome.num_cached_tokens);
    record.num_completion_tokens = Clamped<uint32_t>(outcome.num_completion_tokens);
    if (outcome.time_to_first_token) record.first_token_ns = Nanoseconds(*outcome.time_to_first_token);
  });
}

}  // namespace

void RecordRequest(const RequestOutcome& outcome, ServerMetrics& metrics, TimePoint now) {
  const ScopedLogTrace trace(outcome.active.get());
  metrics.HttpRequests(std::string(outcome.route), outcome.status).Increment();
  const Duration e2e = now - outcome.accepted;
  if (!outcome.finish) {
    LogOther(outcome, Milliseconds(e2e));
  } else {
    ModelMetrics& of_model = metrics.ForModel(outcome.model);
    const TraceId trace_id = outcome.active != nullptr ? outcome.active->trace() : TraceId{};
    if (outcome.time_to_first_token) {
      of_model.time_to_first_token.For(outcome.slo_class).Observe(Seconds(*outcome.time_to_first_token), trace_id);
    }
    of_model.e2e_latency.For(outcome.slo_class).Observe(Seconds(e2e), trace_id);
    LogGeneration(outcome, Milliseconds(e2e));
  }
  if (outcome.active == nullptr) return;
  FillRecord(outcome);
  outcome.active->Answered(outcome.status);
}

Stage StageOf(SequencePhase phase) {
  switch (phase) {
    case SequencePhase::kKvRestore:
      return Stage::kKvRestore;
    case SequencePhase::kQueue:
      return Stage::kQueue;
    case SequencePhase::kPreempted:
      return Stage::kPreempted;
    case SequencePhase::kPrefill:
      return Stage::kPrefill;
    case SequencePhase::kPrefillStall:
      return Stage::kPrefillStall;
    case SequencePhase::kDecode:
      return Stage::kDecode;
    case SequencePhase::kDecodeStall:
      return Stage::kDecodeStall;
  }
  return Stage::kUnexplained;
}

void RecordPhases(const SequenceTimes& times, const SequenceTimes* before, Stage next, ActiveRequest& active) {
  if (!IsKnown(times.enqueued)) return;
  StageTimes stages{};
  for (size_t i = 0; i < kNumSequencePhases; ++i) {
    const Duration known = before != nullptr ? before->phases[i] : Duration{};
    stages[static_cast<size_t>(StageOf(static_cast<SequencePhase>(i)))] = Nanoseconds(times.phases[i] - known);
  }
  active.Append(before != nullptr ? before->until() : times.enqueued, times.until(), stages, next);
}

void RecordSteps(const SequenceTimes& times, ActiveRequest& active) {
  for (size_t i = 0; i < times.num_spans; ++i) {
    const SequenceSpan& span = times.spans[i];
    active.AddSpan(StageOf(span.phase), span.begin, span.end, span.num_tokens, span.batch);
  }
  active.Update([&](RequestRecord& record) {
    record.num_steps = Clamped<uint32_t>(times.num_steps);
    record.num_prefill_steps = Clamped<uint32_t>(times.num_prefill_steps);
    record.num_preemptions = Clamped<uint16_t>(times.num_preemptions);
    record.largest_batch = Clamped<uint16_t>(times.largest_batch);
    if (times.num_steps > 0) {
      record.mean_batch = static_cast<float>(times.sum_of_batches) / static_cast<float>(times.num_steps);
    }
    record.cpu_ns += Nanoseconds(times.cpu);
    record.run_queue_ns += Nanoseconds(times.run_queue);
  });
}

void RecordGeneration(const TextGeneration& generation, FinishReason finish, ModelMetrics& metrics) {
  const SequenceTimes times = generation.times();
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
  metrics.inference_time.Observe(Seconds(times.last_token - times.first_scheduled));
  if (num_generated > 1) metrics.time_per_output_token.Observe(decode_s / static_cast<double>(num_generated - 1));
}

}  // namespace autoglm
