#pragma once

#include <span>

#include "routing/upstream.h"

namespace autoglm::routing {

// How well each of the candidates suits a request: scores[i] of candidates[i], higher is better. A difference of 1 is a strong
// reason, whatever it is about, so that weights of one policy mean alike. There is at least one candidate.
using Scorer = void (*)(const RoutingRequest& request, std::span<const Candidate> candidates, std::span<double> scores);

// 0 at the mean load, -1 at twice the mean: beta of vLLM production-stack's load-aware score is the weight.
void ScoreLoad(const RoutingRequest& request, std::span<const Candidate> candidates, std::span<double> scores);
// The same of the time that the request would take there: response time, with penalties, times load. Who was never asked is taken
// for the quickest.
void ScoreResponseTime(const RoutingRequest& request, std::span<const Candidate> candidates, std::span<double> scores);
// The part of the prompt that it has or was sent before: 0 to 1.
void ScorePrefix(const RoutingRequest& request, std::span<const Candidate> candidates, std::span<double> scores);
// 1 for the session's own upstream, 0 for others: by rendezvous hashing, so that gateways agree without talking, and few sessions
// move when upstreams come and go.
void ScoreSession(const RoutingRequest& request, std::span<const Candidate> candidates, std::span<double> scores);
// 1 in the client's region; elsewhere, or where it is not known, up to 1/2, the nearer by measured round trip the more.
void ScoreRegion(const RoutingRequest& request, std::span<const Candidate> candidates, std::span<double> scores);
// By the replica's own report: 1 idle, 0 where requests wait or its memory for keys and values is full; without one 1/2.
void ScoreBusy(const RoutingRequest& request, std::span<const Candidate> candidates, std::span<double> scores);

// 0 for a cost that is the mean, -1 for twice the mean; differences below `least` in the mean count as if it were the mean.
void ScoreBelowMean(std::span<double> costs_to_scores, double least);

}  // namespace autoglm::routing
