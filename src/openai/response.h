#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sampling/sampling_params.h"

namespace autoglm {

enum class ResponseKind { kChatCompletion, kTextCompletion };

// What every piece of one answer repeats.
struct ResponseHead {
  ResponseKind kind = ResponseKind::kChatCompletion;
  std::string id = {};  // "chatcmpl-..." or "cmpl-..."
  int64_t created_unix_seconds = 0;
  std::string model = {};
  std::string system_fingerprint = {};
};

// Tokens.
struct Usage {
  int64_t num_prompt_tokens = 0;
  int64_t num_cached_tokens = 0;
  int64_t num_completion_tokens = 0;
};

struct Choice {
  std::string text = {};
  FinishReason finish = FinishReason::kStop;  // kStop or kLength
};

std::string_view FinishReasonName(FinishReason reason);  // "stop", "length", "cancelled", "error"

std::string UsageJson(const Usage& usage);

// The body of an answer that is not streamed.
std::string BuildResponse(const ResponseHead& head, std::span<const Choice> choices, const Usage& usage);

// An id as /v1/models lists it.
struct ModelCard {
  std::string id = {};
  int64_t created_unix_seconds = 0;
  int64_t context_length = 0;  // 0: not known before the model was loaded once
  std::string state = {};      // "loaded", "unloaded", ...
  int64_t memory_bytes = 0;    // weights and KV, held now
};
std::string BuildModel(const ModelCard& card);
std::string BuildModelList(std::span<const ModelCard> cards);

}  // namespace autoglm
