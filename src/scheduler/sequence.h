#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel_token.h"
#include "base/clock.h"
#include "base/result.h"
#include "kvcache/block_manager.h"
#include "kvcache/cache_scope.h"
#include "sampling/sampler.h"
#include "sampling/sampling_params.h"
#include "scheduler/sequence_times.h"
#include "scheduler/speculation.h"

namespace autoglm {

// The time to the first token that requests of no particular class stand in line for.
inline constexpr Duration kStandardTarget = std::chrono::seconds(10);

// What a user asked, as the scheduler needs it.
struct Request {
  std::string id;
  std::vector<TokenId> prompt_tokens;  // at least one
  int64_t num_continued = 0;           // of them, the last: another engine generated those, and they count as generated
  SamplingParams sampling;
  int64_t priority = 0;                    // lower goes first: SchedulerOptions::priority_step
  uint64_t tenant = 0;                     // whose it is: tenants get equal shares of the engine
  CacheScope cache_scope;                  // who shares its prefixes
  std::optional<TimePoint> arrived = {};   // nullopt: with Enqueue
  bool was_restored = false;               // until Enqueue its prefix was on its way back into memory
  Duration target = kStandardTarget;       // in which its class of requests is to begin to be answered
  std::optional<TimePoint> deadline = {};  // when its answer is of no use any more
  CancelToken cancel;
};

// Where a sequence stands in line: a lower place goes first.
struct Place {
  TimePoint due;
  int64_t arrival = 0;  // decides between equal ones

  auto operator<=>(const Place&) const = default;
};

enum class SequenceState { kWaiting, kRunning, kFinished };

// One running generation. A sequence has tokens computed and tokens it should have; each step narrows the gap.
// Owned by the Scheduler; the engine reads it between steps.
struct Sequence {
  Request request;
  int64_t arrival = 0;   // 1 for the first request of all; a lower number is an older sequence
  TimePoint due;         // by when it should begin to be answered: see Scheduler
  Duration allowance{};  // how much longer than others its class and priority let it wait; below 0: shorter
  SequenceState state = SequenceState::kWaiting;
  std::vector<TokenId> tokens;    // prompt, then generated
  int64_t num_prompt_tokens = 0;  // without those that count as generated
  int64_t num_computed = 0;       // tokens whose KV is in the blocks
  int64_t num_cached_tokens = 0;  // prompt tokens found in the prefix tree when first scheduled
  int64_t num_charged = 0;        // given tokens that its tenant was charged for, cached ones included
  BlockTable block_table;
  std::unique_ptr<Sampler> sampler;
  std::unique_ptr<Speculator> speculator;  // null: no drafts
  SequenceTimes times;
  void* owner_data = nullptr;  // the engine's record of this sequence

  Place place() const { return {due, arrival}; }
  int64_t num_tokens() const { return static_cast<int64_t>(tokens.size()); }
  int64_t num_given() const { return static_cast<int64_t>(request.prompt_tokens.size()); }
  int64_t num_generated() const { return num_tokens() - num_prompt_tokens; }
  int64_t num_to_compute() const { return num_tokens() - num_computed; }
};

}  // namespace autoglm
