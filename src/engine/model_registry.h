#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/engine.h"
#include "models/causal_lm.h"

namespace autoglm {

// A model that may be asked for, and how to run it.
struct ModelSpec {
  std::string name;                  // the id that answers carry
  std::vector<std::string> aliases;  // further names
  std::filesystem::path path;
  ModelLoadOptions load;
  EngineOptions engine;
};

// Something that happened to a model, for the log.
struct ModelEvent {
  enum class Kind { kLoaded, kUnloaded, kFailed };
  Kind kind = Kind::kLoaded;
  std::string model;
  double load_seconds = 0;   // kLoaded: until it took requests
  int64_t memory_bytes = 0;  // kLoaded: weights and KV; kUnloaded: prefixes that are kept
  bool was_evicted = false;  // kUnloaded: to make room for another
  std::string problem;       // kFailed
};

struct RegistryOptions {
  int num_threads = 0;              // of all engines together; 0 = one per processor
  int64_t memory_budget_bytes = 0;  // weights, and keys and values at their largest, of all models; 0 = no limit
  Duration idle_unload{};           // a model nobody asked for so long is unloaded; 0 = never
  int64_t max_waiting = 256;        // requests that wait for one model to be loaded
  Duration retry_after_failure = std::chrono::seconds(2);                      // a load that failed is not tried again sooner
  std::function<void(const ModelEvent&)> on_event = [](const ModelEvent&) {};  // on the loader thread
};

enum class ModelState { kUnloaded, kLoading, kLoaded, kUnloading, kFailed };
std::string_view ModelStateName(ModelState state);  // "unloaded", "loading", ...

// What is known of a model now.
struct ModelStatus {
  std::string name;
  std::vector<std::string> aliases;
  ModelState state = ModelState::kUnloaded;
  std::string failure;         // why, where the state is kFailed
  int64_t context_length = 0;  // tokens; 0 until it was loaded once, as the next three
  int64_t created_unix_seconds = 0;
  int64_t weight_bytes = 0;   // held now
  int64_t kv_bytes = 0;       // reserved now
  int64_t kept_kv_bytes = 0;  // prefixes kept while it is not loaded
  int64_t num_leases = 0;
  int64_t num_loads = 0;
  int64_t num_evictions = 0;     // unloaded to make room for another
  double last_load_seconds = 0;  // until it took requests; weights may arrive later
  EngineStats engine;            // counters over all its engines so far
};

// Several models in one process, within a budget of memory. A model is loaded when somebody asks for it; where memory is short
// the ones unused for longest go, never one in use; a model that comes back finds its prefixes again where memory allowed to keep
// them.
//
// Memory is given up in this order: prefixes of models that are not loaded, least recently used first; then idle models, least
// recently used first. Where all are busy, the least recently used one takes no more requests, is unloaded when its answers have
// ended, and what came for it meanwhile is served when it is its turn to be loaded again. So a model that is always busy cannot
// keep another out, and the budget is never exceeded.
//
// Any thread may call; none is ever kept waiting for a load. Callbacks come on the calling thread or on the loader thread, and
// must not block for long.
class ModelRegistry {
 public:
  // The first spec is the default. Errors: kInvalidArgument for no model, or a name given twice.
  static Result<std::unique_ptr<ModelRegistry>> Create(std::vector<ModelSpec> specs, const RegistryOptions& options,
                                                       const Clock& clock);
  // Who waits gets kUnavailable. Waits until all leases are given back.
  ~ModelRegistry();

  // A loaded model in use; it stays loaded until the last copy is gone.
  using Lease = std::shared_ptr<Engine>;
  using ReadyCallback = std::function<void(Result<Lease>)>;

  // "name", an alias, "default" or "" for the first, each with "@int8" or "@as-stored" for another precision of the same files.
  // Gives the spec's name of what it stands for. Error: kNotFound.
  Result<std::string> Resolve(std::string_view name) const;
  // Hands a lease to `ready`, at once where the model is loaded. Errors: kNotFound; kResourceExhausted where too many wait;
  // kUnavailable while draining or where memory is too small; kInternal where the model's files cannot be loaded (the message
  // says why, and names them).
  void Acquire(std::string_view name, ReadyCallback ready);
  // Unloads a model as soon as nobody uses it. `done` comes when it is; at once where it is not loaded. Errors: kNotFound,
  // kUnavailable where the registry ends before.
  void Unload(std::string_view name, std::function<void(Status)> done);

  // Engines take no new requests, nothing more is loaded.
  void BeginDrain();
  // In the order of the specs, each followed by its other precisions as far as they were asked for.
  std::vector<ModelStatus> Models() const;
  int64_t memory_budget_bytes() const;
  int64_t memory_used_bytes() const;
  // Of every loaded engine, and of the sums. Waits for each engine's step to end.
  Status CheckIntegrity() const;

 private:
  struct Impl;
  explicit ModelRegistry(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace autoglm
