#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace autoglm {

// Where spans of requests go, as people say it.
struct TracingConfig {
  std::string otlp;                                    // an OpenTelemetry collector's address, http://host:4318; empty: none
  bool is_otlp_json = false;                           // else Protocol Buffers
  std::string zipkin;                                  // http://host:9411; empty: none
  double sample_ratio = 1;                             // of the traces that nothing else speaks for
  std::chrono::milliseconds slow{10'000};              // requests that take longer are always kept
  std::chrono::milliseconds metrics_interval{15'000};  // at which the collector is told metrics; 0: never
  std::string service_name;                            // empty: autoglm, or autoglm-gateway
  bool shows_texts = false;                            // prompts and answers are in spans; of servers only

  bool operator==(const TracingConfig&) const = default;
};

// "http://host:port" of "http://host:port/path".
std::string_view OriginOfUrl(std::string_view url);
// "http://host:port", or https, with a path or without. Errors: kInvalidArgument.
Result<std::string> ParseCollectorUrl(const std::string& text);
// "json": true, "protobuf".
Result<bool> ParseIsOtlpJson(const std::string& text);

}  // namespace autoglm
