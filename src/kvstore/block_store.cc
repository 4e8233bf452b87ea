#include "kvstore/block_store.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/check.h"

namespace autoglm {
namespace {

constexpr double kAssumedReadBytesPerSecond = 500e6;
// The guess counts for so many blocks.
constexpr double kAssumedBlocks = 8;
// What is left of the older chains' weight with each new one.
constexpr double kOlder = 0.7;
constexpr double kDoubt = 0.05;
// Chains whose use is not marked yet; beyond them the oldest are forgotten.
constexpr size_t kMaxUsed = 64;
constexpr int kLowPriority = 10;
constexpr int64_t kLooksPerBound = 16;

Status MakeFolder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error && access(folder.c_str(), R_OK | W_OK | X_OK) != 0) error = {errno, std::generic_category()};
  if (!error) return {};
  return Fail(ErrorCode::kIo,
              fmt::format("the folder {} for keys and values cannot be used: {}", folder.string(), error.message()));
}

}  // namespace

Result<std::unique_ptr<BlockStore>> BlockStore::Open(BlockStoreOptions options, std::string_view fingerprint, int64_t block_bytes,
                                                     const Clock& clock) {
  AUTOGLM_CHECK(block_bytes > 0 && options.max_queued_writes > 0 && options.max_queued_reads > 0);
  AUTOGLM_TRY_VOID(MakeFolder(options.folder));
  std::unique_ptr<BlockStore> store(new BlockStore(std::move(options), KvFingerprint::Of(fingerprint), block_bytes, clock));
  store->writer_ = std::thread([raw = store.get()] { raw->WriterMain(); });
  store->reader_ = std::thread([raw = store.get()] { raw->ReaderMain(); });
  return store;
}

BlockStore::BlockStore(BlockStoreOptions options, const KvFingerprint& fingerprint, int64_t block_bytes, const Clock& clock)
    : options_(std::move(options)),
      block_bytes_(block_bytes),
      clock_(clock),
      folder_(options_.folder, fingerprint),
      charged_bytes_(StoreFolder::ChargedBytes(block_bytes + kBlockFileHeaderBytes)) {
  read_bytes_ = kAssumedBlocks * static_cast<double>(block_bytes_);
  read_seconds_ = read_bytes_ / kAssumedReadBytesPerSecond;
}

void BlockStore::Stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    stop_at_ = clock_.Now() + options_.flush_limit;
  }
  write_work_.notify_all();
  read_work_.notify_all();
  if (writer_.joinable()) writer_.join();
  if (reader_.joinable()) reader_.join();
}

bool BlockStore::IsReady() const {
  const std::lock_guard lock(mutex_);
  return is_ready_;
}

bool BlockStore::Contains(const BlockKey& key) const {
  const std::lock_guard lock(mutex_);
  return index_.contains(key);
}

bool BlockStore::Wants(const BlockKey& key) const {
  const std::lock_guard lock(mutex_);
  return is_ready_ && !IsPausedLocked() && !index_.contains(key) && !writing_.contains(key);
}

bool BlockStore::Write(const BlockKey& key, std::span<const std::byte> data, std::function<void()> done) {
  AUTOGLM_CHECK(std::ssize(data) == block_bytes_);
  {
    const std::lock_guard lock(mutex_);
    if (writes_.size() >= options_.max_queued_writes || IsPausedLocked()) {
      ++stats_.num_dropped;
      return false;
    }
    writes_.push_back({.key = key, .data = data, .done = std::move(done)});
    writing_.insert(key);
  }
  write_work_.notify_one();
  return true;
}

void BlockStore::DropQueuedWrites() {
  Lock lock(mutex_);
  DropWrites(lock);
}

// Callbacks come without the lock.
void BlockStore::DropWrites(Lock& lock) {
  const std::deque<QueuedWrite> dropped = std::exchange(writes_, {});
  for (const QueuedWrite& write : dropped) writing_.erase(write.key);
  stats_.num_dropped += std::ssize(dropped);
  lock.unlock();
  for (const QueuedWrite& write : dropped) write.done();
  lock.lock();
}

bool BlockStore::Read(std::vector<ReadItem> items, const CancelToken& cancel, std::function<void(int64_t num_read)> done) {
  {
    const std::lock_guard lock(mutex_);
    if (reads_.size() >= options_.max_queued_reads) return false;
    reads_.push_back({.items = std::move(items), .cancel = cancel, .done = std::move(done)});
  }
  read_work_.notify_one();
  return true;
}

void BlockStore::MarkUsed(std::vector<BlockKey> chain) {
  {
    const std::lock_guard lock(mutex_);
    if (used_.size() >= kMaxUsed) used_.pop_front();
    used_.push_back(std::move(chain));
  }
  write_work_.notify_one();
}

void BlockStore::Erase(std::span<const BlockKey> keys) {
  std::vector<QueuedWrite> given_up;
  {
    const std::lock_guard lock(mutex_);
    for (const BlockKey& key : keys) {
      index_.erase(key);
      const auto queued = std::ranges::find(writes_, key, &QueuedWrite::key);
      if (queued == writes_.end()) continue;
      given_up.push_back(std::move(*queued));
      writes_.erase(queued);
      writing_.erase(key);
    }
    // What is at work now is erased after it.
    erased_.insert(erased_.end(), keys.begin(), keys.end());
  }
  for (const QueuedWrite& write : given_up) write.done();
  write_work_.notify_one();
}

double BlockStore::read_bytes_per_second() const {
  const std::lock_guard lock(mutex_);
  return read_bytes_ / read_seconds_;
}

void BlockStore::DoubtReadSpeed() {
  const std::lock_guard lock(mutex_);
  const double believed = read_bytes_ / kAssumedReadBytesPerSecond;
  if (read_seconds_ > believed) read_seconds_ = std::max(believed, read_seconds_ / (1 + kDoubt));
}

BlockStoreStats BlockStore::stats() const {
  const std::lock_guard lock(mutex_);
  BlockStoreStats stats = stats_;
  stats.read_bytes_per_second = read_bytes_ / read_seconds_;
  stats.num_stored = std::ssize(index_);
  stats.stored_bytes = stats.num_stored * (block_bytes_ + kBlockFileHeaderBytes);
  return stats;
}

// --- the writer

void BlockStore::WriterMain() {
  FillIndex();
  options_.on_ready();
  (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kLowPriority);
  TrimFolder(0);
  Lock lock(mutex_);
  while (true) {
    write_work_.wait(lock, [this] { return is_stopping_ || !erased_.empty() || !writes_.empty() || !used_.empty(); });
    if (IsOverdueLocked()) {
      used_.clear();
      DropWrites(lock);
    }
    if (!erased_.empty()) {
      EraseFiles(lock);
    } else if (!writes_.empty()) {
      WriteNext(lock);
    } else if (!used_.empty()) {
      // After the writes, which it may be about.
      const std::vector<BlockKey> chain = std::move(used_.front());
      used_.pop_front();
      lock.unlock();
      folder_.MarkUsed(chain, [this] { return GoesOn(); });
      lock.lock();
    } else if (is_stopping_) {
      return;
    }
  }
}

// Whether there is time for another file.
bool BlockStore::GoesOn() const {
  const std::lock_guard lock(mutex_);
  return !IsOverdueLocked();
}

void BlockStore::FillIndex() {
  folder_.VisitOwn([&](const BlockKey& key) {
    const std::lock_guard lock(mutex_);
    index_.insert(key);
    return !is_stopping_;
  });
  const std::lock_guard lock(mutex_);
  for (const BlockKey& key : erased_) index_.erase(key);
  is_ready_ = true;
}

void BlockStore::WriteNext(Lock& lock) {
  const QueuedWrite write = std::move(writes_.front());
  writes_.pop_front();
  lock.unlock();
  const Status status = WriteBlock(write);
  lock.lock();
  writing_.erase(write.key);
  if (status) {
    index_.insert(write.key);
    ++stats_.num_written;
  } else {
    ++stats_.num_errors;
    ++stats_.num_dropped;
    paused_until_ = clock_.Now() + options_.pause_after_error;
    folder_bytes_max_ = 0;  // others may have filled the disk: look first
  }
  lock.unlock();
  write.done();
  lock.lock();
  if (!status) DropWrites(lock);
}

Status BlockStore::WriteBlock(const QueuedWrite& write) {
  const std::filesystem::path path = folder_.PathOf(write.key);
  if (access(path.c_str(), F_OK) == 0) return {};  // another process was quicker
  if (folder_bytes_ + charged_bytes_ > folder_bytes_max_ || bytes_since_look_ > options_.max_bytes / kLooksPerBound) {
    TrimFolder(charged_bytes_);
    if (!GoesOn()) return Fail(ErrorCode::kCancelled, "the store ends");
    if (folder_bytes_ + charged_bytes_ > folder_bytes_max_) {
      return Fail(ErrorCode::kResourceExhausted, "no block fits into the bound or onto the disk");
    }
  }
  AUTOGLM_TRY_VOID(options_.files->Write(path, {folder_.fingerprint(), write.key}, write.data));
  folder_bytes_ += charged_bytes_;
  bytes_since_look_ += charged_bytes_;
  return {};
}

void BlockStore::TrimFolder(int64_t extra_bytes) {
  {
    const std::lock_guard lock(mutex_);
    forgotten_.clear();
  }
  const std::optional<StoreFolder::Trimmed> trimmed = folder_.Trim(options_.max_bytes, extra_bytes, [this] { return GoesOn(); });
  if (!trimmed) return;
  folder_bytes_ = trimmed->num_bytes;
  folder_bytes_max_ = trimmed->max_bytes;
  bytes_since_look_ = 0;
  // Others may have written and deleted files, and the reader may have removed some that were seen.
  std::unordered_set<BlockKey, BlockKeyHash> index(trimmed->own_left.begin(), trimmed->own_left.end());
  const std::lock_guard lock(mutex_);
  for (const BlockKey& key : erased_) index.erase(key);
  for (const BlockKey& key : forgotten_) index.erase(key);
  forgotten_.clear();
  index_.swap(index);
}

void BlockStore::EraseFiles(Lock& lock) {
  const std::vector<BlockKey> keys = std::exchange(erased_, {});
  for (const BlockKey& key : keys) index_.erase(key);  // what was at work has entered it since
  lock.unlock();
  for (const BlockKey& key : keys) {
    if (unlink(folder_.PathOf(key).c_str()) == 0) folder_bytes_ -= charged_bytes_;
  }
  lock.lock();
}

// --- the reader

void BlockStore::ReaderMain() {
  Lock lock(mutex_);
  while (true) {
    read_work_.wait(lock, [this] { return is_stopping_ || !reads_.empty(); });
    if (reads_.empty()) return;
    const QueuedRead read = std::move(reads_.front());
    reads_.pop_front();
    lock.unlock();
    const int64_t num_read = ReadChain(read);
    std::vector<BlockKey> used;
    used.reserve(static_cast<size_t>(num_read));
    for (int64_t i = 0; i < num_read; ++i) used.push_back(read.items[static_cast<size_t>(i)].key);
    MarkUsed(std::move(used));
    read.done(num_read);
    lock.lock();
  }
}

int64_t BlockStore::ReadChain(const QueuedRead& read) {
  const TimePoint begin = clock_.Now();
  int64_t num_read = 0;
  for (const ReadItem& item : read.items) {
    if (IsStopping() || read.cancel.IsCancelled()) break;
    AUTOGLM_CHECK(std::ssize(item.block) == block_bytes_);
    const BlockRead outcome = options_.files->Read(folder_.PathOf(item.key), {folder_.fingerprint(), item.key}, item.block);
    if (outcome != BlockRead::kRead) {
      ForgetBlock(item.key, outcome);
      if (outcome == BlockRead::kMissing)
        ForgetMissing(std::span(read.items).subspan(static_cast<size_t>(num_read) + 1), read.cancel);
      break;
    }
    ++num_read;
  }
  const double seconds = Seconds(clock_.Now() - begin);
  const std::lock_guard lock(mutex_);
  stats_.num_read += num_read;
  if (num_read > 0 && seconds > 0) {
    read_bytes_ = kOlder * read_bytes_ + static_cast<double>(num_read * block_bytes_);
    read_seconds_ = kOlder * read_seconds_ + seconds;
  }
  return num_read;
}

void BlockStore::ForgetBlock(const BlockKey& key, BlockRead why) {
  if (why != BlockRead::kMissing) (void)unlink(folder_.PathOf(key).c_str());
  const std::lock_guard lock(mutex_);
  ForgetLocked(key);
  if (why == BlockRead::kDamaged) ++stats_.num_damaged;
  if (why == BlockRead::kFailed) ++stats_.num_errors;
}

// Who deletes files deletes many. A chain would else be written anew one block for each time that it is asked for.
void BlockStore::ForgetMissing(std::span<const ReadItem> items, const CancelToken& cancel) {
  for (const ReadItem& item : items) {
    if (IsStopping() || cancel.IsCancelled()) return;
    if (access(folder_.PathOf(item.key).c_str(), F_OK) == 0) continue;
    const std::lock_guard lock(mutex_);
    ForgetLocked(item.key);
  }
}

void BlockStore::ForgetLocked(const BlockKey& key) {
  if (index_.erase(key) > 0) forgotten_.push_back(key);
}

bool BlockStore::IsStopping() const {
  const std::lock_guard lock(mutex_);
  return is_stopping_;
}

}  // namespace autoglm
