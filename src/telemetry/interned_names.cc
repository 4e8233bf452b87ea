#include "telemetry/interned_names.h"

#include <array>
#include <atomic>
#include <functional>
#include <mutex>

namespace autoglm {
namespace {

constexpr size_t kMaxNameBytes = 200;
constexpr std::string_view kOther = "other";
constexpr uint16_t kOtherIndex = 1;

std::atomic<uint64_t> last_serial{0};

// A name of a table, which holds its text.
struct Remembered {
  uint64_t serial = 0;
  std::string_view name;
  uint16_t index = 0;
};

Remembered& PlaceFor(std::string_view name) {
  constexpr size_t kPlaces = 256;
  thread_local std::array<Remembered, kPlaces> places;
  return places[std::hash<std::string_view>()(name) % kPlaces];
}

}  // namespace

InternedNames::InternedNames(uint16_t max_names)
    : serial_(++last_serial), max_names_(max_names), names_{"", std::string(kOther)} {
  indices_ = {{names_[0], 0}, {names_[1], kOtherIndex}};
}

uint16_t InternedNames::IndexOf(std::string_view name) {
  if (name.empty()) return 0;
  name = name.substr(0, kMaxNameBytes);
  Remembered& place = PlaceFor(name);
  if (place.serial == serial_ && place.name == name) return place.index;
  const uint16_t index = LookUp(name);
  if (index != kOtherIndex) place = {.serial = serial_, .name = NameOf(index), .index = index};
  return index;
}

uint16_t InternedNames::LookUp(std::string_view name) {
  {
    const std::shared_lock lock(mutex_);
    if (const auto found = indices_.find(name); found != indices_.end()) return found->second;
    if (names_.size() >= max_names_) return kOtherIndex;
  }
  const std::unique_lock lock(mutex_);
  if (const auto found = indices_.find(name); found != indices_.end()) return found->second;
  if (names_.size() >= max_names_) return kOtherIndex;
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
