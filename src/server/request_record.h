#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "sampling/sampling_params.h"
#include "server/text_generation.h"
#include "telemetry/metrics.h"

namespace autoglm {

// What the access log says about one request, in one line at its end.
struct RequestRecord {
  std::string id;
  std::string method = {};
  std::string_view route = {};  // a constant: a known path, or "other"
  TimePoint accepted = {};
  int status = 0;
  // Of requests that generate.
  std::string model = {};
  std::string key_id = {};  // empty: the server is open
  int64_t num_prompt_tokens = 0;
  int64_t num_cached_tokens = 0;
  int64_t num_completion_tokens = 0;
  std::optional<Duration> time_to_first_token = {};
  std::optional<FinishReason> finish = {};
};

// Counts the request and writes its log line.
void RecordRequest(const RequestRecord& record, ServerMetrics& metrics, TimePoint now);

// Observes one finished generation: tokens, reason, and the stages as far as it came.
void RecordGeneration(const TextGeneration& generation, FinishReason finish, ModelMetrics& metrics);

}  // namespace autoglm
