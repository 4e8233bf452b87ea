#include "routing/upstream_health.h"

#include <algorithm>

namespace autoglm::routing {
namespace {

constexpr double kLeastShare = 0.1;

}  // namespace

std::string_view AvailabilityName(Availability availability) {
  switch (availability) {
    case Availability::kAvailable:
      return "available";
    case Availability::kProbesFail:
      return "probes fail";
    case Availability::kBreakerOpen:
      return "breaker open";
    case Availability::kEjected:
      return "ejected";
    case Availability::kDraining:
      return "draining";
  }
  return "unknown";
}

Availability UpstreamHealth::At(TimePoint now) const {
  if (is_draining_) return Availability::kDraining;
  if (!is_up_) return Availability::kProbesFail;
  if (now < ejected_until_) return Availability::kEjected;
  return breaker_.Allows(now) ? Availability::kAvailable : Availability::kBreakerOpen;
}

double UpstreamHealth::Share(TimePoint now) const {
  const TimePoint since = std::max(back_since_, ejected_until_);
  if (since == TimePoint::min() || options_.slow_start <= Duration::zero() || now - since >= options_.slow_start) return 1;
  return std::max(kLeastShare, Seconds(now - since) / Seconds(options_.slow_start));
}

void UpstreamHealth::OnProbe(bool succeeded, TimePoint now) {
  if (succeeded == is_up_) {
    num_probes_against_ = 0;
    return;
  }
  if (++num_probes_against_ < (is_up_ ? options_.probes_to_fall : options_.probes_to_rise)) return;
  is_up_ = succeeded;
  num_probes_against_ = 0;
  if (is_up_) back_since_ = now;
}

void UpstreamHealth::Eject(TimePoint until) { ejected_until_ = std::max(ejected_until_, until); }

void UpstreamHealth::OnSuccess(CircuitBreaker::Pass pass, TimePoint now) {
  const bool was_closed = breaker_.state(now) == CircuitBreaker::State::kClosed;
  breaker_.OnSuccess(pass, now);
  if (!was_closed && breaker_.state(now) == CircuitBreaker::State::kClosed) back_since_ = now;
}

}  // namespace autoglm::routing
