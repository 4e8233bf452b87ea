#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "routing/scorers/scorers.h"

namespace autoglm::routing {

// Who of the candidates is taken, by their scores.
enum class Picker {
  kBest,        // the highest score; among equal ones by chance
  kTwoChoices,  // the better of two that are drawn: many gateways that know the same do not all choose the same
  kInTurn,      // each in its turn, as often as its weight says, spread evenly; scores do not count
  kRandom,      // by chance, as often as its weight says; scores do not count
};

struct WeightedScorer {
  std::string_view name;
  Scorer scorer = nullptr;
  double weight = 1;
};

// How a request finds its upstream: filters, which are the same for all policies (UpstreamPool), then the weighted sum of scores,
// then the picker.
struct Policy {
  std::vector<WeightedScorer> scorers;
  Picker picker = Picker::kBest;
  // Upstreams that answer slower in the mean are left out while there are others.
  std::optional<Duration> response_time_below;

  bool UsesPrefix() const;
};

// Of these names: round_robin, random, least_connections, power_of_two, response_time, prefix_aware, session_affinity,
// nearest_region, least_busy. Errors: kInvalidArgument, with all of them.
Result<Policy> PolicyByName(std::string_view name);

// A policy of scorers by name (load, response_time, prefix, session, region, busy) and weight. Errors: kInvalidArgument.
Result<WeightedScorer> ScorerByName(std::string_view name, double weight);

}  // namespace autoglm::routing
