#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "json/fields.h"
#include "openai/continuation.h"
#include "sampling/sampling_params.h"

namespace autoglm {

inline constexpr int64_t kMaxChoicesPerPrompt = 8;
inline constexpr size_t kMaxStopBytes = 1024;  // of one stop string; each token is searched for it

// What chat and text completion requests have in common.
struct GenerationParams {
  std::string model;                  // empty: not named, the server's default
  SamplingParams sampling;            // max_tokens counts only where the next field is set
  std::optional<int64_t> max_tokens;  // absent: the endpoint's default
  int64_t num_choices = 1;            // "n"
  int64_t priority = 0;               // as vLLM's: lower goes first
  std::string service_tier;           // "auto", "default", "flex", "priority", or empty
  std::string context;                // id of one that this goes on from, or empty
  bool stream = false;
  bool include_usage = false;                // stream_options.include_usage
  std::optional<Continuation> continuation;  // of an answer that is streamed and the only one
};

// Reads and checks the common fields; null counts as absent and unknown fields are ignored. Errors: kInvalidArgument for
// wrong types and ranges, kUnsupported for what OpenAI knows and this server does not do; both name the field.
Result<GenerationParams> ReadGenerationParams(const JsonFields& body);

// Whether a field asks for something: not null, false, 0, "" or []. An object does, even one without members.
bool IsTruthy(const Json* value);

}  // namespace autoglm
