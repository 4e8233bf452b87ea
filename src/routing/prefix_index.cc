#include "routing/prefix_index.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>

namespace autoglm::routing {
namespace {

// Both stay below 2^32 for a century, and the least is above 0, which stands for never.
uint32_t WholeSeconds(TimePoint time) {
  return static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count() + 1);
}

}  // namespace

std::vector<uint64_t> PrefixBlocksOf(std::string_view prompt, uint64_t salt, size_t max_blocks) {
  std::vector<uint64_t> blocks(std::min(prompt.size() / kPrefixBlockBytes, max_blocks));
  uint64_t name = salt;
  for (size_t i = 0; i < blocks.size(); ++i) {
    blocks[i] = name = XXH3_64bits_withSeed(prompt.data() + i * kPrefixBlockBytes, kPrefixBlockBytes, name);
  }
  return blocks;
}

PrefixIndex::PrefixIndex(const PrefixIndexOptions& options)
    : lifetime_s_(static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(options.lifetime).count())),
      set_mask_(std::bit_ceil(std::max<size_t>(options.max_blocks, kWays)) / kWays - 1),
      entries_((set_mask_ + 1) * kWays) {}

const PrefixIndex::Entry* PrefixIndex::Find(uint64_t block, uint32_t oldest_s) const {
  const Entry* set = &entries_[(block & set_mask_) * kWays];
  for (size_t way = 0; way < kWays; ++way) {
    if (set[way].block == block && set[way].used_s >= oldest_s) return &set[way];
  }
  return nullptr;
}

void PrefixIndex::Find(std::span<const uint64_t> blocks, TimePoint now, std::vector<Match>& matches) const {
  matches.clear();
  const uint32_t now_s = WholeSeconds(now);
  const uint32_t oldest_s = std::max<uint32_t>(1, now_s - std::min(now_s, lifetime_s_));
  for (size_t i = 0; i < blocks.size(); ++i) {
    const Entry* entry = Find(blocks[i], oldest_s);
    if (entry == nullptr) return;
    bool goes_on = false;
    for (const uint16_t holder : entry->holders) {
      if (holder == 0) break;
      if (i == 0) matches.push_back({.upstream = holder});
      const auto match = std::ranges::find(matches, holder, &Match::upstream);
      if (match == matches.end() || match->num_blocks != static_cast<int64_t>(i)) continue;
      ++match->num_blocks;
      goes_on = true;
    }
    if (!goes_on) return;
  }
}

// Where the block is, or the oldest of its set.
PrefixIndex::Entry& PrefixIndex::Place(uint64_t block) {
  Entry* set = &entries_[(block & set_mask_) * kWays];
  Entry* oldest = set;
  for (size_t way = 0; way < kWays; ++way) {
    if (set[way].block == block) return set[way];
    if (set[way].used_s < oldest->used_s) oldest = &set[way];
  }
  *oldest = {.block = block};
  return *oldest;
}

void PrefixIndex::Insert(std::span<const uint64_t> blocks, uint16_t upstream, TimePoint now) {
  const uint32_t now_s = WholeSeconds(now);
  for (const uint64_t block : blocks) {
    Entry& entry = Place(block);
    entry.used_s = now_s;
    auto& holders = entry.holders;
    const auto place = std::ranges::find(holders, upstream);
    std::shift_right(holders.begin(), place == holders.end() ? place : place + 1, 1);
    holders[0] = upstream;
  }
}

void PrefixIndex::Forget(uint16_t upstream) {
  for (Entry& entry : entries_) {
    const auto rest = std::ranges::remove(entry.holders, upstream);
    std::ranges::fill(rest, uint16_t{0});
  }
}

}  // namespace autoglm::routing
