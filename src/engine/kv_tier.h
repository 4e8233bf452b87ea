#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/cancel_token.h"
#include "base/clock.h"
#include "base/result.h"
#include "engine/compressed_tier.h"
#include "engine/kv_cache.h"
#include "kvstore/block_store.h"
#include "scheduler/scheduler.h"

namespace autoglm {

// Where prefixes go that shall outlive the memory and the process.
struct KvDiskOptions {
  std::filesystem::path folder;  // empty: nowhere
  int64_t max_bytes = BlockStoreOptions().max_bytes;
  std::shared_ptr<const BlockFiles> files = std::make_shared<BlockFiles>();  // a test's disk
};

// Where prefixes go that the KV memory has no room for.
struct KvTierOptions {
  int64_t compressed_bytes = 0;  // of memory; 0: none
  KvDiskOptions disk;
};

struct KvTierStats {
  CompressedBlocksStats compressed;
  BlockStoreStats disk;
};

// The prefixes of one engine below its KV memory: compressed (CompressedTier), and on the disk. When a sequence has ended, its
// blocks are written; when a request comes whose prefix goes on in one of the two, and having it from there is quicker than
// computing it, the request waits, outside the scheduler, until the blocks are in the tree.
//
// What is read into or written from is kept from eviction by tables, which the scheduler must reckon with: no more than a quarter
// of the pool is held for writing, nothing that running sequences will need, and LetGo gives up what it can.
//
// Called by the engine thread only, and never waits for the disk, but in Stop.
class KvTier {
 public:
  // `wake` is called on other threads when Poll would find something. All three outlive the tier. Errors: as BlockStore::Open.
  static Result<std::unique_ptr<KvTier>> Open(const KvTierOptions& options, std::string_view fingerprint, KvCache& kv,
                                              const Scheduler& scheduler, const Clock& clock, std::function<void()> wake);
  ~KvTier();
  KvTier(const KvTier&) = delete;
  KvTier& operator=(const KvTier&) = delete;

  // True: there is something to wait for, and Poll calls `resume`, once, when the prefix is in the tree, or it was cancelled, or
  // waiting does not pay any more. False: go on at once.
  [[nodiscard]] bool Restore(std::span<const TokenId> tokens, const CacheScope& scope, const CancelToken& cancel,
                             std::function<void()> resume);
  // Writes what the store lacks of the known blocks of a prefix, such as a sequence that has ended, in order, as far as the queue
  // and the pool allow.
  void Keep(std::span<const TokenId> tokens, const CacheScope& scope);
  // Forgets the blocks of these names.
  void Erase(std::span<const BlockKey> keys);
  // Takes what the disk has done since, and goes on unpacking, for a limited time.
  void Poll();

  // What it would take to have such a block again if it was evicted now: RadixTree::Cost. In units of what computing the first
  // block of a prompt takes, so that a machine that is slower for a while does not make blocks dearer than they are.
  double CostToHaveAgain(int64_t first_token, int64_t num_tokens, const BlockKey& key) const;
  bool has_disk() const { return store_ != nullptr; }
  // Whether the next Poll has something to do already.
  bool is_unpacking() const { return is_unpacking_; }

  // Whether blocks are held, which Poll will give back some time.
  bool is_holding() const { return !writings_.empty() || !readings_.empty(); }
  // Gives up all work but the block that each thread is at: somebody needs the blocks.
  void LetGo();
  // Nobody waits any longer.
  void ResumeAll();
  // Gives up reading, writes what is queued for a limited time, and holds nothing afterwards. The last call.
  void Stop();

  int64_t num_waiting() const { return std::ssize(waiting_); }
  // Valid until the next call.
  std::vector<const BlockTable*> held_tables() const;
  KvTierStats stats() const;

 private:
  struct Prefix {
    std::vector<TokenId> tokens;
    CacheScope scope;
  };
  // Blocks on their way from the disk, behind `num_known` others in the table.
  struct Reading {
    Prefix prefix;
    BlockTable table;
    int64_t num_known = 0;
    std::vector<BlockKey> keys;  // in the order of their blocks
    CancelToken cancel;
    int64_t num_read = 0;  // the reader's, until is_done
    std::atomic<bool> is_done{false};
    bool is_in_tree = false;
  };
  // Blocks on their way to the disk.
  struct Writing {
    BlockTable table;
    std::shared_ptr<std::atomic<int64_t>> num_left;
  };
  struct Waiter {
    Prefix prefix;
    CancelToken cancel;
    std::function<void()> resume;
    TimePoint give_up_at;
    std::shared_ptr<Reading> reading;  // perhaps another's; null: until the store knows what it has
  };

  KvTier(KvCache& kv, const Scheduler& scheduler, const Clock& clock, std::function<void()> wake);

  bool FindReading(Waiter& waiter);
  std::vector<BlockKey> KeysOnDisk(const Prefix& prefix, int64_t num_known) const;
  std::shared_ptr<Reading> StartReading(const Prefix& prefix, int64_t num_known, std::vector<BlockKey> keys);
  bool IsWorthReading(int64_t num_known, int64_t num_blocks);
  bool HasToWait(Waiter& waiter);
  bool HasToUnpack(const Prefix& prefix);
  int64_t MostToHold() const;
  bool QueueWrites(const BlockTable& table, const std::shared_ptr<std::atomic<int64_t>>& num_left);
  void FinishReadings();
  void FinishWritings();
  void ResumeWaiters();
  void CancelUnwanted();

  KvPool& pool_;
  BlockManager& blocks_;
  const Scheduler& scheduler_;
  const Clock& clock_;
  const std::function<void()> wake_;

  std::vector<std::shared_ptr<Reading>> readings_;
  std::vector<Writing> writings_;
  std::vector<Waiter> waiting_;
  int64_t num_held_for_writing_ = 0;  // blocks of the tables
  TimePoint unpack_until_;            // no longer at once
  bool is_unpacking_ = false;
  std::unique_ptr<CompressedTier> compressed_;  // null: none
  std::unique_ptr<BlockStore> store_;           // null: no disk
};

}  // namespace autoglm
