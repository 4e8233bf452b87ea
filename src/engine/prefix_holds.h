#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "kvcache/block_manager.h"

namespace autoglm {

// Prefixes that are kept from eviction under a name, because somebody will go on from them. They yield to requests that could
// never run otherwise, the longest unused first.
//
// Called by the thread that owns the block manager.
class PrefixHolds {
 public:
  // No more than `max_blocks` are held together. The manager outlives the holds.
  PrefixHolds(BlockManager& blocks, int64_t max_blocks) : blocks_(blocks), max_blocks_(max_blocks) {}
  ~PrefixHolds() { ReleaseAll(); }
  PrefixHolds(const PrefixHolds&) = delete;
  PrefixHolds& operator=(const PrefixHolds&) = delete;

  // Holds what is known of the prefix, in place of what the name held. How many tokens that is. Errors: kResourceExhausted where
  // that is too much beside the others; the name holds nothing then.
  Result<int64_t> Hold(const std::string& name, std::span<const TokenId> tokens, const CacheScope& scope);
  void Release(const std::string& name);
  // False where nothing is held.
  bool ReleaseOldest();
  void ReleaseAll();

  int64_t num_blocks() const { return num_blocks_; }
  // Valid until the next call.
  std::vector<const BlockTable*> tables() const;

 private:
  struct Held {
    std::string name;
    BlockTable table;
  };

  void Release(std::list<Held>::iterator held);

  BlockManager& blocks_;
  const int64_t max_blocks_;
  std::list<Held> held_;    // the longest unused first
  int64_t num_blocks_ = 0;  // entries of all tables: a block that two names hold counts twice
};

}  // namespace autoglm
