#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/compute_team.h"
#include "base/result.h"
#include "engine/admission.h"
#include "engine/kv_cache.h"
#include "engine/kv_tier.h"
#include "engine/token_stream.h"
#include "kernels/isa.h"
#include "kvcache/block_manager.h"
#include "kvevents/event_publisher.h"
#include "sampling/sampling_params.h"
#include "scheduler/scheduler.h"

namespace autoglm {

class LoadedModel;

struct EngineOptions {
  int num_threads = 0;          // 0 = one per processor
  int64_t context_length = 0;   // 0 = the model's, as far as kv_memory_bytes holds it
  int64_t kv_memory_bytes = 0;  // 0 = chosen by the model's size and the machine's memory
  TokenBudget budget;
  int64_t max_running = 64;
  int64_t max_waiting = 256;
  double max_queue_seconds = 120;                     // AdmissionLimits::max_backlog_seconds
  bool speculates = true;                             // see SchedulerOptions
  Duration priority_step = std::chrono::seconds(30);  // see SchedulerOptions
  KvTierOptions kv_tier;
  // Told which prefixes are in memory while the engine runs; of one engine at a time. Null: nobody is.
  std::shared_ptr<EventPublisher> kv_events = nullptr;
};

struct EngineStats {
  int64_t num_running = 0;
  int64_t num_waiting = 0;
  int64_t num_preemptions = 0;
  int64_t num_interrupts = 0;  // steps that were given up for a more urgent request
  double backlog_seconds = 0;  // of work that waits and runs, as predicted
  int64_t num_promised = 0;    // places kept free for requests that were sent away
  SpeculationStats speculation;
  BlockManagerStats blocks;
  KvTierStats kv_tier;
  EventPublisherStats kv_events;
};

// The KV memory an engine of a model will have.
struct KvPlan {
  int64_t num_blocks = 0;
  int64_t context_length = 0;  // tokens
  int64_t num_bytes = 0;       // compressed ones included
};

// What an engine shares with others, or takes over from one before it. What is missing it makes for itself.
struct EngineResources {
  std::shared_ptr<ComputeTeam> team;  // num_threads of the options is not looked at then
  std::unique_ptr<KvCache> kv;        // of the same model and as large as PlanKv says
};

// What a caller asks of the engine. Prompt tokens in, token stream out.
struct GenerationRequest {
  std::string id;
  std::vector<TokenId> prompt_tokens;
  int64_t num_continued = 0;  // see scheduler/sequence.h; fewer than sampling.max_tokens
  SamplingParams sampling;
  int64_t priority = 0;  // lower goes first: SchedulerOptions::priority_step
  uint64_t tenant = 0;   // see scheduler/sequence.h for this and the next
  CacheScope cache_scope;
  Duration target = kStandardTarget;
};

// What belongs together, such as the choices of one answer.
struct Submission {
  std::vector<GenerationRequest> requests;
  std::optional<Duration> timeout = {};  // in which all of it is to be there; later it ends with kDeadline
  uint64_t fingerprint = 0;              // AdmissionAsk::fingerprint
};

// Owns the engine thread, which owns scheduler, blocks and model, and runs one step after another while there is work:
// accept arrivals, drop the cancelled, plan, run, commit, deliver. Sleeps when there is none.
class Engine {
 public:
  // Errors: kInvalidArgument where the KV memory does not hold one sequence.
  static Result<KvPlan> PlanKv(const LoadedModel& model, const EngineOptions& options);
  // Errors: as PlanKv; kIo as KvPool::Create and KvTier::Open.
  static Result<std::unique_ptr<Engine>> Start(std::shared_ptr<LoadedModel> model, const EngineOptions& options,
                                               const Clock& clock, EngineResources resources = {});
  // Cancels what runs, then joins the engine thread.
  ~Engine();
  // Ends the engine and hands out its keys and values with all prefixes known in them.
  static std::unique_ptr<KvCache> Stop(std::unique_ptr<Engine> engine);

  // Any thread. Checks the requests and takes in all of them or none. Errors: kInvalidArgument, kContextLengthExceeded (the
  // message has both numbers), kUnavailable (draining); and what Admission::Admit refuses.
  tl::expected<std::vector<std::shared_ptr<TokenStream>>, Refusal> SubmitTogether(Submission submission);
  Result<std::shared_ptr<TokenStream>> Submit(GenerationRequest request);

  // Prefixes that somebody will go on from. Any thread; carried out between two steps, `done` is called on the engine thread.
  // Keeps what is known of the prefix from eviction under a name: PrefixHolds::Hold.
  void HoldPrefix(std::string name, std::vector<TokenId> tokens, const CacheScope& scope,
                  std::function<void(Result<int64_t>)> done);
  void ReleasePrefix(std::string name);
  // Writes what is known of it to the disk, in the background. Errors: kUnsupported where there is none.
  void SavePrefix(std::vector<TokenId> tokens, const CacheScope& scope, std::function<void(Status)> done);
  // Forgets it, in memory and on the disk, from its end on as far as no other prefix goes on from there; how many blocks.
  void ErasePrefix(std::string name, std::vector<TokenId> tokens, const CacheScope& scope, std::function<void(int64_t)> done);

  // The prefixes used last, and the blocks, as they are between two steps. `done` is called on the engine thread.
  struct CacheContents {
    BlockManagerStats blocks;
    KvTierStats tier;
    std::vector<RadixTree::Prefix> prefixes;
  };
  void ListCache(size_t limit, std::function<void(CacheContents)> done);

  // Any thread. From now on Submit answers kUnavailable; what was accepted goes on.
  void BeginDrain();
  bool IsIdle() const;  // nothing waiting, running or just submitted

  // Any thread. A copy as of the last step.
  EngineStats stats() const;
  // Any thread; waits for the engine thread to check scheduler and blocks between two steps.
  Status CheckIntegrity();
  // Any thread. 0 idle, 1 full: Admission::Pressure.
  double Pressure() const;

  // Tells this engine from every other that this process has had.
  uint64_t serial() const;
  const LoadedModel& model() const;
  int64_t context_length() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace autoglm
