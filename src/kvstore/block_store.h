#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/cancel_token.h"
#include "base/clock.h"
#include "base/result.h"
#include "kvcache/block_key.h"
#include "kvstore/block_file.h"
#include "kvstore/store_folder.h"

namespace autoglm {

struct BlockStoreOptions {
  std::filesystem::path folder;
  int64_t max_bytes = int64_t{16} << 30;                  // of all models' files in the folder
  size_t max_queued_writes = 1024;                        // beyond them blocks are dropped
  size_t max_queued_reads = 64;                           // chains; beyond them nothing is read
  Duration pause_after_error = std::chrono::seconds(30);  // without writing
  Duration flush_limit = std::chrono::seconds(2);         // for what is queued when the store ends
  std::function<void()> on_ready = [] {};                 // on the writer thread, once it is known what is there
  std::shared_ptr<const BlockFiles> files = std::make_shared<BlockFiles>();
};

struct BlockStoreStats {
  int64_t num_stored = 0;    // blocks of this model in the folder, as far as is known
  int64_t stored_bytes = 0;  // of them
  int64_t num_written = 0;   // blocks, as all below
  int64_t num_read = 0;
  int64_t num_dropped = 0;           // not written: the queue was full, or the disk
  int64_t num_damaged = 0;           // files that were not what their names say
  int64_t num_errors = 0;            // that the system refused to write or to read
  double read_bytes_per_second = 0;  // as long as it takes to read, blocks that were read slowly count for more
};

// Blocks of one model in files. Two threads of its own do the work, one writes and one reads, from bounded queues; no call waits
// for a disk. Calls come from one thread, the engine's; callbacks come on the store's threads or within a call, and must be
// quick.
//
// Nothing here is ever needed: what is missing, damaged, another's or too slow is computed again. After an error nothing is
// written for a while. Several stores, in one process or in many, may share a folder; each keeps to the bound, and looks anew at
// what is there whenever it has written a sixteenth of it, so that together they exceed it by little.
class BlockStore {
 public:
  struct ReadItem {
    BlockKey key;
    std::span<std::byte> block;  // [block_bytes]; stays valid until `done`
  };

  // Makes the folder, and looks in the background at what is there. `fingerprint` says all that the bits of a block depend on
  // beside its key. Errors: kIo where the folder cannot be made or written to.
  static Result<std::unique_ptr<BlockStore>> Open(BlockStoreOptions options, std::string_view fingerprint, int64_t block_bytes,
                                                  const Clock& clock);
  ~BlockStore() { Stop(); }
  BlockStore(const BlockStore&) = delete;
  BlockStore& operator=(const BlockStore&) = delete;

  // Writes what is queued, for a limited time, and removes what was erased; every callback has come when it returns. Nothing may
  // be queued afterwards. Waits for the file that each thread is at, no matter how long that takes.
  void Stop();

  // Whether it is known what is there. Until then the store contains nothing and wants nothing.
  bool IsReady() const;
  bool Contains(const BlockKey& key) const;
  // Whether the block should be written: it is not there, nobody is at it, and the disk takes blocks.
  bool Wants(const BlockKey& key) const;

  // Queues a block. `data` stays valid until `done`, which comes whatever becomes of the block. False, and no callback, where the
  // queue is full or writing pauses: the block is dropped.
  [[nodiscard]] bool Write(const BlockKey& key, std::span<const std::byte> data, std::function<void()> done);
  // Gives up all queued writes but the one at work.
  void DropQueuedWrites();

  // Reads a chain in order and stops at the first block that is missing or damaged, or when it is cancelled. False, and no
  // callback, where too many chains are queued.
  [[nodiscard]] bool Read(std::vector<ReadItem> items, const CancelToken& cancel, std::function<void(int64_t num_read)> done);

  // Says that a chain, from its beginning, was used now. May be forgotten under load.
  void MarkUsed(std::vector<BlockKey> chain);
  // Removes blocks, those too that are only queued. None of them is found from now on.
  void Erase(std::span<const BlockKey> keys);

  // From what was read so far; at first a guess.
  double read_bytes_per_second() const;
  // A measured speed that keeps somebody from reading is never measured again: it is believed a little less every time.
  void DoubtReadSpeed();

  BlockStoreStats stats() const;

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct QueuedWrite {
    BlockKey key;
    std::span<const std::byte> data;
    std::function<void()> done;
  };
  struct QueuedRead {
    std::vector<ReadItem> items;
    CancelToken cancel;
    std::function<void(int64_t)> done;
  };

  BlockStore(BlockStoreOptions options, const KvFingerprint& fingerprint, int64_t block_bytes, const Clock& clock);

  void WriterMain();
  void FillIndex();
  void WriteNext(Lock& lock);
  Status WriteBlock(const QueuedWrite& write);
  void TrimFolder(int64_t extra_bytes);
  void EraseFiles(Lock& lock);
  void DropWrites(Lock& lock);
  bool IsPausedLocked() const { return clock_.Now() < paused_until_; }
  bool IsOverdueLocked() const { return is_stopping_ && clock_.Now() >= stop_at_; }
  bool GoesOn() const;

  void ReaderMain();
  int64_t ReadChain(const QueuedRead& read);
  void ForgetBlock(const BlockKey& key, BlockRead why);
  void ForgetLocked(const BlockKey& key);
  void ForgetMissing(std::span<const ReadItem> items, const CancelToken& cancel);
  bool IsStopping() const;

  const BlockStoreOptions options_;
  const int64_t block_bytes_;
  const Clock& clock_;
  const StoreFolder folder_;
  const int64_t charged_bytes_;  // of one file

  // Writer thread only.
  int64_t folder_bytes_ = 0;      // of all models, as of the last look and our own writes since
  int64_t folder_bytes_max_ = 0;  // as of the last look
  int64_t bytes_since_look_ = 0;

  mutable std::mutex mutex_;  // of all below
  std::condition_variable write_work_;
  std::condition_variable read_work_;
  bool is_stopping_ = false;
  bool is_ready_ = false;
  TimePoint stop_at_{};                                 // when the rest of the writes is given up
  TimePoint paused_until_{};                            // no writes before
  std::unordered_set<BlockKey, BlockKeyHash> index_;    // blocks in files
  std::unordered_set<BlockKey, BlockKeyHash> writing_;  // queued or at work
  std::deque<QueuedWrite> writes_;
  std::deque<QueuedRead> reads_;
  std::deque<std::vector<BlockKey>> used_;
  std::vector<BlockKey> erased_;
  std::vector<BlockKey> forgotten_;  // by the reader, since the last look at the folder began
  BlockStoreStats stats_;
  // Of chains that were read, the older the less they count.
  double read_bytes_ = 0;
  double read_seconds_ = 0;

  std::thread writer_;
  std::thread reader_;
};

}  // namespace autoglm
