#include "server/request_terms.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

namespace autoglm {
namespace {

constexpr double kMostTimeoutSeconds = 86'400;

std::string NamesOf(const SloClasses& classes) {
  std::string names;
  for (const auto& [name, target] : classes) names += (names.empty() ? "" : ", ") + name;
  return names;
}

Result<std::string> ClassOf(const http::Request& request, const GenerationParams& params, const SloClasses& classes) {
  const std::string_view header = request.Header("x-slo-class");
  if (!header.empty()) {
    if (classes.contains(std::string(header))) return std::string(header);
    return Fail(ErrorCode::kInvalidArgument, fmt::format("x-slo-class must be one of {}, not '{}'", NamesOf(classes), header),
                "x-slo-class");
  }
  if (params.service_tier == "priority") return kInteractiveClass;
  return params.service_tier == "flex" ? kBatchClass : kStandardClass;
}

Result<std::optional<Duration>> TimeoutOf(const http::Request& request) {
  const std::string_view header = request.Header("x-request-timeout");
  if (header.empty()) return std::nullopt;
  double seconds = 0;
  const auto [end, error] = std::from_chars(header.data(), header.data() + header.size(), seconds, std::chars_format::fixed);
  if (error != std::errc() || end != header.data() + header.size() || !(seconds > 0 && seconds <= kMostTimeoutSeconds)) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("x-request-timeout must be seconds above 0 and at most {}, such as 30 or 2.5, not '{}'",
                            kMostTimeoutSeconds, header.substr(0, 40)),
                "x-request-timeout");
  }
  return DurationFromSeconds(seconds);
}

uint64_t FingerprintOf(const http::Request& request, uint64_t tenant) {
  const uint64_t path = XXH3_64bits_withSeed(request.path.data(), request.path.size(), tenant);
  return std::max<uint64_t>(XXH3_64bits_withSeed(request.body.data(), request.body.size(), path), 1);
}

}  // namespace

SloClasses DefaultSloClasses() {
  return {{kInteractiveClass, std::chrono::seconds(1)},
          {kStandardClass, std::chrono::seconds(10)},
          {kBatchClass, std::chrono::seconds(600)}};
}

Result<RequestTerms> ReadTerms(const http::Request& request, const GenerationParams& params, const Principal& principal,
                               const SloClasses& classes) {
  RequestTerms terms{.priority = params.priority, .tenant = principal.cache_salt, .cache_salt = principal.cache_salt};
  AUTOGLM_TRY(terms.slo_class, ClassOf(request, params, classes));
  terms.target = classes.at(terms.slo_class);
  AUTOGLM_TRY(terms.timeout, TimeoutOf(request));
  const std::optional<int64_t> highest = principal.policy.highest_priority;
  if (highest && terms.priority < *highest) {
    return Fail(ErrorCode::kPermissionDenied,
                fmt::format("priority {} is more urgent than {}, the most this key may ask for", terms.priority, *highest),
                "priority");
  }
  terms.fingerprint = FingerprintOf(request, terms.tenant);
  return terms;
}

Result<std::optional<int64_t>> AllowedMaxTokens(std::optional<int64_t> asked, int64_t num_prompt_tokens, const Policy& policy) {
  const auto refuse = [&](int64_t limit, std::string_view of_what, int64_t given) {
    return Fail(ErrorCode::kPermissionDenied,
                fmt::format("This key allows {} {}; the request asks for {}.", limit, of_what, given), "max_tokens");
  };
  std::optional<int64_t> most = asked;
  if (policy.max_output_tokens > 0) {
    if (asked && *asked > policy.max_output_tokens) return refuse(policy.max_output_tokens, "tokens of an answer", *asked);
    most = asked.value_or(policy.max_output_tokens);
  }
  if (policy.max_context_tokens > 0) {
    const int64_t rest = policy.max_context_tokens - num_prompt_tokens;
    if (rest < asked.value_or(1)) {
      return refuse(policy.max_context_tokens, "tokens of prompt and answer", num_prompt_tokens + asked.value_or(1));
    }
    most = std::min(most.value_or(rest), rest);
  }
  return most;
}

}  // namespace autoglm
