#include "scheduler/tenant_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace autoglm {
namespace {

// Tenants that are remembered after they left, so that nobody loses its debt by a moment's absence.
constexpr size_t kMaxAbsent = 1024;
constexpr double kRateMemory = 0.95;

}  // namespace

TenantLine::Tenant& TenantLine::Of(const Sequence& sequence) {
  const auto found = tenants_.find(sequence.request.tenant);
  AUTOGLM_CHECK(found != tenants_.end());
  return found->second;
}

double TenantLine::LeastService() const {
  double least = std::numeric_limits<double>::infinity();
  for (const auto& [id, tenant] : tenants_) {
    if (tenant.num_present > 0) least = std::min(least, tenant.service);
  }
  return least;
}

void TenantLine::Enter(const Sequence& sequence) {
  Tenant& tenant = tenants_[sequence.request.tenant];
  if (tenant.num_present == 0) {
    if (num_present_ > 0) tenant.service = std::max(tenant.service, LeastService());
    ++num_present_;
  }
  ++tenant.num_present;
}

void TenantLine::Leave(const Sequence& sequence) {
  if (--Of(sequence).num_present > 0) return;
  if (--num_present_ == 0) {
    tenants_.clear();  // nobody is left to be fair to
  } else {
    ForgetAbsent();
  }
}

void TenantLine::ForgetAbsent() {
  const double least = LeastService();
  std::erase_if(tenants_, [&](const auto& entry) { return entry.second.num_present == 0 && entry.second.service <= least; });
  if (tenants_.size() <= static_cast<size_t>(num_present_) + kMaxAbsent) return;
  std::erase_if(tenants_, [](const auto& entry) { return entry.second.num_present == 0; });
}

void TenantLine::Add(Sequence& sequence) {
  std::vector<Sequence*>& waiting = Of(sequence).waiting;
  waiting.insert(std::ranges::upper_bound(waiting, sequence.place(), {}, &Sequence::place), &sequence);
  ++size_;
}

void TenantLine::Remove(const Sequence& sequence) {
  std::vector<Sequence*>& waiting = Of(sequence).waiting;
  const auto found = std::ranges::lower_bound(waiting, sequence.place(), {}, &Sequence::place);
  AUTOGLM_CHECK(found != waiting.end() && *found == &sequence);
  waiting.erase(found);
  --size_;
}

void TenantLine::Charge(const Sequence& sequence, double service) { Of(sequence).service += service; }

void TenantLine::LearnRate(double service, double seconds) {
  if (service <= 0 || seconds <= 0) return;
  service_per_second_ = kRateMemory * service_per_second_ + (1 - kRateMemory) * service / seconds;
}

double TenantLine::service(uint64_t tenant) const {
  const auto found = tenants_.find(tenant);
  return found == tenants_.end() ? 0 : found->second.service;
}

// The earlier by place of those that compute and those that wait; null where neither is left.
const Sequence* TenantLine::Tenant::Next() const {
  const Sequence* first = next_computing < computing.size() ? computing[next_computing] : nullptr;
  const Sequence* second = next_waiting < waiting.size() ? waiting[next_waiting] : nullptr;
  if (first == nullptr || second == nullptr) return first != nullptr ? first : second;
  return first->place() < second->place() ? first : second;
}

double TenantLine::KeyOf(const Tenant& tenant, const Sequence& next) const {
  return tenant.service + tenant.planned + Seconds(next.allowance) * service_per_second_;
}

void TenantLine::Arrange(std::span<Sequence* const> computing, int64_t max_waiting, std::vector<Sequence*>& line) {
  line.clear();
  heads_.clear();
  for (auto& [id, tenant] : tenants_) {
    tenant.computing.clear();
    tenant.next_waiting = tenant.next_computing = 0;
    tenant.planned = 0;
    if (tenant.num_present > 0) heads_.push_back(&tenant);
  }
  for (Sequence* sequence : computing) Of(*sequence).computing.push_back(sequence);
  int64_t num_left = max_waiting;
  const auto is_before = [this](const Tenant* one, const Tenant* other) {
    const Sequence& first = *one->Next();
    const Sequence& second = *other->Next();
    const double first_key = KeyOf(*one, first);
    const double second_key = KeyOf(*other, second);
    return first_key != second_key ? first_key < second_key : first.place() < second.place();
  };
  while (true) {
    std::erase_if(heads_, [](const Tenant* tenant) { return tenant->Next() == nullptr; });
    if (heads_.empty()) return;
    Tenant& tenant = **std::ranges::min_element(heads_, is_before);
    const Sequence* next = tenant.Next();
    const bool waits = tenant.next_waiting < tenant.waiting.size() && tenant.waiting[tenant.next_waiting] == next;
    if (waits && num_left-- == 0) {
      for (Tenant* other : heads_) other->next_waiting = other->waiting.size();
      continue;
    }
    line.push_back(waits ? tenant.waiting[tenant.next_waiting++] : tenant.computing[tenant.next_computing++]);
    tenant.planned += static_cast<double>(next->num_to_compute());
  }
}

Status TenantLine::CheckIntegrity() const {
  const auto broken = [](std::string what) { return Fail(ErrorCode::kInternal, "tenant line: " + std::move(what)); };
  int64_t num_waiting = 0;
  int64_t num_present = 0;
  for (const auto& [id, tenant] : tenants_) {
    num_present += tenant.num_present > 0 ? 1 : 0;
    num_waiting += std::ssize(tenant.waiting);
    const Sequence* last = nullptr;
    for (const Sequence* sequence : tenant.waiting) {
      if (sequence->state != SequenceState::kWaiting || sequence->request.tenant != id) {
        return broken(fmt::format("sequence {} does not belong there", sequence->arrival));
      }
      if (last != nullptr && sequence->place() <= last->place()) {
        return broken(fmt::format("sequence {} is out of order", sequence->arrival));
      }
      last = sequence;
    }
    if (std::ssize(tenant.waiting) > tenant.num_present)
      return broken(fmt::format("tenant {} has more waiting than present", id));
  }
  if (num_waiting != size_ || num_present != num_present_) {
    return broken(
        fmt::format("{} wait and {} tenants are present, counted as {} and {}", num_waiting, num_present, size_, num_present_));
  }
  return {};
}

}  // namespace autoglm
