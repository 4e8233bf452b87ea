#pragma once

#include <cstdint>
#include <deque>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace autoglm {

// Numbers for names of which there are few, such as models, routes and tenants, so that a record of fixed size can hold them.
// Bounded: beyond `max_names` every further one is "other". Any thread; each remembers the numbers that it last asked for, so
// that requests on many threads do not meet here.
class InternedNames {
 public:
  explicit InternedNames(uint16_t max_names = 4096);

  // 0 for the empty name.
  uint16_t IndexOf(std::string_view name);
  // Stays where it is for as long as the table does.
  std::string_view NameOf(uint16_t index) const;

 private:
  uint16_t LookUp(std::string_view name);

  const uint64_t serial_;  // no other table in this process has or had it
  const uint16_t max_names_;
  mutable std::shared_mutex mutex_;
  std::deque<std::string> names_;
  std::unordered_map<std::string_view, uint16_t> indices_;
};

}  // namespace autoglm
