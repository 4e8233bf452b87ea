#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "sampling/sampling_params.h"
#include "server/text_generation.h"
#include "telemetry/active_request.h"
#include "telemetry/metrics.h"

namespace autoglm {

// What metrics, log and record say about a request once its answer is known.
struct RequestOutcome {
  std::shared_ptr<ActiveRequest> active;
  std::string id;
  std::string method = {};
  std::string_view route = {};  // a constant: a known path, or "other"
  TimePoint accepted = {};
  int status = 0;
  // Of requests that generate.
  std::string model = {};
  std::string key_id = {};  // empty: the server is open
  std::string slo_class = {};
  int64_t num_choices = 1;
  int64_t num_prompt_tokens = 0;
  int64_t num_cached_tokens = 0;
  int64_t num_completion_tokens = 0;
  std::optional<Duration> time_to_first_token = {};
  std::optional<FinishReason> finish = {};
};

// Counts the request, writes its log line and fills in its record.
void RecordRequest(const RequestOutcome& outcome, ServerMetrics& metrics, TimePoint now);

// Observes one finished generation: tokens, reason, and the stages as far as it came.
void RecordGeneration(const TextGeneration& generation, FinishReason finish, ModelMetrics& metrics);

// How a sequence's phases are called in records.
Stage StageOf(SequencePhase phase);
// Hands the time of a sequence to the request's stages; what `before` has of it was handed over already. Null: nothing was. The
// request is in `next` then.
void RecordPhases(const SequenceTimes& times, const SequenceTimes* before, Stage next, ActiveRequest& active);
// And what its steps were.
void RecordSteps(const SequenceTimes& times, ActiveRequest& active);

}  // namespace autoglm
