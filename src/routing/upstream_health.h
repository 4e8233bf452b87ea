#pragma once

#include <string_view>

#include "base/clock.h"
#include "routing/circuit_breaker.h"

namespace autoglm::routing {

struct HealthOptions {
  int probes_to_fall = 3;  // that fail, one after the other
  int probes_to_rise = 2;  // that succeed
  Duration slow_start =
      std::chrono::seconds(10);  // from when an upstream comes back until it gets its whole share; zero: at once
  BreakerOptions breaker;

  bool operator==(const HealthOptions&) const = default;
};

// Why an upstream is asked, or is not.
enum class Availability { kAvailable, kProbesFail, kBreakerOpen, kEjected, kDraining };
std::string_view AvailabilityName(Availability availability);

// Whether one upstream may be asked: what probes found, what its breaker says, whether it was ejected as an outlier (by
// OutlierDetector) or is to be drained.
class UpstreamHealth {
 public:
  explicit UpstreamHealth(const HealthOptions& options) : options_(options), breaker_(options.breaker) {}

  Availability At(TimePoint now) const;
  bool is_up() const { return is_up_; }
  // Of its weight: from a tenth on, when it comes back, to all of it.
  double Share(TimePoint now) const;

  void OnProbe(bool succeeded, TimePoint now);
  void Eject(TimePoint until);
  void SetDraining(bool is_draining) { is_draining_ = is_draining; }

  CircuitBreaker::Pass Enter(TimePoint now) { return breaker_.Enter(now); }
  void OnSuccess(CircuitBreaker::Pass pass, TimePoint now);
  void OnFailure(CircuitBreaker::Pass pass, TimePoint now) { breaker_.OnFailure(pass, now); }
  void OnAbandoned(CircuitBreaker::Pass pass) { breaker_.OnAbandoned(pass); }

  const CircuitBreaker& breaker() const { return breaker_; }

 private:
  HealthOptions options_;
  CircuitBreaker breaker_;
  bool is_up_ = true;  // as probes say
  int num_probes_against_ = 0;
  bool is_draining_ = false;
  TimePoint ejected_until_ = TimePoint::min();
  TimePoint back_since_ = TimePoint::min();
};

}  // namespace autoglm::routing
