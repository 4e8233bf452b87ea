#include "scheduler/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace autoglm {
namespace {

// A stream: it has answered at least once and lacks only the KV of its last token.
bool IsDecoding(const Sequence& sequence) { return sequence.num_generated() > 0 && sequence.num_to_compute() == 1; }

// By when a request should begin to be answered, but for its priority, where its prompt takes so many seconds.
TimePoint DueOf(const Request& request, TimePoint arrived, double prompt_seconds) {
  constexpr double kMostSeconds = 86'400;
  const auto prompt = DurationFromSeconds(std::min(prompt_seconds, kMostSeconds));
  const TimePoint due = arrived + request.target + prompt;
  return request.deadline ? std::min(due, *request.deadline - prompt) : due;
}

// Tokens that a prompt gets in every step, so that it moves however slow the machine is.
constexpr int64_t kLeastPromptTokens = 4;
// That streams wait while a more urgent prompt has a step for itself.
constexpr double kMostSecondsOfPause = 0.25;

// The rest of a prompt that another one has, too, is waited for, so that all choices of an answer share their prompt: but not for
// fewer tokens.
constexpr int64_t kLeastAwaitedTokens = 8;

// How much of the `left` budget the first of two prompts may take.
int64_t ShareOf(const Sequence& first, const Sequence* next, int64_t left) {
  if (first.num_to_compute() <= left || next == nullptr) return std::min(first.num_to_compute(), left);
  return left - std::min(left / 4, next->num_to_compute());
}

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options, BlockManager& blocks, const Clock& clock)
    : options_(options),
      blocks_(blocks),
      clock_(clock),
      max_sequence_tokens_(std::min(options.context_length, blocks.stats().num_blocks * kBlockSizeTokens)) {
  AUTOGLM_CHECK(options.context_length > 0 && options.vocab_size > 0 && options.max_running > 0);
  AUTOGLM_CHECK(options.budget.max_tokens > 0 && options.budget.max_tokens_with_decode > 0);
}

Scheduler::~Scheduler() {
  for (Sequence* sequence : running_) GiveBlocksBack(*sequence);
}

Result<Sequence*> Scheduler::Enqueue(Request request, std::unique_ptr<Sampler> sampler) {
  const int64_t num_given = std::ssize(request.prompt_tokens);
  if (num_given == 0) return Fail(ErrorCode::kInvalidArgument, "The prompt is empty; send at least one token.");
  if (num_given >= max_sequence_tokens_) {
    return Fail(ErrorCode::kContextLengthExceeded,
                fmt::format("The prompt has {} tokens; prompt and answer together may have {}. Shorten the prompt.", num_given,
                            max_sequence_tokens_));
  }
  if (num_waiting() >= options_.max_waiting) {
    return Fail(ErrorCode::kResourceExhausted, fmt::format("{} requests are waiting already; try again later.", num_waiting()));
  }
  AUTOGLM_CHECK(request.num_continued >= 0 && request.num_continued < std::min(num_given, request.sampling.max_tokens));
  auto owned = std::make_unique<Sequence>();
  Sequence& sequence = *owned;
  sequence.tokens = request.prompt_tokens;
  sequence.request = std::move(request);
  sequence.arrival = ++num_arrivals_;
  sequence.num_prompt_tokens = num_given - sequence.request.num_continued;
  sequence.sampler = std::move(sampler);
  if (options_.speculates) sequence.speculator = std::make_unique<Speculator>(acceptance_);
  const TimePoint now = clock_.Now();
  const TimePoint arrived = sequence.request.arrived.value_or(now);
  sequence.times.Enqueued(arrived, sequence.request.was_restored ? now : arrived);
  sequences_.emplace(&sequence, std::move(owned));
  const Duration shift = sequence.request.priority * options_.priority_step;
  sequence.allowance = sequence.request.target - kStandardTarget + shift;
  sequence.due = DueOf(sequence.request, sequence.times.enqueued, prompt_cost_.Seconds(0, num_given)) + shift;
  waiting_.Enter(sequence);
  waiting_.Add(sequence);
  return &sequence;
}

std::vector<SequenceUpdate> Scheduler::DropCancelled() {
  ForgetPlan();
  const TimePoint now = clock_.Now();
  const LoadEstimate costs = CostsNow();
  std::vector<std::pair<Sequence*, FinishReason>> ended;
  ForEachLive([&](Sequence& sequence) {
    if (sequence.request.cancel.IsCancelled()) {
      ended.emplace_back(&sequence, FinishReason::kCancelled);
    } else if (sequence.request.deadline && ComesTooLate(sequence, now, costs)) {
      ended.emplace_back(&sequence, FinishReason::kDeadline);
    }
  });
  return FinishAll(ended);
}

std::vector<SequenceUpdate> Scheduler::DropAll(FinishReason reason) {
  ForgetPlan();
  std::vector<std::pair<Sequence*, FinishReason>> ended;
  ForEachLive([&](Sequence& sequence) { ended.emplace_back(&sequence, reason); });
  return FinishAll(ended);
}

std::vector<SequenceUpdate> Scheduler::FinishAll(const std::vector<std::pair<Sequence*, FinishReason>>& ended) {
  std::vector<SequenceUpdate> updates;
  updates.reserve(ended.size());
  for (const auto& [sequence, reason] : ended) updates.push_back(Finish(*sequence, reason));
  SettleRunning();
  return updates;
}

void Scheduler::Retire(Sequence* sequence) {
  const auto found = sequences_.find(sequence);
  AUTOGLM_CHECK(found != sequences_.end() && sequence->state == SequenceState::kFinished);
  sequences_.erase(found);
}

const StepPlan& Scheduler::Plan() {
  ForgetPlan();
  MakeRoomForTheFirst();
  PauseForTheFirst();
  const int64_t num_decoding =
      std::ranges::count_if(running_, [this](const Sequence* sequence) { return IsStreaming(*sequence); });
  const int64_t budget = num_decoding > 0 ? options_.budget.max_tokens_with_decode : options_.budget.max_tokens;
  PlanDecodes(num_decoding, budget);
  if (options_.speculates) PlanDrafts(num_decoding, budget);
  PlanPrompts(budget - plan_.num_tokens, num_decoding > 0);
  if (plan_.empty() && !running_.empty()) {
    Sequence& oldest = *running_.front();
    PlanOrPreempt(oldest, std::min(budget, oldest.num_to_compute()));
  }
  return plan_;
}

// Before anything has a slice in the plan.
void Scheduler::MakeRoomForTheFirst() {
  if (waiting_.empty() || running_.empty()) return;
  ArrangeLine();
  const auto waits = [](const Sequence* sequence) { return sequence->state == SequenceState::kWaiting; };
  const Sequence& first = **std::ranges::find_if(line_, waits);
  const auto last_yields = [&] {
    return !running_.empty() && running_.back()->request.priority > first.request.priority &&
           running_.back()->place() > first.place();
  };
  if (!last_yields() || IsComputedInLine(first)) return;  // or it would not start yet
  while (last_yields() && (num_running() >= options_.max_running || !HasBlocksFor(first))) Preempt(*running_.back());
}

void Scheduler::PauseForTheFirst() {
  const bool had_paused = std::exchange(pause_from_, Duration::max()) != Duration::max();
  if (had_paused || options_.priority_step <= Duration::zero()) return;
  ArrangeLine();
  const Sequence* first = NextInLine();
  if (first == nullptr) return;
  const Duration limit = first->allowance + options_.priority_step;
  const auto can_wait = [&](const Sequence* sequence) { return sequence->allowance >= limit; };
  if (std::ranges::any_of(running_, can_wait)) pause_from_ = limit;
}

bool Scheduler::IsStreaming(const Sequence& sequence) const { return IsDecoding(sequence) && !IsPaused(sequence); }

void Scheduler::PlanDecodes(int64_t num_decoding, int64_t budget) {
  const int64_t num_chosen = std::min(budget, num_decoding);
  const int64_t first = num_chosen == num_decoding ? 0 : std::ranges::count_if(running_, [this](const Sequence* sequence) {
    return IsStreaming(*sequence) && sequence->place() <= last_turn_;
  });
  int64_t ordinal = 0;
  // Oldest first, so that whoever is preempted (the back of running_) has no slice in the plan yet.
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (!IsStreaming(sequence)) continue;
    const int64_t turn = (ordinal++ - first + num_decoding) % num_decoding;
    if (turn == num_chosen - 1) last_turn_ = sequence.place();
    if (turn < num_chosen) PlanOrPreempt(sequence, 1);
  }
}

// Drafts never take a block that another sequence may need for its next token, nor a prompt's place in the step: a step with
// prompts is long already.
void Scheduler::PlanDrafts(int64_t num_decoding, int64_t budget) {
  const bool only_decodes = waiting_.empty() && num_decoding == num_running();
  const double cost = decode_cost_.TokensPerDraft(num_decoding);
  for (SequenceSlice& slice : plan_.slices) {
    Sequence& sequence = *slice.sequence;
    const int64_t most = std::min({budget - plan_.num_tokens, max_sequence_tokens_ - sequence.num_tokens() - 1,
                                   sequence.request.sampling.max_tokens - sequence.num_generated() - 1});
    if (!only_decodes || most <= 0) {
      sequence.speculator->Clear();
      continue;
    }
    sequence.speculator->Draft(sequence.tokens, most, cost);
    const int64_t count = std::ssize(sequence.speculator->draft());
    if (count == 0) continue;
    const int64_t end = slice.first_token + slice.num_tokens + count;
    const int64_t num_more = NumBlocksFor(end) - sequence.block_table.num_blocks();
    if (num_more + num_running() > blocks_.num_available() || !blocks_.Grow(sequence.block_table, end)) {
      sequence.speculator->Clear();
      continue;
    }
    slice.draft = sequence.speculator->draft();
    plan_.num_tokens += count;
  }
}

// Alone any sequence fits (Enqueue and AppendToken see to that), so the oldest always gets its slice.
void Scheduler::PlanOrPreempt(Sequence& sequence, int64_t num_tokens) {
  while (!PlanSlice(sequence, num_tokens)) {
    Sequence& youngest = *running_.back();
    Preempt(youngest);
    if (&youngest == &sequence) return;
  }
}

void Scheduler::PlanPrompts(int64_t budget, bool has_streams) {
  // Until steps with streams have been seen, those without tell what a prompt costs.
  const PromptCost& cost = has_streams && prompt_cost_with_decode_.is_known() ? prompt_cost_with_decode_ : prompt_cost_;
  const double most_seconds =
      has_streams ? budget_share_ * options_.budget.prompt_seconds_with_decode : options_.budget.prompt_seconds;
  double seconds = most_seconds > 0 ? most_seconds : std::numeric_limits<double>::infinity();
  if (pause_from_ != Duration::max()) seconds = std::min(seconds, kMostSecondsOfPause);
  int64_t least = kLeastPromptTokens;
  ArrangeLine();
  Sequence* next = NextInLine();
  while (budget > 0 && next != nullptr && !IsPaused(*next)) {
    Sequence& sequence = *next;
    if (sequence.state == SequenceState::kWaiting) Start(sequence);
    next = NextInLine();
    const int64_t left = std::max(cost.TokensWithin(seconds, sequence.num_computed, budget), std::min(least, budget));
    if (left == 0) break;
    const int64_t num_tokens = ShareOf(sequence, next != nullptr && !IsPaused(*next) ? next : nullptr, left);
    if (!PlanSlice(sequence, num_tokens)) break;
    budget -= num_tokens;
    seconds -= cost.Seconds(sequence.num_computed, num_tokens);
    least = std::max<int64_t>(0, least - num_tokens);
  }
}

// No more that wait than could run are looked at, so that a long queue of equal prompts costs no more than a short one.
void Scheduler::ArrangeLine() {
  prompts_.clear();
  std::ranges::copy_if(running_, std::back_inserter(prompts_), [](const Sequence* sequence) { return !IsDecoding(*sequence); });
  waiting_.Arrange(prompts_, options_.max_running, line_);
  next_in_line_ = 0;
  may_start_ = true;
}

bool Scheduler::PlanSlice(Sequence& sequence, int64_t num_tokens) {
  const int64_t end = sequence.num_computed + num_tokens;
  if (!blocks_.Grow(sequence.block_table, end)) return false;
  plan_.slices.push_back({.sequence = &sequence,
                          .first_token = sequence.num_computed,
                          .num_tokens = num_tokens,
                          .samples = end == sequence.num_tokens()});
  plan_.num_tokens += num_tokens;
  return true;
}

// A plan that was not carried out kept streams waiting for another reason than its length.
void Scheduler::ForgetPlan() {
  if (!plan_.empty()) streams_served_.reset();
  ClearPlan();
}

void Scheduler::ClearPlan() {
  plan_.slices.clear();
  plan_.num_tokens = 0;
}

// The next in line of those that run and those that may start now; null where there is none.
Sequence* Scheduler::NextInLine() {
  while (next_in_line_ < line_.size()) {
    Sequence& sequence = *line_[next_in_line_++];
    if (sequence.state == SequenceState::kRunning) return &sequence;
    if (!may_start_ || IsComputedInLine(sequence)) continue;
    may_start_ = num_running() < options_.max_running && HasBlocksFor(sequence);
    if (!may_start_) continue;
    prompts_.push_back(&sequence);
    return &sequence;
  }
  return nullptr;
}

bool Scheduler::IsComputedInLine(const Sequence& sequence) const {
  return std::ranges::any_of(prompts_, [&](const Sequence* other) {
    // Waiting for older ones only, nobody waits in a circle or for ever.
    if (other->place() > sequence.place()) return false;
    const auto differs = std::ranges::mismatch(sequence.tokens, other->tokens).in1;
    const int64_t num_wanted = sequence.num_tokens() - 1;
    const int64_t num_equal = std::min(
        {differs - sequence.tokens.begin(), num_wanted, sequence.request.cache_scope.MostShared(other->request.cache_scope)});
    if (num_equal / kBlockSizeTokens > other->num_computed / kBlockSizeTokens) return true;
    return blocks_.copies() && num_equal == num_wanted && num_equal - other->num_computed >= kLeastAwaitedTokens;
  });
}

std::optional<double> Scheduler::PromptSeconds(int64_t context, int64_t num_tokens) const {
  const PromptCost& cost = prompt_cost_.is_known() ? prompt_cost_ : prompt_cost_with_decode_;
  if (!cost.is_known()) return std::nullopt;
  return cost.Seconds(context, num_tokens);
}

int64_t Scheduler::NumPromisedBlocks() const {
  int64_t num_promised = num_running();  // one each to grow into
  for (const Sequence* other : running_) {
    num_promised += std::max<int64_t>(0, NumBlocksFor(other->num_tokens() + 1) - other->block_table.num_blocks());
  }
  return num_promised;
}

bool Scheduler::HasBlocksFor(const Sequence& sequence) const {
  const int64_t num_needed = blocks_.NumBlocksNeeded(sequence.tokens, sequence.num_tokens() - 1, sequence.num_tokens() + 1,
                                                     sequence.request.cache_scope);
  return num_needed + NumPromisedBlocks() <= blocks_.num_available();
}

void Scheduler::Start(Sequence& sequence) {
  // The last token is always recomputed: its logits give the next one.
  waiting_.Remove(sequence);
  sequence.block_table = blocks_.MatchPrefix(sequence.tokens, sequence.num_tokens() - 1, sequence.request.cache_scope);
  sequence.num_computed = sequence.block_table.num_matched_tokens;
  if (sequence.times.num_preemptions == 0) {
    sequence.num_cached_tokens = std::min(sequence.num_computed, sequence.num_prompt_tokens);
  }
  sequence.times.Scheduled(clock_.Now());
  sequence.num_charged = std::max(sequence.num_charged, std::min(sequence.num_computed, sequence.num_given()));
  sequence.state = SequenceState::kRunning;
  running_.insert(std::ranges::upper_bound(running_, sequence.place(), {}, &Sequence::place), &sequence);
}

void Scheduler::Preempt(Sequence& sequence) {
  AUTOGLM_CHECK(&sequence == running_.back());
  running_.pop_back();
  GiveBlocksBack(sequence);
  ++num_preemptions_;
  sequence.times.Preempted(clock_.Now());
  sequence.state = SequenceState::kWaiting;
  waiting_.Add(sequence);
}

std::vector<SequenceUpdate> Scheduler::Commit(const StepResult& result) {
  const auto num_samples = std::ranges::count_if(plan_.slices, &SequenceSlice::samples);
  AUTOGLM_CHECK(num_samples == std::ssize(result.num_sampled));
  const TimePoint now = clock_.Now();
  LearnFrom(result, now);
  std::vector<SequenceUpdate> updates;
  updates.reserve(result.sampled.size());
  double service = 0;
  auto sampled = result.sampled.begin();
  auto num_sampled = result.num_sampled.begin();
  for (const SequenceSlice& slice : plan_.slices) {
    Sequence& sequence = *slice.sequence;
    RecordStep(slice, result, now);
    sequence.num_computed += slice.num_tokens;
    blocks_.Commit(sequence.block_table, sequence.tokens, sequence.num_computed, sequence.request.cache_scope);
    service += Charge(sequence, slice.samples ? *num_sampled : 0);
    if (!slice.samples) continue;
    const auto end = sampled + *num_sampled++;
    while (sampled != end) {
      updates.push_back(AppendToken(sequence, *sampled++, now));
      if (updates.back().finish) break;
      if (sampled == end) break;
      ++sequence.num_computed;  // of the token just appended, which was drafted
      blocks_.Commit(sequence.block_table, sequence.tokens, sequence.num_computed, sequence.request.cache_scope);
    }
    sampled = end;
  }
  waiting_.LearnRate(service, result.seconds);
  ClearPlan();
  SettleRunning();
  return updates;
}

// Costs are shared by the tokens computed.
void Scheduler::RecordStep(const SequenceSlice& slice, const StepResult& result, TimePoint now) {
  const int64_t num_tokens = slice.num_tokens + std::ssize(slice.draft);
  const double share = static_cast<double>(num_tokens) / static_cast<double>(plan_.num_tokens);
  slice.sequence->times.Stepped({.begin = now - result.elapsed,
                                 .end = now,
                                 .num_tokens = num_tokens,
                                 .batch = std::ssize(plan_.slices),
                                 .cpu = std::chrono::duration_cast<Duration>(share * result.cpu),
                                 .run_queue = result.run_queue},
                                slice.samples);
}

// For what a step has computed of the tokens it was given, once, and for so many tokens of its answer. What that was worth.
double Scheduler::Charge(Sequence& sequence, int64_t num_answer_tokens) {
  const int64_t num_given_tokens = std::min(sequence.num_computed, sequence.num_given()) - sequence.num_charged;
  double service = kAnswerTokenService * static_cast<double>(num_answer_tokens);
  if (num_given_tokens > 0) {
    sequence.num_charged += num_given_tokens;
    service += static_cast<double>(num_given_tokens);
  }
  waiting_.Charge(sequence, service);
  return service;
}

void Scheduler::LearnFrom(const StepResult& result, TimePoint now) {
  auto num_sampled = result.num_sampled.begin();
  int64_t num_drafted = 0;
  int64_t num_streams = 0;
  PromptWork prompts;
  for (const SequenceSlice& slice : plan_.slices) {
    if (slice.samples && slice.num_tokens == 1) {
      ++num_streams;
    } else {
      prompts.Add(slice.first_token, slice.num_tokens);
    }
    if (!slice.samples) continue;
    const int64_t num_accepted = *num_sampled++ - 1;
    AUTOGLM_CHECK(num_accepted >= 0 && num_accepted <= std::ssize(slice.draft));
    if (slice.draft.empty()) continue;
    num_drafted += std::ssize(slice.draft);
    speculation_.num_accepted += num_accepted;
    slice.sequence->speculator->Learn(num_accepted, acceptance_);
  }
  speculation_.num_drafted += num_drafted;
  if (result.seconds > 0) KeepGapsWithinBudget(prompts.tokens > 0, num_streams, now);
  LearnSlowdown(prompts, num_streams, result.seconds);
  if (prompts.tokens == 0) {
    decode_cost_.Observe(num_streams, num_drafted, result.seconds);
  } else if (num_streams == 0) {
    prompt_cost_.Observe(prompts, result.seconds);
  } else {
    // Where streams wait for memory, prompts may seem to cost less than nothing: that is as good as very little.
    const double added = result.seconds - decode_cost_.PlainSeconds(num_streams);
    prompt_cost_with_decode_.Observe(prompts, std::max(added, 0.02 * result.seconds));
  }
}

// Less is planned at once where streams waited too long for their tokens, and more again little by little: one gap in 250
// or so is too long then, whatever the reason why predictions err.
void Scheduler::KeepGapsWithinBudget(bool has_prompts, int64_t num_streams, TimePoint now) {
  constexpr double kLess = 0.95;
  constexpr double kMore = 0.0002;
  constexpr double kLeast = 0.6;
  constexpr double kUntilSent = 0.11;  // of what is allowed goes by before a token has reached its reader
  const double allowed = (1 - kUntilSent) * options_.budget.prompt_seconds_with_decode;
  const auto last = std::exchange(streams_served_, num_streams > 0 ? std::optional(now) : std::nullopt);
  if (!last || !has_prompts || num_streams == 0 || allowed <= 0) return;
  if (Seconds(now - *last) > decode_cost_.PlainSeconds(num_streams) + allowed) {
    budget_share_ = std::max(kLeast, kLess * budget_share_);
  } else {
    budget_share_ = std::min(1.0, budget_share_ + kMore);
  }
}

void Scheduler::LearnSlowdown(const PromptWork& prompts, int64_t num_streams, double seconds) {
  constexpr double kRemembering = 0.95;
  const double predicted = prompt_cost_.Seconds(prompts) + (num_streams > 0 ? decode_cost_.PlainSeconds(num_streams) : 0);
  if (seconds <= 0 || predicted <= 0) return;
  seconds_taken_ = kRemembering * seconds_taken_ + seconds;
  seconds_predicted_ = kRemembering * seconds_predicted_ + predicted;
}

SequenceUpdate Scheduler::AppendToken(Sequence& sequence, TokenId token, TimePoint now) {
  AUTOGLM_CHECK(token >= 0 && token < options_.vocab_size);
  if (sequence.num_tokens() == sequence.num_given()) sequence.times.first_token = now;
  sequence.times.last_token = now;
  sequence.tokens.push_back(token);

  const SamplingParams& sampling = sequence.request.sampling;
  if (!sampling.ignore_eos && std::ranges::count(options_.eos_tokens, token) > 0) return Finish(sequence, FinishReason::kStop);
  SequenceUpdate update = {.sequence = &sequence};
  if (sequence.num_generated() >= sampling.max_tokens || sequence.num_tokens() >= max_sequence_tokens_) {
    update = Finish(sequence, FinishReason::kLength);
  }
  update.token = token;
  return update;
}

SequenceUpdate Scheduler::Finish(Sequence& sequence, FinishReason reason) {
  if (sequence.state == SequenceState::kWaiting) waiting_.Remove(sequence);
  waiting_.Leave(sequence);
  if (reason == FinishReason::kStop || reason == FinishReason::kLength) {
    const auto count = static_cast<double>(sequence.num_generated());
    mean_answer_tokens_ = mean_answer_tokens_ == 0 ? count : 0.9 * mean_answer_tokens_ + 0.1 * count;
  }
  GiveBlocksBack(sequence);
  sequence.times.Ended(std::max(clock_.Now(), sequence.times.last_token));
  sequence.state = SequenceState::kFinished;
  return {.sequence = &sequence, .finish = reason};
}

void Scheduler::GiveBlocksBack(Sequence& sequence) {
  blocks_.Release(sequence.block_table);
  sequence.num_computed = 0;
}

void Scheduler::SettleRunning() {
  std::erase_if(running_, [](const Sequence* sequence) { return sequence->state != SequenceState::kRunning; });
}

double Scheduler::ExpectedAnswerTokens(int64_t max_tokens, int64_t num_generated) const {
  constexpr double kUnknownAnswer = 128;
  const double mean = mean_answer_tokens_ > 0 ? mean_answer_tokens_ : kUnknownAnswer;
  const auto generated = static_cast<double>(num_generated);
  // Who has written more than the mean is expected to write half as much again.
  return std::max(0.0, std::min(static_cast<double>(max_tokens), std::max(mean, 1.5 * generated)) - generated);
}

double Scheduler::Slowdown() const {
  constexpr double kMost = 8;
  return seconds_predicted_ > 0 ? std::clamp(seconds_taken_ / seconds_predicted_, 1 / kMost, kMost) : 1;
}

// One that has not begun is not begun in vain: what it would take would be lost for others.
bool Scheduler::ComesTooLate(const Sequence& sequence, TimePoint now, const LoadEstimate& costs) const {
  constexpr double kMargin = 1.25;  // predictions err
  const double left = Seconds(*sequence.request.deadline - now);
  if (left <= 0 || sequence.state != SequenceState::kWaiting || sequence.num_generated() > 0) return left <= 0;
  const double prompt = costs.slowdown * prompt_cost_.Seconds(0, sequence.num_prompt_tokens);
  return prompt + ExpectedAnswerTokens(sequence.request.sampling.max_tokens, 0) * costs.seconds_per_step > kMargin * left;
}

LoadEstimate Scheduler::EstimateLoad() const {
  PromptWork prompts;
  double answer_tokens = 0;
  ForEachLive([&](const Sequence& sequence) {
    prompts.Add(sequence.num_computed, IsDecoding(sequence) ? 0 : sequence.num_to_compute());
    answer_tokens += ExpectedAnswerTokens(sequence.request.sampling.max_tokens, sequence.num_generated());
  });
  LoadEstimate load = CostsNow();
  load.prompt_backlog_seconds = load.slowdown * prompt_cost_.Seconds(prompts);
  load.backlog_seconds = load.prompt_backlog_seconds + answer_tokens * load.seconds_per_answer_token;
  return load;
}

// All but the backlog.
LoadEstimate Scheduler::CostsNow() const {
  LoadEstimate load{.prompt_cost = prompt_cost_, .slowdown = Slowdown(), .mean_answer_tokens = mean_answer_tokens_};
  const int64_t num_streams = std::clamp<int64_t>(num_waiting() + num_running(), 1, options_.max_running);
  const double plain_seconds = load.slowdown * decode_cost_.PlainSeconds(num_streams);
  load.seconds_per_answer_token = plain_seconds / static_cast<double>(num_streams);
  // While prompts keep coming, a step is longer by what they may add.
  const double most = options_.budget.prompt_seconds_with_decode;
  const bool has_prompts = std::ranges::any_of(running_, [](const Sequence* sequence) { return !IsDecoding(*sequence); });
  load.seconds_per_step = plain_seconds + (has_prompts || !waiting_.empty() ? most : 0);
  if (most > 0 && plain_seconds > 0) load.prompt_share = most / (most + plain_seconds);
  return load;
}

}  // namespace autoglm
