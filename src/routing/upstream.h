#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace autoglm::routing {

// A server behind the gateway, as the configuration says.
struct UpstreamSpec {
  std::string name;    // its address; one of its kind in a pool
  double weight = 1;   // what it can do beside the others; above 0
  std::string region;  // empty: anywhere
  // Requests for it, by the tokens of prompt and answer; 0: no bound. The largest is what it cannot exceed, the least what it is
  // kept for while others can take what is shorter.
  int64_t least_context_tokens = 0;
  int64_t most_context_tokens = 0;
  std::vector<std::string> models;  // that it serves; empty: whatever is asked for
  int64_t max_inflight = 0;         // requests of ours at a time; 0: any number

  bool operator==(const UpstreamSpec&) const = default;
};

// What an upstream says of itself in its metrics (vllm:num_requests_running, ..._waiting, vllm:kv_cache_usage_perc).
struct UpstreamReport {
  int64_t num_running = 0;
  int64_t num_waiting = 0;
  double kv_usage = 0;  // of its memory for keys and values, 0 to 1
};

// How much of a prompt's beginning an upstream has in memory, by its own word.
struct PrefixMatch {
  std::string upstream;
  int64_t num_tokens = 0;
};

// What of a request decides where it goes. Views live as long as the call.
struct RoutingRequest {
  std::string_view model;
  std::string_view region;                   // the client's; empty: unknown
  std::string_view session;                  // that it belongs to; empty: none
  int64_t context_tokens = 0;                // of prompt and answer at most; 0: unknown
  std::span<const uint64_t> prefix;          // PrefixBlocksOf its prompt; empty: not looked at
  std::span<const PrefixMatch> exact;        // sorted by name; counts in place of what `prefix` makes guess of these upstreams
  int64_t prompt_tokens = 0;                 // that `exact` refers to
  std::span<const std::string_view> except;  // names of upstreams that were tried already
};

// An upstream that may be asked, and what is known of it at the moment.
struct Candidate {
  const UpstreamSpec* spec = nullptr;
  size_t index = 0;                        // in its pool
  int64_t num_inflight = 0;                // requests of ours that it has
  double share = 1;                        // of its weight that counts yet: slow start
  bool rests = false;                      // it asked to be left alone for now
  std::optional<double> response_seconds;  // to the first byte, with penalties for failures; nullopt: never asked
  std::optional<double> round_trip_seconds;
  std::optional<UpstreamReport> report;
  double matched_share = 0;  // of the request's prompt, from its beginning, that it has, or was sent before
  double held_prefixes = 0;  // text of prompts that it was sent and did not have, in blocks; fades as the prefix index forgets

  // What it can do at the moment beside the others.
  double Capacity() const { return spec->weight * share; }
  // Requests for each unit of that, the one that is to be routed included.
  double Load() const { return static_cast<double>(num_inflight + 1) / Capacity(); }
};

// How an attempt ended, as far as it tells something about the upstream.
enum class Outcome {
  kAnswered,     // whatever it answered: 2xx, 3xx, and 4xx, which are the client's
  kOverloaded,   // 429, and a 503 that says when to come back
  kFailed,       // other 5xx, an answer that is none, a stream that was cut
  kUnreachable,  // no connection, or silence beyond a timeout
  kAbandoned,    // by us, before it could tell: the client left, another attempt was quicker
};

}  // namespace autoglm::routing
