#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace autoglm::routing {

// Text of a prompt in one block.
inline constexpr size_t kPrefixBlockBytes = 256;

// Names of the whole blocks of a prompt's beginning: each stands for its text and all text before it. `salt` keeps tenants apart;
// at most max_blocks.
std::vector<uint64_t> PrefixBlocksOf(std::string_view prompt, uint64_t salt, size_t max_blocks = 1024);

struct PrefixIndexOptions {
  size_t max_blocks = 1 << 17;                   // 24 bytes each, taken at once; rounded up to a power of two
  Duration lifetime = std::chrono::minutes(10);  // since it was last sent: what upstreams keep longer is not known

  bool operator==(const PrefixIndexOptions&) const = default;
};

// Which upstreams were sent which beginnings of prompts, so that the next request goes where its beginning is cached. A guess:
// what an upstream has evicted since is not known here. The four upstreams that were sent a block last are remembered.
//
// A table of fixed size in sets of four: no call allocates, a new block replaces the oldest of its set.
class PrefixIndex {
 public:
  struct Match {
    uint16_t upstream = 0;
    int64_t num_blocks = 0;  // from the first on
  };

  explicit PrefixIndex(const PrefixIndexOptions& options);

  // Upstreams that were sent a beginning of these blocks, and how long a one. `matches` is written anew.
  void Find(std::span<const uint64_t> blocks, TimePoint now, std::vector<Match>& matches) const;
  // The upstream, a number above 0, was sent these blocks.
  void Insert(std::span<const uint64_t> blocks, uint16_t upstream, TimePoint now);
  // It has lost what it had: it was started anew, or is no longer there.
  void Forget(uint16_t upstream);

 private:
  static constexpr size_t kWays = 4;
  static constexpr size_t kHolders = 4;
  struct Entry {
    uint64_t block = 0;
    uint32_t used_s = 0;                          // since the clock's beginning
    std::array<uint16_t, kHolders> holders = {};  // the latest first; 0: none
  };

  const Entry* Find(uint64_t block, uint32_t oldest_s) const;
  Entry& Place(uint64_t block);

  uint32_t lifetime_s_;
  size_t set_mask_ = 0;
  std::vector<Entry> entries_;  // [sets][kWays]
};

}  // namespace autoglm::routing
