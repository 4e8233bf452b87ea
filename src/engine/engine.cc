#include "engine/engine.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <future>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/bounded_queue.h"
#include "base/check.h"
#include "engine/loaded_model.h"
#include "engine/model_runner.h"

namespace autoglm {
namespace {

int NumThreads(const EngineOptions& options) {
  if (options.num_threads > 0) return options.num_threads;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// Room for many conversations, without taking more than a quarter of the machine. Pages are only taken when used.
int64_t KvMemoryBytes(const EngineOptions& options) {
  if (options.kv_memory_bytes > 0) return options.kv_memory_bytes;
  const int64_t machine = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<int64_t>(sysconf(_SC_PAGESIZE));
  return std::min<int64_t>(int64_t{2} << 30, machine / 4);
}

// Between two looks whether somebody has waited too long for the disk, while nothing else happens.
constexpr std::chrono::milliseconds kDiskPatienceStep(100);
// Between two tries to plan a step while the disk tier holds the blocks that the first in line needs.
constexpr std::chrono::milliseconds kHeldBlocksStep(1);

struct Arrival {
  GenerationRequest request;
  CancelToken cancel;
  std::shared_ptr<TokenStream> stream;
};

}  // namespace

struct Engine::Impl {
  Impl(std::shared_ptr<LoadedModel> loaded, const EngineOptions& engine_options, int64_t context, const Clock& real_clock,
       EngineResources resources)
      : model(std::move(loaded)),
        options(engine_options),
        context_length(context),
        clock(real_clock),
        team(std::move(resources.team)),
        kv(std::move(resources.kv)),
        runner(*model, kv->pool(), team->pool()),
        blocks(kv->blocks()),
        scheduler({.budget = engine_options.budget,
                   .max_running = engine_options.max_running,
                   // Submit has already bounded the queue; what it accepted must fit.
                   .max_waiting = engine_options.max_waiting + engine_options.max_running,
                   .context_length = context,
                   .vocab_size = model->tokenizer().vocab_size(),
                   .eos_tokens = model->tokenizer().eos_tokens(),
                   .priority_step = engine_options.priority_step,
                   .speculates = engine_options.speculates},
                  blocks, real_clock),
        inbox(static_cast<size_t>(engine_options.max_waiting + engine_options.max_running)),
        next_seed(std::random_device{}()) {}

  void ThreadMain();
  void BeginEvents();
  void EndEvents();
  void AcceptArrivals();
  void Accept(Arrival arrival);
  void Enqueue(Arrival arrival);
  std::optional<Arrival> WaitForArrival();
  void RunStep();
  void WaitForHeldBlocks();
  void Deliver(const std::vector<SequenceUpdate>& updates);
  void AnswerIntegrityChecks();
  void PublishStats();
  void StopAll();
  void JoinThread();
  bool TakePlace();
  bool IsLoaded() const { return model->lm().load_progress().is_complete(); }

  static uint64_t NextSerial() {
    static std::atomic<uint64_t> next{1};
    return next.fetch_add(1);
  }

  const uint64_t serial = NextSerial();
  const std::shared_ptr<LoadedModel> model;
  const EngineOptions options;
  const int64_t context_length;
  const Clock& clock;

  const std::shared_ptr<ComputeTeam> team;

  // Engine thread only.
  std::unique_ptr<KvCache> kv;
  ModelRunner runner;
  BlockManager& blocks;
  Scheduler scheduler;
  std::unordered_map<Sequence*, std::shared_ptr<TokenStream>> streams;
  TimePoint last_finish{};

  // Shared.
  BoundedQueue<Arrival> inbox;
  std::atomic<bool> stopping{false};
  std::atomic<bool> draining{false};
  std::atomic<int64_t> num_in_flight{0};
  std::atomic<double> finish_interval_seconds{0};
  std::atomic<uint64_t> next_seed;
  mutable std::mutex mutex;  // of the two below
  EngineStats published;
  std::vector<std::promise<Status>> integrity_checks;

  std::unique_ptr<KvTier> tier;  // engine thread only; null: there is none. Its threads wake the inbox
  std::thread thread;
};

Result<KvPlan> Engine::PlanKv(const LoadedModel& model, const EngineOptions& options) {
  const int64_t block_bytes = model.lm().kv_layout().block_bytes();
  const int64_t wanted = options.context_length > 0 ? options.context_length : model.lm().config().context_length;
  int64_t num_blocks = KvMemoryBytes(options) / block_bytes;
  // Without a stated KV size, a stated context decides how much is needed at least.
  if (options.kv_memory_bytes == 0) num_blocks = std::max(num_blocks, (wanted + kBlockSizeTokens - 1) / kBlockSizeTokens);
  const int64_t context = std::min(wanted, num_blocks * kBlockSizeTokens);
  if (context < 2) {
    return Fail(ErrorCode::kInvalidArgument, "the KV memory holds " + std::to_string(num_blocks) + " blocks of " +
                                                 std::to_string(block_bytes) + " bytes: give --kv-memory more");
  }
  return KvPlan{.num_blocks = num_blocks, .context_length = context, .num_bytes = num_blocks * block_bytes};
}

Result<std::unique_ptr<Engine>> Engine::Start(std::shared_ptr<LoadedModel> model, const EngineOptions& options,
                                              const Clock& clock, EngineResources resources) {
  AUTOGLM_TRY(const KvPlan plan, PlanKv(*model, options));
  if (resources.team == nullptr) resources.team = std::make_shared<ComputeTeam>(NumThreads(options));
  if (resources.kv == nullptr) {
    AUTOGLM_TRY(resources.kv, KvCache::Create(model->lm().kv_layout(), plan.num_blocks));
  }
  AUTOGLM_CHECK(resources.kv->pool().num_blocks() == plan.num_blocks && resources.kv->pool().layout() == model->lm().kv_layout());
  auto impl = std::make_unique<Impl>(std::move(model), options, plan.context_length, clock, std::move(resources));
  if (!options.kv_disk.folder.empty()) {
    AUTOGLM_TRY(impl->tier, KvTier::Open(options.kv_disk, impl->model->KvFingerprint(), *impl->kv, impl->scheduler, clock,
                                         [raw = impl.get()] { raw->inbox.Wake(); }));
  }
  impl->PublishStats();
  impl->thread = std::thread([raw = impl.get()] { raw->ThreadMain(); });
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Engine::~Engine() { impl_->JoinThread(); }

void Engine::Impl::JoinThread() {
  draining = true;
  stopping = true;
  inbox.Wake();
  if (thread.joinable()) thread.join();
}

std::unique_ptr<KvCache> Engine::Stop(std::unique_ptr<Engine> engine) {
  engine->impl_->JoinThread();
  std::unique_ptr<KvCache> kv = std::move(engine->impl_->kv);
  return kv;
}

// Counts a request in, from here to its end. Exact however fast others submit: what has a place is never refused later.
bool Engine::Impl::TakePlace() {
  int64_t taken = num_in_flight.load();
  do {
    if (taken >= options.max_waiting + options.max_running) return false;
  } while (!num_in_flight.compare_exchange_weak(taken, taken + 1));
  return true;
}

Result<std::shared_ptr<TokenStream>> Engine::Submit(GenerationRequest request) {
  if (impl_->draining) return Fail(ErrorCode::kUnavailable, "the server is shutting down");
  if (request.prompt_tokens.empty()) return Fail(ErrorCode::kInvalidArgument, "the prompt has no tokens");
  AUTOGLM_TRY_VOID(request.sampling.Validate(impl_->model->tokenizer().vocab_size()));
  const auto vocab_size = impl_->model->lm().config().vocab_size;
  for (const TokenId token : request.prompt_tokens) {
    if (token < 0 || token >= vocab_size) {
      return Fail(ErrorCode::kInvalidArgument,
                  "token " + std::to_string(token) + " is outside the vocabulary of " + std::to_string(vocab_size), "prompt");
    }
  }
  const auto prompt_length = static_cast<int64_t>(request.prompt_tokens.size());
  if (prompt_length >= impl_->context_length) {
    return Fail(ErrorCode::kContextLengthExceeded,
                "This model's maximum context length is " + std::to_string(impl_->context_length) +
                    " tokens, but the prompt has " + std::to_string(prompt_length) +
                    " tokens and the answer needs at least one. Please shorten the prompt.",
                "messages");
  }
  if (!impl_->TakePlace()) {
    return Fail(ErrorCode::kResourceExhausted,
                "too many requests are waiting (" + std::to_string(impl_->options.max_waiting) + " places): try again later");
  }
  CancelToken cancel;
  auto stream = std::make_shared<TokenStream>(cancel);
  AUTOGLM_CHECK(impl_->inbox.TryPush({std::move(request), cancel, stream}));  // it holds all that have a place
  return stream;
}

void Engine::BeginDrain() { impl_->draining = true; }

bool Engine::IsIdle() const { return impl_->num_in_flight.load() == 0; }

EngineStats Engine::stats() const {
  const std::lock_guard lock(impl_->mutex);
  EngineStats stats = impl_->published;
  stats.num_waiting += static_cast<int64_t>(impl_->inbox.size());
  return stats;
}

Status Engine::CheckIntegrity() {
  std::future<Status> answer;
  {
    const std::lock_guard lock(impl_->mutex);
    answer = impl_->integrity_checks.emplace_back().get_future();
  }
  impl_->inbox.Wake();
  return answer.get();
}

int64_t Engine::RetryAfterSeconds() const {
  return std::clamp<int64_t>(static_cast<int64_t>(std::ceil(impl_->finish_interval_seconds.load())), 1, 60);
}

uint64_t Engine::serial() const { return impl_->serial; }
const LoadedModel& Engine::model() const { return *impl_->model; }
int64_t Engine::context_length() const { return impl_->context_length; }

void Engine::Impl::ThreadMain() {
  BeginEvents();
  while (!stopping) {
    AcceptArrivals();
    if (tier != nullptr) tier->Poll();
    AnswerIntegrityChecks();
    Deliver(scheduler.DropCancelled());
    if (scheduler.HasWork()) {
      RunStep();
    } else if (!IsLoaded()) {
      const auto turn = team->TakeTurn();
      model->lm().LoadNext(team->pool());  // a layer at a time, so that an arrival does not wait long
    }
    PublishStats();
  }
  StopAll();
}

// Prefixes may have been kept from an engine before.
void Engine::Impl::BeginEvents() {
  if (options.kv_events == nullptr) return;
  blocks.Announce(*options.kv_events);
  blocks.SetListener(options.kv_events.get());
}

void Engine::Impl::EndEvents() {
  if (options.kv_events == nullptr) return;
  blocks.SetListener(nullptr);
  options.kv_events->OnCleared();
}

// Takes what has arrived; sleeps where there is nothing else to do.
void Engine::Impl::AcceptArrivals() {
  if (!scheduler.HasWork() && IsLoaded()) {
    if (std::optional<Arrival> arrival = WaitForArrival()) Accept(*std::move(arrival));
  }
  while (std::optional<Arrival> arrival = inbox.TryPop()) Accept(*std::move(arrival));
}

std::optional<Arrival> Engine::Impl::WaitForArrival() {
  const bool waits_for_disk = tier != nullptr && tier->num_waiting() > 0;
  return waits_for_disk ? inbox.WaitPopFor(kDiskPatienceStep) : inbox.WaitPop();
}

// Puts it in line, at once or when its prefix has come from the disk.
void Engine::Impl::Accept(Arrival arrival) {
  if (tier == nullptr) return Enqueue(std::move(arrival));
  const auto waiting = std::make_shared<Arrival>(std::move(arrival));
  const auto enqueue = [this, waiting] { Enqueue(std::move(*waiting)); };
  if (!tier->Restore(waiting->request.prompt_tokens, 0, waiting->cancel, enqueue)) enqueue();
}

void Engine::Impl::Enqueue(Arrival arrival) {
  const uint64_t seed = next_seed.fetch_add(1);
  auto sampler =
      std::make_unique<Sampler>(arrival.request.sampling, seed, arrival.request.prompt_tokens, model->tokenizer().vocab_size());
  Result<Sequence*> sequence = scheduler.Enqueue({.id = std::move(arrival.request.id),
                                                  .prompt_tokens = std::move(arrival.request.prompt_tokens),
                                                  .sampling = std::move(arrival.request.sampling),
                                                  .priority = arrival.request.priority,
                                                  .cancel = arrival.cancel},
                                                 std::move(sampler));
  if (!sequence) {
    num_in_flight.fetch_sub(1);
    arrival.stream->Fail(FinishReason::kError, sequence.error().message);
    return;
  }
  streams.emplace(*sequence, std::move(arrival.stream));
}

void Engine::Impl::RunStep() {
  const StepPlan& plan = scheduler.Plan();
  if (plan.empty()) return WaitForHeldBlocks();
  const StepResult& result = [&]() -> const StepResult& {
    const auto turn = team->TakeTurn();
    return runner.Run(plan);
  }();
  Deliver(scheduler.Commit(result));
}

void Engine::Impl::WaitForHeldBlocks() {
  AUTOGLM_CHECK(tier != nullptr && tier->is_holding());
  tier->LetGo();
  if (std::optional<Arrival> arrival = inbox.WaitPopFor(kHeldBlocksStep)) Accept(*std::move(arrival));
}

void Engine::Impl::Deliver(const std::vector<SequenceUpdate>& updates) {
  for (const SequenceUpdate& update : updates) {
    const auto stream = streams.find(update.sequence);
    AUTOGLM_CHECK(stream != streams.end());
    if (update.finish) num_in_flight.fetch_sub(1);
    stream->second->Deliver(update.token, update.finish, *update.sequence);
    if (!update.finish) continue;
    const TimePoint now = clock.Now();
    if (last_finish != TimePoint{}) {
      // Mean time between two finished requests, over about the last eight.
      const double interval = Seconds(now - last_finish);
      finish_interval_seconds = finish_interval_seconds + (interval - finish_interval_seconds) / 8;
    }
    last_finish = now;
    if (tier != nullptr) tier->Keep(*update.sequence);
    streams.erase(stream);
    scheduler.Retire(update.sequence);
  }
}

void Engine::Impl::AnswerIntegrityChecks() {
  std::vector<std::promise<Status>> checks;
  {
    const std::lock_guard lock(mutex);
    checks.swap(integrity_checks);
  }
  for (std::promise<Status>& check : checks) {
    Status status = blocks.CheckIntegrity();
    if (status) {
      status = scheduler.CheckIntegrity(tier != nullptr ? tier->held_tables() : std::vector<const BlockTable*>());
    }
    check.set_value(std::move(status));
  }
}

void Engine::Impl::PublishStats() {
  const std::lock_guard lock(mutex);
  published = {.num_running = scheduler.num_running(),
               .num_waiting = scheduler.num_waiting() + (tier != nullptr ? tier->num_waiting() : 0),
               .num_preemptions = scheduler.num_preemptions(),
               .speculation = scheduler.speculation(),
               .blocks = blocks.stats(),
               .kv_disk = tier != nullptr ? tier->stats() : BlockStoreStats(),
               .kv_events = options.kv_events != nullptr ? options.kv_events->stats() : EventPublisherStats()};
}

void Engine::Impl::StopAll() {
  if (tier != nullptr) tier->ResumeAll();
  Deliver(scheduler.DropAll(FinishReason::kCancelled));
  if (tier != nullptr) tier->Stop();
  while (std::optional<Arrival> arrival = inbox.TryPop()) {
    num_in_flight.fetch_sub(1);
    arrival->stream->Fail(FinishReason::kCancelled, "the server is shutting down");
  }
  AnswerIntegrityChecks();
  PublishStats();
  EndEvents();
}

}  // namespace autoglm
