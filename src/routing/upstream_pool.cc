#include "routing/upstream_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "base/check.h"
#include "base/random.h"
#include "routing/response_time.h"

namespace autoglm::routing {
namespace {

constexpr double kRoundTripMemorySeconds = 60;

// Why an upstream is no candidate.
constexpr std::string_view kOtherModel = "serves other models";
constexpr std::string_view kContextTooLong = "context too long for it";
constexpr std::string_view kBusy = "has as many requests as it may";
constexpr std::string_view kTried = "tried already";
constexpr std::string_view kForLonger = "kept for longer contexts";
constexpr std::string_view kRests = "asked to be left alone";
constexpr std::string_view kTooSlow = "slower than the threshold";

// An upstream that refuses quickly looks idle and would be sent everything. What it asks for is obeyed up to here.
constexpr std::chrono::seconds kLongestRest{5};

bool Serves(const UpstreamSpec& spec, std::string_view model) {
  return spec.models.empty() || std::ranges::find(spec.models, model) != spec.models.end();
}

}  // namespace

// Belongs to the pool's lock, but for its name.
struct UpstreamState {
  UpstreamState(UpstreamSpec own_spec, uint16_t own_slot, const PoolOptions& options)
      : name(own_spec.name),
        spec(std::move(own_spec)),
        slot(own_slot),
        health(options.health),
        response(options.response_time_memory),
        round_trip(DurationFromSeconds(kRoundTripMemorySeconds)) {}

  const std::string name;
  UpstreamSpec spec;
  uint16_t slot;  // in the prefix index
  UpstreamHealth health;
  OutlierCounts outlier;
  ResponseTime response;
  ResponseTime round_trip;
  std::optional<UpstreamReport> report;
  int64_t num_inflight = 0;
  int64_t num_requests = 0;
  int64_t num_failures = 0;
  TimePoint rests_until = TimePoint::min();  // it refused a request, and said until when
  double turn = 0;                           // of Picker::kInTurn

  double HeldPrefixes(TimePoint now, Duration lifetime) const {
    return held_prefixes * std::exp(-Seconds(now - held_since) / Seconds(lifetime));
  }
  double held_prefixes = 0;  // at `held_since`
  TimePoint held_since{};
};

struct UpstreamPool::Impl {
  Impl(PoolOptions pool_options, const Clock& real_clock)
      : options(std::move(pool_options)),
        clock(real_clock),
        outliers(options.outlier),
        prefixes(options.policy.UsesPrefix() ? options.prefix : PrefixIndexOptions{.max_blocks = 1}),
        random(options.seed) {}

  // Candidates of one decision, and why others are none.
  struct Field {
    std::vector<Candidate> candidates;
    std::vector<std::string_view> left_out;  // by upstream; empty: a candidate
    std::vector<PrefixIndex::Match> matches;
    std::vector<double> scores, totals;
  };

  void Gather(const RoutingRequest& request, TimePoint now, Field& field) const;
  static double MatchedShare(const RoutingRequest& request, const UpstreamState& state, const Field& field);
  void LeaveOutSoftly(const RoutingRequest& request, Field& field) const;
  template <typename IsLeftOut>
  static void LeaveOutWhileOthersAreLeft(Field& field, std::string_view why, const IsLeftOut& is_left_out);
  void Score(const RoutingRequest& request, Field& field) const;
  size_t Pick(const Field& field);
  size_t PickInTurn(const Field& field);
  size_t PickByWeight(const Field& field);
  size_t PickBest(const Field& field);
  size_t BetterOfTwo(const Field& field);
  Error WhyNobody(const RoutingRequest& request, const Field& field) const;
  void JudgeOutliers(TimePoint now);
  uint16_t FreeSlot() const;
  UpstreamState* Find(std::string_view name) const;

  const PoolOptions options;
  const Clock& clock;

  mutable std::mutex mutex;  // of all below
  std::vector<std::shared_ptr<UpstreamState>> upstreams;
  OutlierDetector outliers;
  PrefixIndex prefixes;
  Random random;
  Field scratch;  // of the decision that is made: its memory stays
};

// --- attempts

Attempt::Attempt(UpstreamPool& pool, std::shared_ptr<UpstreamState> state, CircuitBreaker::Pass pass, TimePoint begun,
                 double matched_share)
    : pool_(&pool), state_(std::move(state)), pass_(pass), begun_(begun), matched_share_(matched_share) {}

Attempt::Attempt(Attempt&& other) noexcept
    : pool_(other.pool_),
      state_(std::move(other.state_)),
      pass_(other.pass_),
      begun_(other.begun_),
      matched_share_(other.matched_share_) {
  other.state_ = nullptr;
}

Attempt::~Attempt() {
  if (state_ != nullptr) Finish(Outcome::kAbandoned);
}

const std::string& Attempt::upstream() const { return state_->name; }

void Attempt::OnFirstByte(Duration response_time) { pool_->OnFirstByte(*state_, response_time); }

void Attempt::Finish(Outcome outcome, Duration retry_after) {
  AUTOGLM_CHECK(state_ != nullptr);
  pool_->OnEnd(*state_, pass_, outcome, retry_after, begun_);
  state_ = nullptr;
}

// --- choosing

UpstreamPool::UpstreamPool(PoolOptions options, std::vector<UpstreamSpec> upstreams, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), clock)) {
  SetUpstreams(std::move(upstreams));
}

UpstreamPool::~UpstreamPool() = default;

Result<Attempt> UpstreamPool::Choose(const RoutingRequest& request) {
  const std::lock_guard lock(impl_->mutex);
  const TimePoint now = impl_->clock.Now();
  Impl::Field& field = impl_->scratch;
  impl_->Gather(request, now, field);
  if (field.candidates.empty()) return tl::unexpected(impl_->WhyNobody(request, field));
  impl_->Score(request, field);
  const Candidate& chosen = field.candidates[impl_->Pick(field)];
  const std::shared_ptr<UpstreamState>& state = impl_->upstreams[chosen.index];
  ++state->num_inflight;
  ++state->num_requests;
  // Now, not when the answer comes: the next one with this prefix may be close behind.
  if (impl_->options.policy.UsesPrefix()) {
    impl_->prefixes.Insert(request.prefix, state->slot, now);
    state->held_prefixes = chosen.held_prefixes + (1 - chosen.matched_share) * static_cast<double>(request.prefix.size());
    state->held_since = now;
  }
  return Attempt(*this, state, state->health.Enter(now), now, chosen.matched_share);
}

std::vector<Explanation> UpstreamPool::Explain(const RoutingRequest& request) const {
  const std::lock_guard lock(impl_->mutex);
  Impl::Field field;
  impl_->Gather(request, impl_->clock.Now(), field);
  std::vector<Explanation> explanations;
  explanations.reserve(impl_->upstreams.size());
  for (size_t i = 0; i < impl_->upstreams.size(); ++i) {
    explanations.push_back({.upstream = impl_->upstreams[i]->name, .left_out = field.left_out[i]});
  }
  if (field.candidates.empty()) return explanations;
  for (const WeightedScorer& scorer : impl_->options.policy.scorers) {
    field.scores.resize(field.candidates.size());
    scorer.scorer(request, field.candidates, field.scores);
    for (size_t i = 0; i < field.candidates.size(); ++i) {
      Explanation& explanation = explanations[field.candidates[i].index];
      explanation.scores.push_back(field.scores[i]);
      explanation.total += scorer.weight * field.scores[i];
    }
  }
  return explanations;
}

void UpstreamPool::Impl::Gather(const RoutingRequest& request, TimePoint now, Field& field) const {
  field.candidates.clear();
  field.left_out.assign(upstreams.size(), {});
  int64_t num_able = 0;
  int64_t num_healthy = 0;
  for (size_t i = 0; i < upstreams.size(); ++i) {
    const UpstreamState& state = *upstreams[i];
    const UpstreamSpec& spec = state.spec;
    const Availability availability = state.health.At(now);
    if (!Serves(spec, request.model)) {
      field.left_out[i] = kOtherModel;
    } else if (spec.most_context_tokens > 0 && request.context_tokens > spec.most_context_tokens) {
      field.left_out[i] = kContextTooLong;
    } else if (availability == Availability::kDraining) {
      field.left_out[i] = AvailabilityName(availability);
    } else {
      ++num_able;
      num_healthy += availability == Availability::kAvailable ? 1 : 0;
    }
  }
  const bool is_panic = static_cast<double>(num_healthy) < options.panic_below * static_cast<double>(num_able);
  if (options.policy.UsesPrefix()) prefixes.Find(request.prefix, now, field.matches);
  for (size_t i = 0; i < upstreams.size(); ++i) {
    const UpstreamState& state = *upstreams[i];
    std::string_view& left_out = field.left_out[i];
    if (!left_out.empty()) continue;
    const Availability availability = state.health.At(now);
    if (!is_panic && availability != Availability::kAvailable) {
      left_out = AvailabilityName(availability);
    } else if (std::ranges::find(request.except, state.name) != request.except.end()) {
      left_out = kTried;
    } else if (state.spec.max_inflight > 0 && state.num_inflight >= state.spec.max_inflight) {
      left_out = kBusy;
    }
    if (!left_out.empty()) continue;
    Candidate candidate{.spec = &state.spec,
                        .index = i,
                        .num_inflight = state.num_inflight,
                        .share = state.health.Share(now),
                        .rests = now < state.rests_until,
                        .response_seconds = state.response.SecondsAt(now),
                        .round_trip_seconds = state.round_trip.SecondsAt(now),
                        .report = state.report};
    if (options.policy.UsesPrefix()) {
      candidate.matched_share = MatchedShare(request, state, field);
      candidate.held_prefixes = state.HeldPrefixes(now, options.prefix.lifetime);
    }
    field.candidates.push_back(candidate);
  }
  LeaveOutSoftly(request, field);
}

double UpstreamPool::Impl::MatchedShare(const RoutingRequest& request, const UpstreamState& state, const Field& field) {
  const auto exact = std::ranges::lower_bound(request.exact, state.name, {}, &PrefixMatch::upstream);
  if (exact != request.exact.end() && exact->upstream == state.name && request.prompt_tokens > 0) {
    return static_cast<double>(exact->num_tokens) / static_cast<double>(request.prompt_tokens);
  }
  const auto match = std::ranges::find(field.matches, state.slot, &PrefixIndex::Match::upstream);
  if (match == field.matches.end()) return 0;
  return static_cast<double>(match->num_blocks) / static_cast<double>(request.prefix.size());
}

void UpstreamPool::Impl::LeaveOutSoftly(const RoutingRequest& request, Field& field) const {
  if (request.context_tokens > 0) {
    LeaveOutWhileOthersAreLeft(field, kForLonger, [&](const Candidate& candidate) {
      return candidate.spec->least_context_tokens > request.context_tokens;
    });
  }
  LeaveOutWhileOthersAreLeft(field, kRests, [](const Candidate& candidate) { return candidate.rests; });
  if (options.policy.response_time_below) {
    const double most = Seconds(*options.policy.response_time_below);
    LeaveOutWhileOthersAreLeft(field, kTooSlow,
                               [&](const Candidate& candidate) { return candidate.response_seconds.value_or(0) >= most; });
  }
}

template <typename IsLeftOut>
void UpstreamPool::Impl::LeaveOutWhileOthersAreLeft(Field& field, std::string_view why, const IsLeftOut& is_left_out) {
  const auto num_left_out = std::ranges::count_if(field.candidates, is_left_out);
  if (num_left_out == 0 || num_left_out == std::ssize(field.candidates)) return;
  for (const Candidate& candidate : field.candidates) {
    if (is_left_out(candidate)) field.left_out[candidate.index] = why;
  }
  std::erase_if(field.candidates, is_left_out);
}

void UpstreamPool::Impl::Score(const RoutingRequest& request, Field& field) const {
  field.totals.assign(field.candidates.size(), 0);
  if (field.candidates.size() == 1) return;
  field.scores.resize(field.candidates.size());
  for (const WeightedScorer& scorer : options.policy.scorers) {
    scorer.scorer(request, field.candidates, field.scores);
    for (size_t i = 0; i < field.totals.size(); ++i) field.totals[i] += scorer.weight * field.scores[i];
  }
}

size_t UpstreamPool::Impl::Pick(const Field& field) {
  if (field.candidates.size() == 1) return 0;
  switch (options.policy.picker) {
    case Picker::kBest:
      return PickBest(field);
    case Picker::kTwoChoices:
      return BetterOfTwo(field);
    case Picker::kInTurn:
      return PickInTurn(field);
    case Picker::kRandom:
      return PickByWeight(field);
  }
  return 0;
}

// One draw among all that are as good as the best: reservoir sampling.
size_t UpstreamPool::Impl::PickBest(const Field& field) {
  constexpr double kEqual = 1e-9;
  size_t best = 0;
  uint64_t num_equal = 1;
  for (size_t i = 1; i < field.totals.size(); ++i) {
    const double more = field.totals[i] - field.totals[best];
    if (more > kEqual) {
      best = i;
      num_equal = 1;
    } else if (more >= -kEqual && random.NextBelow(++num_equal) == 0) {
      best = i;
    }
  }
  return best;
}

size_t UpstreamPool::Impl::BetterOfTwo(const Field& field) {
  const uint64_t count = field.candidates.size();
  const uint64_t one = random.NextBelow(count);
  const uint64_t drawn = random.NextBelow(count - 1);
  const uint64_t other = drawn < one ? drawn : drawn + 1;
  return field.totals[other] > field.totals[one] ? other : one;
}

// Smooth weighted round robin, as nginx has it: everyone comes nearer by its weight, and who is taken falls back by all of them.
size_t UpstreamPool::Impl::PickInTurn(const Field& field) {
  double all = 0;
  size_t first = 0;
  for (size_t i = 0; i < field.candidates.size(); ++i) {
    const Candidate& candidate = field.candidates[i];
    UpstreamState& state = *upstreams[candidate.index];
    state.turn += candidate.Capacity();
    all += candidate.Capacity();
    if (state.turn > upstreams[field.candidates[first].index]->turn) first = i;
  }
  upstreams[field.candidates[first].index]->turn -= all;
  return first;
}

size_t UpstreamPool::Impl::PickByWeight(const Field& field) {
  double all = 0;
  for (const Candidate& candidate : field.candidates) all += candidate.Capacity();
  double drawn = random.NextDouble() * all;
  for (size_t i = 0; i + 1 < field.candidates.size(); ++i) {
    drawn -= field.candidates[i].Capacity();
    if (drawn < 0) return i;
  }
  return field.candidates.size() - 1;
}

Error UpstreamPool::Impl::WhyNobody(const RoutingRequest& request, const Field& field) const {
  const auto all_are = [&](std::initializer_list<std::string_view> reasons) {
    return std::ranges::all_of(field.left_out,
                               [&](std::string_view why) { return std::ranges::find(reasons, why) != reasons.end(); });
  };
  if (upstreams.empty())
    return {.code = ErrorCode::kUnavailable, .message = "There is no server to take the request now.", .param = {}};
  if (all_are({kOtherModel})) {
    return {
        .code = ErrorCode::kNotFound, .message = fmt::format("The model '{}' does not exist.", request.model), .param = "model"};
  }
  if (all_are({kOtherModel, kContextTooLong})) {
    return {.code = ErrorCode::kContextLengthExceeded,
            .message = fmt::format("No server takes a context of {} tokens.", request.context_tokens),
            .param = "messages"};
  }
  std::string reasons;
  for (size_t i = 0; i < upstreams.size(); ++i) {
    if (field.left_out[i] == kOtherModel) continue;
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : ", ", upstreams[i]->name, field.left_out[i]);
  }
  const bool is_busy = std::ranges::find(field.left_out, kBusy) != field.left_out.end();
  return {.code = is_busy ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable,
          .message = "No server can take the request now (" + reasons + ")."};
}

// --- learning

void UpstreamPool::OnFirstByte(UpstreamState& state, Duration response_time) {
  const std::lock_guard lock(impl_->mutex);
  state.response.Observe(response_time, impl_->clock.Now());
}

void UpstreamPool::OnEnd(UpstreamState& state, CircuitBreaker::Pass pass, Outcome outcome, Duration retry_after,
                         TimePoint begun) {
  const std::lock_guard lock(impl_->mutex);
  const TimePoint now = impl_->clock.Now();
  --state.num_inflight;
  AUTOGLM_CHECK(state.num_inflight >= 0);
  switch (outcome) {
    case Outcome::kAnswered:
      state.health.OnSuccess(pass, now);
      ++state.outlier.num_requests;
      break;
    case Outcome::kOverloaded:
      // It works, and says that it has enough to do: neither a success nor a failure.
      state.health.OnAbandoned(pass);
      state.response.Penalize(retry_after, now);
      state.rests_until = std::max(state.rests_until, now + std::min<Duration>(retry_after, kLongestRest));
      break;
    case Outcome::kFailed:
    case Outcome::kUnreachable:
      state.health.OnFailure(pass, now);
      state.response.Penalize(retry_after, now);
      ++state.num_failures;
      ++state.outlier.num_requests;
      ++state.outlier.num_failures;
      break;
    case Outcome::kAbandoned: {
      state.health.OnAbandoned(pass);
      // One that always loses against a second attempt would else stay as quick as it once was.
      const std::optional<double> known = state.response.SecondsAt(now);
      if (known && Seconds(now - begun) > *known) state.response.Observe(now - begun, now);
      break;
    }
  }
  if (impl_->outliers.IsDue(now)) impl_->JudgeOutliers(now);
}

void UpstreamPool::Impl::JudgeOutliers(TimePoint now) {
  std::vector<OutlierCounts*> counts;
  counts.reserve(upstreams.size());
  for (const auto& state : upstreams) counts.push_back(&state->outlier);
  for (const size_t i : outliers.Judge(counts, now)) upstreams[i]->health.Eject(upstreams[i]->outlier.ejected_until);
}

UpstreamState* UpstreamPool::Impl::Find(std::string_view name) const {
  const auto found = std::ranges::find_if(upstreams, [&](const auto& state) { return state->name == name; });
  return found == upstreams.end() ? nullptr : found->get();
}

void UpstreamPool::OnProbe(std::string_view upstream, bool succeeded) {
  const std::lock_guard lock(impl_->mutex);
  UpstreamState* state = impl_->Find(upstream);
  if (state == nullptr) return;
  const TimePoint now = impl_->clock.Now();
  const bool was_down = state->health.At(now) == Availability::kProbesFail;
  state->health.OnProbe(succeeded, now);
  // It was away, so it was started anew, and its cache is empty.
  if (was_down && state->health.At(now) != Availability::kProbesFail) {
    impl_->prefixes.Forget(state->slot);
    state->held_prefixes = 0;
  }
}

void UpstreamPool::OnReport(std::string_view upstream, const UpstreamReport& report) {
  const std::lock_guard lock(impl_->mutex);
  if (UpstreamState* state = impl_->Find(upstream)) state->report = report;
}

void UpstreamPool::OnRoundTrip(std::string_view upstream, Duration round_trip) {
  const std::lock_guard lock(impl_->mutex);
  if (UpstreamState* state = impl_->Find(upstream)) state->round_trip.Observe(round_trip, impl_->clock.Now());
}

bool UpstreamPool::IsUp(std::string_view upstream) const {
  const std::lock_guard lock(impl_->mutex);
  const UpstreamState* state = impl_->Find(upstream);
  return state != nullptr && state->health.is_up();
}

bool UpstreamPool::SetDraining(std::string_view upstream, bool is_draining) {
  const std::lock_guard lock(impl_->mutex);
  UpstreamState* state = impl_->Find(upstream);
  if (state != nullptr) state->health.SetDraining(is_draining);
  return state != nullptr;
}

// --- who is there

uint16_t UpstreamPool::Impl::FreeSlot() const {
  uint16_t slot = 1;
  while (std::ranges::any_of(upstreams, [slot](const auto& state) { return state->slot == slot; })) ++slot;
  return slot;
}

void UpstreamPool::SetUpstreams(std::vector<UpstreamSpec> upstreams) {
  const std::lock_guard lock(impl_->mutex);
  std::vector<std::shared_ptr<UpstreamState>> before = std::exchange(impl_->upstreams, {});
  // Those that stay first: a new one must not get the slot of one that stays.
  std::vector<UpstreamSpec> fresh;
  for (UpstreamSpec& spec : upstreams) {
    AUTOGLM_CHECK(spec.weight > 0 && impl_->Find(spec.name) == nullptr);
    const auto known = std::ranges::find_if(before, [&](const auto& state) { return state->name == spec.name; });
    if (known == before.end()) {
      fresh.push_back(std::move(spec));
      continue;
    }
    (*known)->spec = std::move(spec);
    impl_->upstreams.push_back(std::move(*known));
    before.erase(known);
  }
  for (const auto& gone : before) impl_->prefixes.Forget(gone->slot);
  for (UpstreamSpec& spec : fresh) {
    impl_->upstreams.push_back(std::make_shared<UpstreamState>(std::move(spec), impl_->FreeSlot(), impl_->options));
  }
}

std::vector<UpstreamStatus> UpstreamPool::Status() const {
  const std::lock_guard lock(impl_->mutex);
  const TimePoint now = impl_->clock.Now();
  std::vector<UpstreamStatus> all;
  all.reserve(impl_->upstreams.size());
  for (const auto& state : impl_->upstreams) {
    all.push_back({.spec = state->spec,
                   .availability = state->health.At(now),
                   .breaker = state->health.breaker().state(now),
                   .share = state->health.Share(now),
                   .num_inflight = state->num_inflight,
                   .num_requests = state->num_requests,
                   .num_failures = state->num_failures,
                   .response_seconds = state->response.SecondsAt(now),
                   .round_trip_seconds = state->round_trip.SecondsAt(now),
                   .report = state->report});
  }
  return all;
}

int64_t UpstreamPool::num_inflight() const {
  const std::lock_guard lock(impl_->mutex);
  int64_t sum = 0;
  for (const auto& state : impl_->upstreams) sum += state->num_inflight;
  return sum;
}

}  // namespace autoglm::routing
