#include "engine/engine.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <future>
#include <limits>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/bounded_queue.h"
#include "base/check.h"
#include "engine/loaded_model.h"
#include "engine/model_runner.h"
#include "engine/prefix_holds.h"

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
  TimePoint arrived;
  bool was_restored = false;
  std::optional<TimePoint> deadline;
};

// The names of the prefix's own blocks behind those that are in memory: public ones are everybody's.
std::vector<BlockKey> KeysBehind(const BlockManager& blocks, std::span<const TokenId> tokens, const CacheScope& scope) {
  std::vector<BlockKey> keys = BlockKeysOf(tokens, scope);
  const int64_t num_known = blocks.PeekPrefix(tokens, std::ssize(tokens), scope) / kBlockSizeTokens;
  keys.erase(keys.begin(), keys.begin() + std::min(std::ssize(keys), std::max(num_known, scope.num_public_blocks())));
  return keys;
}

constexpr Duration::rep kNoInterrupt = std::numeric_limits<Duration::rep>::min();

Duration::rep MostUrgent(const StepPlan& plan) {
  Duration least = Duration::max();
  for (const SequenceSlice& slice : plan.slices) least = std::min(least, slice.sequence->allowance);
  return least.count();
}

tl::unexpected<Refusal> Refuse(Error error) {
  return tl::unexpected(Refusal{.error = std::move(error), .retry_after_seconds = 1});
}

}  // namespace

struct Engine::Impl {
  Impl(std::shared_ptr<LoadedModel> loaded, const EngineOptions& engine_options, int64_t context, const Clock& real_clock,
       EngineResources resources)
      : model(std::move(loaded)),
        options(engine_options),
        context_length(context),
        clock(real_clock),
        team(std::move(resources.team)),
        admission({.max_requests = engine_options.max_waiting + engine_options.max_running,
                   .max_running = engine_options.max_running,
                   .max_backlog_seconds = engine_options.max_queue_seconds},
                  real_clock),
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
        holds(blocks, blocks.stats().num_blocks / 2),
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
  void InterruptFor(const GenerationRequest& request);
  void WaitForHeldBlocks();
  void Deliver(const std::vector<SequenceUpdate>& updates);
  void AnswerIntegrityChecks();
  void Post(std::function<void()> errand);
  void RunErrands();
  std::vector<const BlockTable*> HeldTables() const;
  void PublishStats();
  void StopAll();
  void JoinThread();
  Status Check(const GenerationRequest& request) const;
  std::shared_ptr<TokenStream> Push(GenerationRequest request, TimePoint now, std::optional<TimePoint> deadline);
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
  Admission admission;

  // Engine thread only.
  std::unique_ptr<KvCache> kv;
  ModelRunner runner;
  BlockManager& blocks;
  Scheduler scheduler;
  PrefixHolds holds;
  std::unordered_map<Sequence*, std::shared_ptr<TokenStream>> streams;
  bool was_interrupted = false;

  // Shared.
  BoundedQueue<Arrival> inbox;
  std::atomic<bool> stopping{false};
  std::atomic<bool> draining{false};
  std::atomic<Duration::rep> step_allowance{kNoInterrupt};  // of the most urgent sequence in the step that is computed
  std::atomic<bool> interrupt{false};                       // give that step up
  std::atomic<int64_t> num_interrupts{0};
  std::atomic<uint64_t> next_seed;
  mutable std::mutex mutex;  // of the three below
  EngineStats published;
  std::vector<std::promise<Status>> integrity_checks;
  std::vector<std::function<void()>> errands;

  std::unique_ptr<KvTier> tier;  // engine thread only. Its threads wake the inbox
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
  return KvPlan{.num_blocks = num_blocks,
                .context_length = context,
                .num_bytes = num_blocks * block_bytes + options.kv_tier.compressed_bytes};
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
  AUTOGLM_TRY(impl->tier, KvTier::Open(options.kv_tier, impl->model->KvFingerprint(), *impl->kv, impl->scheduler, clock,
                                       [raw = impl.get()] { raw->inbox.Wake(); }));
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

Status Engine::Impl::Check(const GenerationRequest& request) const {
  if (request.prompt_tokens.empty()) return Fail(ErrorCode::kInvalidArgument, "the prompt has no tokens");
  AUTOGLM_TRY_VOID(request.sampling.Validate(model->tokenizer().vocab_size()));
  const auto vocab_size = model->lm().config().vocab_size;
  for (const TokenId token : request.prompt_tokens) {
    if (token < 0 || token >= vocab_size) {
      return Fail(ErrorCode::kInvalidArgument,
                  "token " + std::to_string(token) + " is outside the vocabulary of " + std::to_string(vocab_size), "prompt");
    }
  }
  const auto prompt_length = static_cast<int64_t>(request.prompt_tokens.size());
  if (prompt_length >= context_length) {
    return Fail(ErrorCode::kContextLengthExceeded,
                "This model's maximum context length is " + std::to_string(context_length) + " tokens, but the prompt has " +
                    std::to_string(prompt_length) + " tokens and the answer needs at least one. Please shorten the prompt.",
                "messages");
  }
  return {};
}

tl::expected<std::vector<std::shared_ptr<TokenStream>>, Refusal> Engine::SubmitTogether(Submission submission) {
  if (impl_->draining) return Refuse({.code = ErrorCode::kUnavailable, .message = "the server is shutting down"});
  AdmissionAsk ask{.num_requests = std::ssize(submission.requests),
                   .fingerprint = submission.fingerprint,
                   .timeout = submission.timeout,
                   .is_urgent = !submission.requests.empty()};
  for (const GenerationRequest& request : submission.requests) {
    if (const Status status = impl_->Check(request); !status) return Refuse(status.error());
    const auto num_prompt_tokens = std::ssize(request.prompt_tokens);
    ask.num_prompt_tokens += num_prompt_tokens;
    ask.max_answer_tokens +=
        std::min(request.sampling.max_tokens - request.num_continued, impl_->context_length - num_prompt_tokens);
    ask.is_urgent = ask.is_urgent && request.priority < 0;
  }
  if (const auto admitted = impl_->admission.Admit(ask); !admitted) return tl::unexpected(admitted.error());
  const TimePoint now = impl_->clock.Now();
  std::optional<TimePoint> deadline;
  if (submission.timeout) deadline = now + *submission.timeout;
  std::vector<std::shared_ptr<TokenStream>> streams;
  streams.reserve(submission.requests.size());
  for (GenerationRequest& request : submission.requests) streams.push_back(impl_->Push(std::move(request), now, deadline));
  return streams;
}

Result<std::shared_ptr<TokenStream>> Engine::Submit(GenerationRequest request) {
  Submission submission;
  submission.requests.push_back(std::move(request));
  auto streams = SubmitTogether(std::move(submission));
  if (!streams) return tl::unexpected<Error>(std::move(streams).error().error);
  return std::move(streams->front());
}

std::shared_ptr<TokenStream> Engine::Impl::Push(GenerationRequest request, TimePoint now, std::optional<TimePoint> deadline) {
  CancelToken cancel;
  auto stream = std::make_shared<TokenStream>(cancel);
  const GenerationRequest urgency{.priority = request.priority, .target = request.target};
  AUTOGLM_CHECK(inbox.TryPush({.request = std::move(request),
                               .cancel = cancel,
                               .stream = stream,
                               .arrived = now,
                               .deadline = deadline}));  // it holds all that have a place
  InterruptFor(urgency);
  return stream;
}

void Engine::BeginDrain() { impl_->draining = true; }

bool Engine::IsIdle() const { return impl_->admission.num_inside() == 0; }

EngineStats Engine::stats() const {
  const std::lock_guard lock(impl_->mutex);
  EngineStats stats = impl_->published;
  stats.num_waiting += static_cast<int64_t>(impl_->inbox.size());
  stats.num_promised = impl_->admission.num_promised();
  stats.num_interrupts = impl_->num_interrupts.load(std::memory_order_relaxed);
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

double Engine::Pressure() const { return impl_->admission.Pressure(); }

uint64_t Engine::serial() const { return impl_->serial; }
const LoadedModel& Engine::model() const { return *impl_->model; }
int64_t Engine::context_length() const { return impl_->context_length; }

void Engine::Impl::ThreadMain() {
  BeginEvents();
  blocks.SetCost([this](int64_t first_token, int64_t num_tokens, const BlockKey& key) {
    return tier->CostToHaveAgain(first_token, num_tokens, key);
  });
  while (!stopping) {
    AcceptArrivals();
    blocks.SetTime(std::chrono::duration_cast<std::chrono::seconds>(clock.Now().time_since_epoch()).count());
    tier->Poll();
    RunErrands();
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
  blocks.AddListener(*options.kv_events);
}

void Engine::Impl::EndEvents() {
  if (options.kv_events == nullptr) return;
  blocks.RemoveListener(*options.kv_events);
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
  if (tier->is_unpacking()) return inbox.TryPop();
  return tier->num_waiting() > 0 ? inbox.WaitPopFor(kDiskPatienceStep) : inbox.WaitPop();
}

// Puts it in line, at once or when its prefix has come from the disk.
void Engine::Impl::Accept(Arrival arrival) {
  const auto waiting = std::make_shared<Arrival>(std::move(arrival));
  const auto enqueue = [this, waiting] { Enqueue(std::move(*waiting)); };
  waiting->was_restored = true;
  if (tier->Restore(waiting->request.prompt_tokens, waiting->request.cache_scope, waiting->cancel, enqueue)) return;
  waiting->was_restored = false;
  enqueue();
}

void Engine::Impl::Enqueue(Arrival arrival) {
  admission.Entered(std::ssize(arrival.request.prompt_tokens));
  const uint64_t seed = next_seed.fetch_add(1);
  const std::span<const TokenId> given = arrival.request.prompt_tokens;
  const std::span<const TokenId> continued = given.last(static_cast<size_t>(arrival.request.num_continued));
  auto sampler = std::make_unique<Sampler>(arrival.request.sampling, seed, given.first(given.size() - continued.size()),
                                           model->tokenizer().vocab_size());
  sampler->Replay(continued);
  Result<Sequence*> sequence = scheduler.Enqueue({.id = std::move(arrival.request.id),
                                                  .prompt_tokens = std::move(arrival.request.prompt_tokens),
                                                  .num_continued = arrival.request.num_continued,
                                                  .sampling = std::move(arrival.request.sampling),
                                                  .priority = arrival.request.priority,
                                                  .tenant = arrival.request.tenant,
                                                  .cache_scope = arrival.request.cache_scope,
                                                  .arrived = arrival.arrived,
                                                  .was_restored = arrival.was_restored,
                                                  .target = arrival.request.target,
                                                  .deadline = arrival.deadline,
                                                  .cancel = arrival.cancel},
                                                 std::move(sampler));
  if (!sequence) {
    admission.Leave();
    arrival.stream->Fail(FinishReason::kError, sequence.error().message);
    return;
  }
  streams.emplace(*sequence, std::move(arrival.stream));
}

void Engine::Impl::RunStep() {
  const StepPlan& plan = scheduler.Plan();
  if (plan.empty()) return WaitForHeldBlocks();
  const StepResult* result = [&] {
    const auto turn = team->TakeTurn();
    interrupt = false;
    // Two steps in a row are not given up, so that those who can wait get on.
    step_allowance = std::exchange(was_interrupted, false) ? kNoInterrupt : MostUrgent(plan);
    return runner.Run(plan, interrupt);
  }();
  step_allowance = kNoInterrupt;
  if (result != nullptr) return Deliver(scheduler.Commit(*result));
  was_interrupted = true;
  num_interrupts.fetch_add(1, std::memory_order_relaxed);
}

// Gives up the step that is computed where the request is a level or more ahead of everything in it.
void Engine::Impl::InterruptFor(const GenerationRequest& request) {
  const Duration step = options.priority_step;
  const Duration allowance = request.target - kStandardTarget + request.priority * step;
  if (step > Duration::zero() && (allowance + step).count() <= step_allowance.load()) interrupt = true;
}

void Engine::Impl::WaitForHeldBlocks() {
  if (holds.ReleaseOldest()) return;  // whoever goes on from it computes it again
  AUTOGLM_CHECK(tier->is_holding());
  tier->LetGo();
  if (std::optional<Arrival> arrival = inbox.WaitPopFor(kHeldBlocksStep)) Accept(*std::move(arrival));
}

void Engine::Impl::Deliver(const std::vector<SequenceUpdate>& updates) {
  for (const SequenceUpdate& update : updates) {
    const auto stream = streams.find(update.sequence);
    AUTOGLM_CHECK(stream != streams.end());
    if (update.finish) admission.Leave();
    stream->second->Deliver(update.token, update.finish, *update.sequence);
    if (!update.finish) continue;
    tier->Keep(update.sequence->tokens, update.sequence->request.cache_scope);
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
    if (status) status = scheduler.CheckIntegrity(HeldTables());
    check.set_value(std::move(status));
  }
}

std::vector<const BlockTable*> Engine::Impl::HeldTables() const {
  std::vector<const BlockTable*> tables = holds.tables();
  const std::vector<const BlockTable*> of_tier = tier->held_tables();
  tables.insert(tables.end(), of_tier.begin(), of_tier.end());
  return tables;
}

// Something to be done by the engine thread between two steps.
void Engine::Impl::Post(std::function<void()> errand) {
  {
    const std::lock_guard lock(mutex);
    errands.push_back(std::move(errand));
  }
  inbox.Wake();
}

void Engine::Impl::RunErrands() {
  std::vector<std::function<void()>> taken;
  {
    const std::lock_guard lock(mutex);
    taken.swap(errands);
  }
  for (const auto& errand : taken) errand();
}

void Engine::HoldPrefix(std::string name, std::vector<TokenId> tokens, const CacheScope& scope,
                        std::function<void(Result<int64_t>)> done) {
  impl_->Post([impl = impl_.get(), name = std::move(name), tokens = std::move(tokens), scope, done = std::move(done)] {
    done(impl->holds.Hold(name, tokens, scope));
  });
}

void Engine::ReleasePrefix(std::string name) {
  impl_->Post([impl = impl_.get(), name = std::move(name)] { impl->holds.Release(name); });
}

void Engine::SavePrefix(std::vector<TokenId> tokens, const CacheScope& scope, std::function<void(Status)> done) {
  impl_->Post([impl = impl_.get(), tokens = std::move(tokens), scope, done = std::move(done)] {
    if (!impl->tier->has_disk())
      return done(Fail(ErrorCode::kUnsupported, "This server keeps nothing on a disk; start it with --kv-disk."));
    impl->tier->Keep(tokens, scope);
    done({});
  });
}

void Engine::ErasePrefix(std::string name, std::vector<TokenId> tokens, const CacheScope& scope,
                         std::function<void(int64_t)> done) {
  impl_->Post([impl = impl_.get(), name = std::move(name), tokens = std::move(tokens), scope, done = std::move(done)] {
    impl->holds.Release(name);
    const int64_t num_forgotten = std::ssize(impl->blocks.ForgetPrefix(tokens, scope));
    // What is still known belongs to others, too. On the disk nobody knows who else would go on from the rest; they compute it
    // again.
    impl->tier->Erase(KeysBehind(impl->blocks, tokens, scope));
    done(num_forgotten);
  });
}

void Engine::ListCache(size_t limit, std::function<void(CacheContents)> done) {
  impl_->Post([impl = impl_.get(), limit, done = std::move(done)] {
    done({.blocks = impl->blocks.stats(), .tier = impl->tier->stats(), .prefixes = impl->blocks.Prefixes(limit)});
  });
}

void Engine::Impl::PublishStats() {
  const LoadEstimate load = scheduler.EstimateLoad();
  admission.Update(load);
  const std::lock_guard lock(mutex);
  published = {.num_running = scheduler.num_running(),
               .num_waiting = scheduler.num_waiting() + tier->num_waiting(),
               .num_preemptions = scheduler.num_preemptions(),
               .backlog_seconds = load.backlog_seconds,
               .speculation = scheduler.speculation(),
               .blocks = blocks.stats(),
               .kv_tier = tier->stats(),
               .kv_events = options.kv_events != nullptr ? options.kv_events->stats() : EventPublisherStats()};
}

void Engine::Impl::StopAll() {
  RunErrands();
  holds.ReleaseAll();
  tier->ResumeAll();
  Deliver(scheduler.DropAll(FinishReason::kCancelled));
  tier->Stop();
  while (std::optional<Arrival> arrival = inbox.TryPop()) {
    admission.Entered(std::ssize(arrival->request.prompt_tokens));
    admission.Leave();
    arrival->stream->Fail(FinishReason::kCancelled, "the server is shutting down");
  }
  AnswerIntegrityChecks();
  PublishStats();
  blocks.SetCost(nullptr);
  EndEvents();
}

}  // namespace autoglm
