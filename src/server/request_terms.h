#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "auth/principal.h"
#include "base/clock.h"
#include "base/result.h"
#include "http/server.h"
#include "openai/generation_params.h"

namespace autoglm {

inline constexpr const char* kInteractiveClass = "interactive";
inline constexpr const char* kStandardClass = "standard";
inline constexpr const char* kBatchClass = "batch";

// The time to the first token that requests of a class stand in line for, by the class's name. The three above always exist.
using SloClasses = std::map<std::string, Duration>;
SloClasses DefaultSloClasses();  // 1, 10 and 600 seconds

// On what terms a request is served.
struct RequestTerms {
  std::string slo_class;
  Duration target{};
  std::optional<Duration> timeout;
  int64_t priority = 0;
  uint64_t tenant = 0;
  uint64_t cache_salt = 0;
  uint64_t fingerprint = 0;  // of body, path and tenant: the same when it is sent again
};

// The class: header x-slo-class, else the body's service_tier (OpenAI's "priority" is interactive, "flex" batch), else standard.
// The timeout: header x-request-timeout, seconds, with a fraction or without. Errors: kInvalidArgument naming the header or
// field; kPermissionDenied for a priority that the policy does not allow.
Result<RequestTerms> ReadTerms(const http::Request& request, const GenerationParams& params, const Principal& principal,
                               const SloClasses& classes);

// The longest answer a request of such a policy may have to a prompt: what it asked for, or all that it may. Errors:
// kPermissionDenied where it asks for more, or the prompt is too long.
Result<std::optional<int64_t>> AllowedMaxTokens(std::optional<int64_t> asked, int64_t num_prompt_tokens, const Policy& policy);

}  // namespace autoglm
