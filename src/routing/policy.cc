#include "routing/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

namespace autoglm::routing {
namespace {

struct NamedScorer {
  std::string_view name;
  Scorer scorer;
};
constexpr NamedScorer kScorers[] = {{"load", ScoreLoad},     {"response_time", ScoreResponseTime},
                                    {"prefix", ScorePrefix}, {"session", ScoreSession},
                                    {"region", ScoreRegion}, {"busy", ScoreBusy}};

struct ScorerShare {
  std::string_view name;
  double weight;
};
struct NamedPolicy {
  std::string_view name;
  Picker picker;
  std::array<ScorerShare, 2> scorers;  // an empty name: none
};
// Where a first score says nothing, or is outweighed, the load decides.
constexpr NamedPolicy kPolicies[] = {
    {"round_robin", Picker::kInTurn, {}},
    {"random", Picker::kRandom, {}},
    {"least_connections", Picker::kBest, {{{"load", 1}}}},
    {"power_of_two", Picker::kTwoChoices, {{{"load", 1}}}},
    {"response_time", Picker::kBest, {{{"response_time", 1}}}},
    {"prefix_aware", Picker::kBest, {{{"prefix", 1}, {"load", 1}}}},
    {"session_affinity", Picker::kBest, {{{"session", 4}, {"load", 1}}}},
    {"nearest_region", Picker::kBest, {{{"region", 4}, {"load", 1}}}},
    {"least_busy", Picker::kBest, {{{"busy", 2}, {"load", 1}}}},
};

template <typename Table>
std::string NamesOf(const Table& table) {
  std::string names;
  for (const auto& entry : table) names += (names.empty() ? "" : ", ") + std::string(entry.name);
  return names;
}

}  // namespace

bool Policy::UsesPrefix() const {
  return std::ranges::any_of(scorers, [](const WeightedScorer& scorer) { return scorer.scorer == ScorePrefix; });
}

Result<WeightedScorer> ScorerByName(std::string_view name, double weight) {
  const auto* const found = std::ranges::find(kScorers, name, &NamedScorer::name);
  if (found == std::end(kScorers)) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("there is no scorer \"{}\"; there are: {}", name, NamesOf(kScorers)));
  }
  if (!std::isfinite(weight) || weight < 0) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("the weight of {} must be 0 or more, not {}", name, weight));
  }
  return WeightedScorer{.name = found->name, .scorer = found->scorer, .weight = weight};
}

Result<Policy> PolicyByName(std::string_view name) {
  const auto* const found = std::ranges::find(kPolicies, name, &NamedPolicy::name);
  if (found == std::end(kPolicies)) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("there is no policy \"{}\"; there are: {}", name, NamesOf(kPolicies)));
  }
  Policy policy{.picker = found->picker};
  for (const ScorerShare& share : found->scorers) {
    if (!share.name.empty()) policy.scorers.push_back(*ScorerByName(share.name, share.weight));
  }
  return policy;
}

}  // namespace autoglm::routing
