#include "telemetry/interned_names.h"

#include <mutex>

namespace autoglm {
namespace {

constexpr size_t kMaxNameBytes = 200;
constexpr std::string_view kOther = "other";

}  // namespace

InternedNames::InternedNames(uint16_t max_names) : max_names_(max_names), names_{"", std::string(kOther)} {
  indices_ = {{names_[0], 0}, {names_[1], 1}};
}

uint16_t InternedNames::IndexOf(std::string_view name) {
  if (name.empty()) return 0;
  name = name.substr(0, kMaxNameBytes);
  {
    const std::shared_lock lock(mutex_);
    if (const auto found = indices_.find(name); found != indices_.end()) return found->second;
    if (names_.size() >= max_names_) return indices_.at(kOther);
  }
  const std::unique_lock lock(mutex_);
  if (const auto found = indices_.find(name); found != indices_.end()) return found->second;
  if (names_.size() >= max_names_) return indices_.at(kOther);
  const auto index = static_cast<uint16_t>(names_.size());
  names_.emplace_back(name);
  indices_.emplace(names_.back(), index);
  return index;
}

std::string_view InternedNames::NameOf(uint16_t index) const {
  const std::shared_lock lock(mutex_);
  return index < names_.size() ? std::string_view(names_[index]) : std::string_view();
}

}  // namespace autoglm
