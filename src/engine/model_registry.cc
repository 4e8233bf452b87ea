#include "engine/model_registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/check.h"
#include "engine/loaded_model.h"

namespace autoglm {
namespace {

constexpr std::string_view kDefaultName = "default";

Error ShuttingDown() {
  return {.code = ErrorCode::kUnavailable, .message = "the server is shutting down and takes no new requests"};
}

// What one precision of one model's files needs, is, and holds. All of it is guarded by the registry's mutex.
struct Slot {
  ModelSpec spec;
  ModelState state = ModelState::kUnloaded;
  std::unique_ptr<Engine> engine;
  int64_t weight_bytes = 0;
  int64_t kv_bytes = 0;
  int64_t num_leases = 0;
  TimePoint last_used{};

  std::unique_ptr<KvCache> kept_kv;
  int64_t kept_kv_bytes = 0;
  std::vector<FileIdentity> kept_kv_files;  // that the kept prefixes were computed from

  bool is_giving_way = false;        // a load waits for its memory
  bool is_unload_requested = false;  // somebody asked for it
  std::deque<ModelRegistry::ReadyCallback> waiting;
  std::vector<std::function<void(Status)>> unload_waiting;

  Error failure;
  TimePoint retry_at{};
  int64_t context_length = 0;
  int64_t created_unix_seconds = 0;
  int64_t num_loads = 0;
  int64_t num_evictions = 0;
  double last_load_seconds = 0;
  EngineStats before;   // counters of its engines that have ended
  EngineStats started;  // what the present engine's counters began with

  bool IsOpen() const { return state == ModelState::kLoaded && !is_giving_way && !is_unload_requested; }
  bool IsIdle() const { return state == ModelState::kLoaded && num_leases == 0; }
  int64_t held_bytes() const { return weight_bytes + kv_bytes + kept_kv_bytes; }
};

// What counts up in EngineStats: target += sign * counters of other.
void AddCounters(EngineStats& target, const EngineStats& other, int sign) {
  target.num_preemptions += sign * other.num_preemptions;
  target.speculation.num_drafted += sign * other.speculation.num_drafted;
  target.speculation.num_accepted += sign * other.speculation.num_accepted;
  target.blocks.prefix_queries += sign * other.blocks.prefix_queries;
  target.blocks.prefix_hits += sign * other.blocks.prefix_hits;
  target.blocks.num_evicted += sign * other.blocks.num_evicted;
  target.kv_tier.compressed.num_kept += sign * other.kv_tier.compressed.num_kept;
  target.kv_tier.compressed.num_read += sign * other.kv_tier.compressed.num_read;
  target.kv_tier.compressed.num_dropped += sign * other.kv_tier.compressed.num_dropped;
  target.kv_tier.disk.num_written += sign * other.kv_tier.disk.num_written;
  target.kv_tier.disk.num_read += sign * other.kv_tier.disk.num_read;
  target.kv_tier.disk.num_dropped += sign * other.kv_tier.disk.num_dropped;
  target.kv_tier.disk.num_damaged += sign * other.kv_tier.disk.num_damaged;
  target.kv_tier.disk.num_errors += sign * other.kv_tier.disk.num_errors;
  target.kv_events.num_published += sign * other.kv_events.num_published;
  target.kv_events.num_dropped += sign * other.kv_events.num_dropped;
}

std::string Mebibytes(int64_t bytes) { return fmt::format("{} MiB", (bytes + (1 << 20) - 1) >> 20); }

struct Precision {
  std::string_view suffix;
  WeightPrecision precision;
};
constexpr Precision kPrecisions[] = {{"@int8", WeightPrecision::kInt8}, {"@as-stored", WeightPrecision::kAsStored}};

}  // namespace

std::string_view ModelStateName(ModelState state) {
  switch (state) {
    case ModelState::kUnloaded:
      return "unloaded";
    case ModelState::kLoading:
      return "loading";
    case ModelState::kLoaded:
      return "loaded";
    case ModelState::kUnloading:
      return "unloading";
    case ModelState::kFailed:
      return "failed";
  }
  return "unknown";
}

struct ModelRegistry::Impl : std::enable_shared_from_this<ModelRegistry::Impl> {
  using Lock = std::unique_lock<std::mutex>;
  // Which slot a name means, and where that is to be made first, of which precision.
  struct Target {
    Slot* slot = nullptr;
    std::optional<Precision> other_precision = {};
  };

  Impl(const RegistryOptions& registry_options, const Clock& registry_clock)
      : options(registry_options),
        clock(registry_clock),
        team(std::make_shared<ComputeTeam>(registry_options.num_threads > 0
                                               ? registry_options.num_threads
                                               : std::max(1, static_cast<int>(std::thread::hardware_concurrency())))) {}

  Result<Target> Find(std::string_view name);
  Slot* FindNamed(std::string_view name);
  Result<Slot*> FindOrMake(std::string_view name);
  Lease MakeLease(Slot& slot);
  void GiveBack(Slot& slot);

  void ThreadMain();
  Slot* NextToUnload();
  void WaitForWork(Lock& lock);
  void ServeLoad(Lock& lock, Slot& slot);
  Status Load(Lock& lock, Slot& slot);
  Status MakeRoom(Lock& lock, const Slot& slot, int64_t needed_bytes);
  bool HasRoom(const Slot& slot, int64_t needed_bytes) const;
  Slot* LeastRecentlyUsed(bool (*is_candidate)(const Slot&), const Slot* except);
  void DropKeptKv(Slot& slot);
  void UnloadNow(Lock& lock, Slot& slot);
  void Tell(Lock& lock, const ModelEvent& event);
  void MarkFailed(Slot& slot, const Error& error);
  void HandOutLeases(Lock& lock, Slot& slot);
  void RefuseWaiting(Lock& lock, Slot& slot, const Error& error);
  void Reopen();
  int64_t UsedBytes() const;
  Status CheckBookkeeping() const;

  const RegistryOptions options;
  const Clock& clock;
  const std::shared_ptr<ComputeTeam> team;
  mutable std::mutex mutex;  // of everything below
  std::condition_variable changed;
  std::deque<Slot> slots;  // never shrinks: pointers stay valid
  std::deque<Slot*> to_load;
  bool is_draining = false;
  bool is_stopping = false;
  std::thread thread;
};

// --- names

Slot* ModelRegistry::Impl::FindNamed(std::string_view name) {
  if (name.empty() || name == kDefaultName) return &slots.front();
  for (Slot& slot : slots) {
    if (slot.spec.name == name || std::ranges::find(slot.spec.aliases, name) != slot.spec.aliases.end()) return &slot;
  }
  return nullptr;
}

Result<ModelRegistry::Impl::Target> ModelRegistry::Impl::Find(std::string_view name) {
  if (Slot* slot = FindNamed(name)) return Target{.slot = slot};
  for (const Precision& precision : kPrecisions) {
    if (!name.ends_with(precision.suffix)) continue;
    Slot* base = FindNamed(name.substr(0, name.size() - precision.suffix.size()));
    if (base == nullptr) continue;
    if (base->spec.load.precision == precision.precision) return Target{.slot = base};
    Slot* other = FindNamed(base->spec.name + std::string(precision.suffix));
    if (other != nullptr) return Target{.slot = other};
    return Target{.slot = base, .other_precision = precision};
  }
  return Fail(ErrorCode::kNotFound, fmt::format("The model '{}' does not exist; see /v1/models.", name), "model");
}

Result<Slot*> ModelRegistry::Impl::FindOrMake(std::string_view name) {
  AUTOGLM_TRY(const Target target, Find(name));
  if (!target.other_precision) return target.slot;
  Slot& made = slots.emplace_back();
  made.spec = target.slot->spec;
  made.spec.name += target.other_precision->suffix;
  made.spec.aliases.clear();
  made.spec.engine.kv_events = nullptr;  // its endpoint tells of the first
  made.spec.load.precision = target.other_precision->precision;
  return &made;
}

// --- leases

ModelRegistry::Lease ModelRegistry::Impl::MakeLease(Slot& slot) {
  ++slot.num_leases;
  slot.last_used = clock.Now();
  return {slot.engine.get(), [self = shared_from_this(), &slot](Engine*) { self->GiveBack(slot); }};
}

void ModelRegistry::Impl::GiveBack(Slot& slot) {
  {
    const std::lock_guard lock(mutex);
    AUTOGLM_CHECK(slot.num_leases > 0);
    --slot.num_leases;
    slot.last_used = clock.Now();
  }
  changed.notify_all();
}

void ModelRegistry::Impl::HandOutLeases(Lock& lock, Slot& slot) {
  while (!slot.waiting.empty() && slot.IsOpen()) {
    const ReadyCallback ready = std::move(slot.waiting.front());
    slot.waiting.pop_front();
    Lease lease = MakeLease(slot);
    lock.unlock();
    ready(std::move(lease));
    lock.lock();
  }
}

void ModelRegistry::Impl::RefuseWaiting(Lock& lock, Slot& slot, const Error& error) {
  const std::deque<ReadyCallback> waiting = std::exchange(slot.waiting, {});
  const std::vector<std::function<void(Status)>> unload_waiting = std::exchange(slot.unload_waiting, {});
  lock.unlock();
  for (const ReadyCallback& ready : waiting) ready(tl::unexpected<Error>(error));
  for (const auto& done : unload_waiting) done(tl::unexpected<Error>(error));
  lock.lock();
}

// --- the loader thread

void ModelRegistry::Impl::ThreadMain() {
  Lock lock(mutex);
  while (!is_stopping) {
    if (Slot* slot = NextToUnload()) {
      UnloadNow(lock, *slot);
    } else if (!to_load.empty()) {
      Slot* next = to_load.front();
      to_load.pop_front();
      ServeLoad(lock, *next);
    } else {
      WaitForWork(lock);
    }
  }
}

Slot* ModelRegistry::Impl::NextToUnload() {
  const bool unloads_idle = options.idle_unload > Duration::zero();
  for (Slot& slot : slots) {
    if (!slot.IsIdle()) continue;
    if (slot.is_unload_requested) return &slot;
    if (unloads_idle && slot.waiting.empty() && clock.Now() - slot.last_used >= options.idle_unload) return &slot;
  }
  return nullptr;
}

void ModelRegistry::Impl::WaitForWork(Lock& lock) {
  std::optional<TimePoint> next;
  for (const Slot& slot : slots) {
    if (options.idle_unload > Duration::zero() && slot.IsIdle()) {
      next = std::min(next.value_or(TimePoint::max()), slot.last_used + options.idle_unload);
    }
  }
  if (next) {
    changed.wait_for(lock, std::max(*next - clock.Now(), Duration(std::chrono::milliseconds(1))));
  } else {
    changed.wait(lock);
  }
}

void ModelRegistry::Impl::ServeLoad(Lock& lock, Slot& slot) {
  if (slot.state != ModelState::kLoaded && !slot.waiting.empty()) {
    const Status loaded = Load(lock, slot);
    Reopen();
    if (loaded) {
      Tell(lock, {.kind = ModelEvent::Kind::kLoaded,
                  .model = slot.spec.name,
                  .load_seconds = slot.last_load_seconds,
                  .memory_bytes = slot.held_bytes(),
                  .problem = {}});
    } else {
      MarkFailed(slot, loaded.error());
      Tell(lock, {.kind = ModelEvent::Kind::kFailed, .model = slot.spec.name, .problem = slot.failure.message});
      RefuseWaiting(lock, slot, Error(slot.failure));
    }
  }
  // Whoever had to give way and need not has requests waiting, too.
  for (size_t i = 0; i < slots.size(); ++i) HandOutLeases(lock, slots[i]);
}

void ModelRegistry::Impl::Reopen() {
  for (Slot& slot : slots) slot.is_giving_way = false;
}

Status ModelRegistry::Impl::Load(Lock& lock, Slot& slot) {
  slot.state = ModelState::kLoading;
  const TimePoint started = clock.Now();
  lock.unlock();
  Result<std::shared_ptr<LoadedModel>> model = LoadedModel::Load(slot.spec.path, slot.spec.load);
  const Result<KvPlan> plan = model ? Engine::PlanKv(**model, slot.spec.engine) : Result<KvPlan>();
  lock.lock();
  if (!model) return tl::unexpected<Error>(std::move(model).error());
  if (!plan) return tl::unexpected<Error>(plan.error());

  const int64_t weight_bytes = (*model)->lm().weight_bytes();
  AUTOGLM_TRY_VOID(MakeRoom(lock, slot, weight_bytes + plan->num_bytes));
  std::unique_ptr<KvCache> kv = std::move(slot.kept_kv);
  const bool fits =
      kv != nullptr && kv->pool().layout() == (*model)->lm().kv_layout() && kv->pool().num_blocks() == plan->num_blocks;
  if (!fits || slot.kept_kv_files != (*model)->identities()) kv.reset();
  slot.kept_kv_bytes = 0;
  slot.kept_kv_files = (*model)->identities();
  slot.weight_bytes = weight_bytes;
  slot.kv_bytes = plan->num_bytes;
  slot.context_length = plan->context_length;
  slot.created_unix_seconds = (*model)->created_unix_seconds();
  lock.unlock();
  Result<std::unique_ptr<Engine>> engine =
      Engine::Start(*std::move(model), slot.spec.engine, clock, {.team = team, .kv = std::move(kv)});
  lock.lock();
  if (!engine) {
    slot.weight_bytes = slot.kv_bytes = 0;
    return tl::unexpected<Error>(std::move(engine).error());
  }
  slot.engine = *std::move(engine);
  slot.started = slot.engine->stats();
  slot.state = ModelState::kLoaded;
  slot.last_used = clock.Now();
  slot.last_load_seconds = Seconds(clock.Now() - started);
  ++slot.num_loads;
  return {};
}

// What is wrong with a file is no fault of whoever asked for the model.
void ModelRegistry::Impl::MarkFailed(Slot& slot, const Error& error) {
  const bool may_pass = error.code == ErrorCode::kUnavailable;
  slot.state = ModelState::kFailed;
  slot.failure = {.code = may_pass ? ErrorCode::kUnavailable : ErrorCode::kInternal,
                  .message = fmt::format("the model '{}' cannot be loaded: {}", slot.spec.name, error.message)};
  slot.retry_at = clock.Now() + options.retry_after_failure;
}

// --- memory

int64_t ModelRegistry::Impl::UsedBytes() const {
  int64_t used = 0;
  for (const Slot& slot : slots) used += slot.held_bytes();
  return used;
}

// What the slot keeps of its prefixes becomes part of what it needs.
bool ModelRegistry::Impl::HasRoom(const Slot& slot, int64_t needed_bytes) const {
  return options.memory_budget_bytes == 0 || UsedBytes() - slot.kept_kv_bytes + needed_bytes <= options.memory_budget_bytes;
}

Slot* ModelRegistry::Impl::LeastRecentlyUsed(bool (*is_candidate)(const Slot&), const Slot* except) {
  Slot* oldest = nullptr;
  for (Slot& slot : slots) {
    if (&slot == except || !is_candidate(slot)) continue;
    if (oldest == nullptr || slot.last_used < oldest->last_used) oldest = &slot;
  }
  return oldest;
}

Status ModelRegistry::Impl::MakeRoom(Lock& lock, const Slot& slot, int64_t needed_bytes) {
  if (options.memory_budget_bytes > 0 && needed_bytes > options.memory_budget_bytes) {
    return Fail(ErrorCode::kUnavailable,
                fmt::format("it needs {} for weights, keys and values, and the memory budget (--memory-budget) is {}",
                            Mebibytes(needed_bytes), Mebibytes(options.memory_budget_bytes)));
  }
  while (!HasRoom(slot, needed_bytes)) {
    if (is_stopping || is_draining) return tl::unexpected<Error>(ShuttingDown());
    if (Slot* kept = LeastRecentlyUsed([](const Slot& other) { return other.kept_kv != nullptr; }, &slot)) {
      DropKeptKv(*kept);
    } else if (Slot* idle = LeastRecentlyUsed([](const Slot& other) { return other.IsIdle(); }, &slot)) {
      ++idle->num_evictions;
      idle->is_giving_way = true;
      UnloadNow(lock, *idle);
    } else if (Slot* busy = LeastRecentlyUsed([](const Slot& other) { return other.state == ModelState::kLoaded; }, &slot)) {
      const bool is_someone_leaving = std::ranges::any_of(slots, [](const Slot& other) { return other.is_giving_way; });
      if (!is_someone_leaving) busy->is_giving_way = true;
      changed.wait(lock);
    } else {
      return Fail(ErrorCode::kInternal, "the memory budget is taken by no model");
    }
  }
  return {};
}

void ModelRegistry::Impl::DropKeptKv(Slot& slot) {
  slot.kept_kv.reset();
  slot.kept_kv_bytes = 0;
}

void ModelRegistry::Impl::UnloadNow(Lock& lock, Slot& slot) {
  slot.state = ModelState::kUnloading;
  std::unique_ptr<Engine> engine = std::move(slot.engine);
  lock.unlock();
  const EngineStats stats = engine->stats();
  std::unique_ptr<KvCache> kv = Engine::Stop(std::move(engine));
  kv->ReleaseFreeMemory();
  lock.lock();
  AddCounters(slot.before, stats, 1);
  AddCounters(slot.before, slot.started, -1);
  slot.started = {};
  slot.weight_bytes = slot.kv_bytes = 0;
  slot.kept_kv_bytes = kv->cached_bytes();
  if (slot.kept_kv_bytes > 0) slot.kept_kv = std::move(kv);
  slot.state = ModelState::kUnloaded;
  const ModelEvent event{.kind = ModelEvent::Kind::kUnloaded,
                         .model = slot.spec.name,
                         .memory_bytes = slot.kept_kv_bytes,
                         .was_evicted = slot.is_giving_way,
                         .problem = {}};
  slot.is_giving_way = slot.is_unload_requested = false;
  if (!slot.waiting.empty()) to_load.push_back(&slot);
  const auto unloaded = std::exchange(slot.unload_waiting, {});
  lock.unlock();
  options.on_event(event);
  for (const auto& done : unloaded) done({});
  lock.lock();
}

void ModelRegistry::Impl::Tell(Lock& lock, const ModelEvent& event) {
  lock.unlock();
  options.on_event(event);
  lock.lock();
}

// --- the interface

ModelRegistry::ModelRegistry(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<ModelRegistry>> ModelRegistry::Create(std::vector<ModelSpec> specs, const RegistryOptions& options,
                                                             const Clock& clock) {
  if (specs.empty()) return Fail(ErrorCode::kInvalidArgument, "no model is given");
  std::set<std::string> names;
  for (const ModelSpec& spec : specs) {
    std::vector<std::string> own = spec.aliases;
    own.push_back(spec.name);
    for (const std::string& name : own) {
      if (name.empty() || name == kDefaultName) {
        return Fail(ErrorCode::kInvalidArgument, fmt::format("'{}' cannot be a model's name", name));
      }
      if (!names.insert(name).second) {
        return Fail(ErrorCode::kInvalidArgument, fmt::format("two models are called '{}': give one of them another name", name));
      }
    }
  }
  auto impl = std::make_shared<Impl>(options, clock);
  for (ModelSpec& spec : specs) impl->slots.emplace_back().spec = std::move(spec);
  impl->thread = std::thread([raw = impl.get()] { raw->ThreadMain(); });
  return std::unique_ptr<ModelRegistry>(new ModelRegistry(std::move(impl)));
}

ModelRegistry::~ModelRegistry() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->is_stopping = true;
  }
  impl_->changed.notify_all();
  impl_->thread.join();

  Impl::Lock lock(impl_->mutex);
  for (Slot& slot : impl_->slots) {
    impl_->RefuseWaiting(lock, slot, ShuttingDown());
  }
  impl_->changed.wait(lock,
                      [&] { return std::ranges::all_of(impl_->slots, [](const Slot& slot) { return slot.num_leases == 0; }); });
  for (Slot& slot : impl_->slots) slot.engine.reset();
}

Result<std::string> ModelRegistry::Resolve(std::string_view name) const {
  const std::lock_guard lock(impl_->mutex);
  AUTOGLM_TRY(const Impl::Target target, impl_->Find(name));
  return target.slot->spec.name + std::string(target.other_precision ? target.other_precision->suffix : "");
}

void ModelRegistry::Acquire(std::string_view name, ReadyCallback ready) {
  Impl::Lock lock(impl_->mutex);
  const auto refuse = [&](Error error) {
    lock.unlock();
    ready(tl::unexpected<Error>(std::move(error)));
  };
  if (impl_->is_draining || impl_->is_stopping) {
    return refuse(ShuttingDown());
  }
  const Result<Slot*> found = impl_->FindOrMake(name);
  if (!found) return refuse(found.error());
  Slot& slot = **found;
  if (slot.IsOpen() && slot.waiting.empty()) {
    Lease lease = impl_->MakeLease(slot);
    lock.unlock();
    return ready(std::move(lease));
  }
  if (slot.state == ModelState::kFailed && impl_->clock.Now() < slot.retry_at) {
    return refuse(slot.failure);
  }
  if (std::ssize(slot.waiting) >= impl_->options.max_waiting) {
    return refuse(
        {.code = ErrorCode::kResourceExhausted,
         .message = fmt::format("too many requests wait for the model '{}' to be loaded: try again later", slot.spec.name)});
  }
  slot.waiting.push_back(std::move(ready));
  const bool is_on_its_way = slot.state == ModelState::kLoading || slot.state == ModelState::kUnloading;
  // One that gives way is put there once it has.
  if (!is_on_its_way && slot.state != ModelState::kLoaded && std::ranges::find(impl_->to_load, &slot) == impl_->to_load.end()) {
    impl_->to_load.push_back(&slot);
  }
  lock.unlock();
  impl_->changed.notify_all();
}

void ModelRegistry::Unload(std::string_view name, std::function<void(Status)> done) {
  Impl::Lock lock(impl_->mutex);
  const Result<Impl::Target> target = impl_->Find(name);
  const bool is_loaded = target && !target->other_precision && target->slot->state != ModelState::kUnloaded &&
                         target->slot->state != ModelState::kFailed;
  if (!is_loaded || impl_->is_stopping || impl_->is_draining) {
    lock.unlock();
    if (!target) return done(tl::unexpected<Error>(target.error()));
    return done({});
  }
  target->slot->is_unload_requested = true;
  target->slot->unload_waiting.push_back(std::move(done));
  lock.unlock();
  impl_->changed.notify_all();
}

void ModelRegistry::BeginDrain() {
  Impl::Lock lock(impl_->mutex);
  impl_->is_draining = true;
  for (Slot& slot : impl_->slots) {
    if (slot.engine != nullptr) slot.engine->BeginDrain();
    impl_->RefuseWaiting(lock, slot, ShuttingDown());
  }
  lock.unlock();
  impl_->changed.notify_all();
}

std::vector<ModelStatus> ModelRegistry::Models() const {
  const std::lock_guard lock(impl_->mutex);
  std::vector<ModelStatus> all;
  for (const Slot& slot : impl_->slots) {
    ModelStatus status{.name = slot.spec.name,
                       .aliases = slot.spec.aliases,
                       .state = slot.state,
                       .failure = slot.state == ModelState::kFailed ? slot.failure.message : std::string(),
                       .context_length = slot.context_length,
                       .created_unix_seconds = slot.created_unix_seconds,
                       .weight_bytes = slot.weight_bytes,
                       .kv_bytes = slot.kv_bytes,
                       .kept_kv_bytes = slot.kept_kv_bytes,
                       .num_leases = slot.num_leases,
                       .num_loads = slot.num_loads,
                       .num_evictions = slot.num_evictions,
                       .last_load_seconds = slot.last_load_seconds,
                       .engine = slot.engine != nullptr ? slot.engine->stats() : EngineStats()};
    if (slot.engine != nullptr) AddCounters(status.engine, slot.started, -1);
    AddCounters(status.engine, slot.before, 1);
    all.push_back(std::move(status));
  }
  return all;
}

int64_t ModelRegistry::memory_budget_bytes() const { return impl_->options.memory_budget_bytes; }

int64_t ModelRegistry::memory_used_bytes() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->UsedBytes();
}

Status ModelRegistry::CheckIntegrity() const {
  std::vector<Lease> leases;  // no engine ends while it is looked at, and none is looked at under the lock
  {
    const std::lock_guard lock(impl_->mutex);
    AUTOGLM_TRY_VOID(impl_->CheckBookkeeping());
    for (Slot& slot : impl_->slots) {
      if (slot.engine != nullptr) leases.push_back(impl_->MakeLease(slot));
    }
  }
  for (const Lease& engine : leases) AUTOGLM_TRY_VOID(engine->CheckIntegrity());
  return {};
}

Status ModelRegistry::Impl::CheckBookkeeping() const {
  for (const Slot& slot : slots) {
    const bool is_loaded = slot.state == ModelState::kLoaded;
    const bool may_hold_weights = is_loaded || slot.state == ModelState::kLoading || slot.state == ModelState::kUnloading;
    const bool agrees = is_loaded == (slot.engine != nullptr) && (may_hold_weights || slot.weight_bytes == 0) &&
                        (is_loaded || slot.num_leases == 0) && (slot.kept_kv != nullptr) == (slot.kept_kv_bytes > 0);
    if (!agrees) {
      return Fail(
          ErrorCode::kInternal,
          fmt::format("model registry: {} is {} but holds {} of weights, {} of prefixes and has {} users", slot.spec.name,
                      ModelStateName(slot.state), Mebibytes(slot.weight_bytes), Mebibytes(slot.kept_kv_bytes), slot.num_leases));
    }
  }
  if (options.memory_budget_bytes == 0 || UsedBytes() <= options.memory_budget_bytes) return {};
  return Fail(ErrorCode::kInternal, fmt::format("model registry: {} are used, the budget is {}", Mebibytes(UsedBytes()),
                                                Mebibytes(options.memory_budget_bytes)));
}

}  // namespace autoglm
