#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/gateway_config.h"
#include "json/json.h"

namespace autoglm::discovery {

// An upstream that was registered over REST, in the terms of SGLang's model gateway, whose clients call it a worker.
struct Registration {
  std::string id;                             // the same for the same URL, in the form of a UUID
  std::string url;                            // http://host:port, or https
  std::vector<std::string> models;            // empty: whatever is asked for
  int64_t priority = 50;                      // twice as much: twice as many requests
  double cost = 1;                            // twice as much: half as many requests
  std::string runtime;                        // "sglang", "vllm", ...; empty: unknown
  std::map<std::string, std::string> labels;  // "region", "kv_events" and "kv_events_replay" are as configured
  std::string api_key;

  bool operator==(const Registration&) const = default;
};

// The body of POST /workers: {"url": "http://host:port", "model_id", "models": [{"id"}], "priority", "cost", "worker_type",
// "runtime", "labels": {}, "api_key"}, all but the first optional. Other fields of SGLang's are passed over. Errors:
// kInvalidArgument with the field, kUnsupported for workers that only prefill or decode.
Result<Registration> ParseRegistration(std::string_view body);
Result<Registration> ReadRegistration(const Json& body);
// A body that says the same, api_key included.
Json BodyOf(const Registration& registration);

// What else there is to know comes from `like`.
gateway::UpstreamConfig ConfigOf(const Registration& registration, const gateway::UpstreamConfig& like);

// What only the gateway knows of a worker.
struct WorkerState {
  bool is_healthy = false;
  int64_t num_inflight = 0;
};

// Answers as SGLang's clients expect them; none tells an api_key.
Json WorkerJson(const Registration& registration, const WorkerState& state);
Json WorkerListJson(std::span<const Registration> registrations,
                    const std::function<WorkerState(const std::string& url)>& state_of);
Json RegisteredJson(const Registration& registration);  // 202
Json RemovedJson(const Registration& registration);     // 202
Json WorkerErrorJson(const Error& error);

}  // namespace autoglm::discovery
