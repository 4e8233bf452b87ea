#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "scheduler/sequence.h"

namespace autoglm {

// What a token that was generated counts in service, where a prompt token that was computed counts 1 (Sheng et al., "Fairness in
// Serving Large Language Models", 2024).
inline constexpr double kAnswerTokenService = 2;

// The line in which requests of all tenants stand: by place within a tenant, and between tenants by the service each has had, so
// that those who always have something waiting get equal shares, however many requests they send (a virtual token counter for
// each). A tenant that comes back begins no lower than the least served of those present: nobody saves up.
//
// Priorities and classes count between tenants as well: a request stands there as if its tenant had had less service, by what the
// engine serves in Sequence::allowance seconds. So urgent requests go first until their tenant is that far ahead, and no tenant
// waits for another one longer than that.
class TenantLine {
 public:
  // A tenant is present from its first Enter to its last Leave.
  void Enter(const Sequence& sequence);
  void Leave(const Sequence& sequence);

  // Takes a sequence into the line, or out of it.
  void Add(Sequence& sequence);
  void Remove(const Sequence& sequence);

  int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Leaves in `line` the order in which prompts are to be served now: all of `computing` (in order of place) and the first
  // `max_waiting` of those that wait.
  void Arrange(std::span<Sequence* const> computing, int64_t max_waiting, std::vector<Sequence*>& line);

  // A tenant got so many tokens' worth of service.
  void Charge(const Sequence& sequence, double service);
  // A step served so much in so many seconds.
  void LearnRate(double service, double seconds);
  // What a tenant has had since it is present, and what it was lifted to; 0 where it is not known.
  double service(uint64_t tenant) const;

  // Calls visit(Sequence&) for all that wait.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const auto& [id, tenant] : tenants_) {
      for (Sequence* sequence : tenant.waiting) visit(*sequence);
    }
  }

  // Waiting sequences are in the right state, of the right tenant and in order of place; counts agree.
  Status CheckIntegrity() const;

 private:
  struct Tenant {
    double service = 0;
    int64_t num_present = 0;
    std::vector<Sequence*> waiting;    // in order of place
    std::vector<Sequence*> computing;  // scratch of Arrange
    size_t next_waiting = 0;           // the same
    size_t next_computing = 0;
    double planned = 0;  // service that the line so far would give it

    const Sequence* Next() const;
  };

  Tenant& Of(const Sequence& sequence);
  double LeastService() const;
  double KeyOf(const Tenant& tenant, const Sequence& next) const;
  void ForgetAbsent();

  std::map<uint64_t, Tenant> tenants_;  // present ones, and absent ones that were ahead of the least served when they left
  std::vector<Tenant*> heads_;          // scratch of Arrange
  int64_t size_ = 0;
  int64_t num_present_ = 0;          // tenants
  double service_per_second_ = 500;  // until it is learned
};

}  // namespace autoglm
