#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/token_stream.h"
#include "kernels/isa.h"
#include "kvcache/block_manager.h"
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
};

struct EngineStats {
  int64_t num_running = 0;
  int64_t num_waiting = 0;
  int64_t num_preemptions = 0;
  BlockManagerStats blocks;
};

// What a caller asks of the engine. Prompt tokens in, token stream out.
struct GenerationRequest {
  std::string id;
  std::vector<TokenId> prompt_tokens;
  SamplingParams sampling;
};

// Owns the engine thread, which owns scheduler, blocks and model, and runs one step after another while there is work:
// accept arrivals, drop the cancelled, plan, run, commit, deliver. Sleeps when there is none.
class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Start(std::shared_ptr<LoadedModel> model, const EngineOptions& options,
                                               const Clock& clock);
  // Cancels what runs, then joins the engine thread.
  ~Engine();

  // Any thread. Checks the request and puts it into the bounded queue. Errors: kInvalidArgument,
  // kContextLengthExceeded (the message has both numbers), kResourceExhausted (queue full), kUnavailable (draining).
  Result<std::shared_ptr<TokenStream>> Submit(GenerationRequest request);

  // Any thread. From now on Submit answers kUnavailable; what was accepted goes on.
  void BeginDrain();
  bool IsIdle() const;  // nothing waiting, running or just submitted

  // Any thread. A copy as of the last step.
  EngineStats stats() const;
  // Any thread; waits for the engine thread to check scheduler and blocks between two steps.
  Status CheckIntegrity();
  // Seconds until a queue place is expected to be free, from the measured rate; at least 1. For Retry-After.
  int64_t RetryAfterSeconds() const;

  const LoadedModel& model() const;
  int64_t context_length() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace autoglm
