#include "engine/kv_tier.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace autoglm {
namespace {

// Until it is known what a prompt costs, reading is thought quicker from so many blocks on.
constexpr int64_t kLeastBlocksUnknown = 4;
// A request waits for the disk as long as computing would take, but so long at least; and this where that is not known.
constexpr double kLeastPatienceSeconds = 1;
constexpr double kPatienceSecondsUnknown = 5;
// Streams wait meanwhile.
constexpr std::chrono::milliseconds kUnpackSlice(10);
// Of the pool, for writing.
constexpr int64_t kShareHeld = 4;

int64_t MostKnownTokens(std::span<const TokenId> tokens) { return std::ssize(tokens) - 1; }

}  // namespace

Result<std::unique_ptr<KvTier>> KvTier::Open(const KvTierOptions& options, std::string_view fingerprint, KvCache& kv,
                                             const Scheduler& scheduler, const Clock& clock, std::function<void()> wake) {
  std::unique_ptr<KvTier> tier(new KvTier(kv, scheduler, clock, std::move(wake)));
  if (options.compressed_bytes > 0) {
    tier->compressed_ = std::make_unique<CompressedTier>(options.compressed_bytes, kv, scheduler, clock);
  }
  if (options.disk.folder.empty()) return tier;
  BlockStoreOptions store{
      .folder = options.disk.folder, .max_bytes = options.disk.max_bytes, .on_ready = tier->wake_, .files = options.disk.files};
  AUTOGLM_TRY(tier->store_, BlockStore::Open(std::move(store), fingerprint, kv.pool().layout().block_bytes(), clock));
  return tier;
}

KvTier::KvTier(KvCache& kv, const Scheduler& scheduler, const Clock& clock, std::function<void()> wake)
    : pool_(kv.pool()), blocks_(kv.blocks()), scheduler_(scheduler), clock_(clock), wake_(std::move(wake)) {}

KvTier::~KvTier() { Stop(); }

void KvTier::ResumeAll() {
  for (const Waiter& waiter : std::exchange(waiting_, {})) waiter.resume();
}

void KvTier::Stop() {
  if (store_ == nullptr) return;
  for (const auto& reading : readings_) reading->cancel.Cancel();
  store_->Stop();
  FinishReadings();
  FinishWritings();
  AUTOGLM_CHECK(!is_holding());
}

void KvTier::Poll() {
  FinishWritings();
  FinishReadings();
  if (is_holding() && blocks_.num_available() < scheduler_.NumPromisedBlocks()) LetGo();
  unpack_until_ = clock_.Now() + kUnpackSlice;
  is_unpacking_ = false;
  ResumeWaiters();
}

void KvTier::LetGo() {
  if (store_ == nullptr) return;
  store_->DropQueuedWrites();
  for (const auto& reading : readings_) reading->cancel.Cancel();
}

std::vector<const BlockTable*> KvTier::held_tables() const {
  std::vector<const BlockTable*> tables;
  tables.reserve(writings_.size() + readings_.size());
  for (const Writing& writing : writings_) tables.push_back(&writing.table);
  for (const auto& reading : readings_) tables.push_back(&reading->table);
  return tables;
}

// --- upwards

bool KvTier::Restore(std::span<const TokenId> tokens, const CacheScope& scope, const CancelToken& cancel,
                     std::function<void()> resume) {
  const bool is_anywhere = compressed_ != nullptr || store_ != nullptr;
  if (!is_anywhere || MostKnownTokens(tokens) < kBlockSizeTokens) return false;
  const double patience = scheduler_.PromptSeconds(0, std::ssize(tokens)).value_or(kPatienceSecondsUnknown);
  Waiter waiter{.prefix = {.tokens = {tokens.begin(), tokens.end()}, .scope = scope},
                .cancel = cancel,
                .resume = std::move(resume),
                .give_up_at = clock_.Now() + DurationFromSeconds(std::max(patience, kLeastPatienceSeconds))};
  if (!HasToWait(waiter)) return false;
  waiting_.push_back(std::move(waiter));
  return true;
}

// Finds a reading that brings blocks which the waiter lacks, or starts one; false where there is none to be had.
bool KvTier::FindReading(Waiter& waiter) {
  const Prefix& prefix = waiter.prefix;
  const int64_t num_known = blocks_.PeekPrefix(prefix.tokens, MostKnownTokens(prefix.tokens), prefix.scope) / kBlockSizeTokens;
  std::vector<BlockKey> keys = KeysOnDisk(prefix, num_known);
  if (keys.empty()) return false;
  for (const auto& reading : readings_) {
    if (std::ranges::find(reading->keys, keys.front()) == reading->keys.end()) continue;
    waiter.reading = reading;
    return true;
  }
  waiter.reading = StartReading(prefix, num_known, std::move(keys));
  return waiter.reading != nullptr;
}

// The names of the blocks behind the first `num_known` that the store has, up to the first that it has not.
std::vector<BlockKey> KvTier::KeysOnDisk(const Prefix& prefix, int64_t num_known) const {
  const std::span<const TokenId> known(prefix.tokens);
  std::vector<BlockKey> keys = BlockKeysOf(known.first(static_cast<size_t>(MostKnownTokens(known))), prefix.scope);
  keys.erase(keys.begin(), keys.begin() + num_known);
  keys.erase(std::ranges::find_if_not(keys, [this](const BlockKey& key) { return store_->Contains(key); }), keys.end());
  return keys;
}

// Null where it does not pay, or where there are no blocks to read into.
std::shared_ptr<KvTier::Reading> KvTier::StartReading(const Prefix& prefix, int64_t num_known, std::vector<BlockKey> keys) {
  // The known blocks may count as available now, and do not once they are held.
  const int64_t num_spare = blocks_.num_available() - scheduler_.NumPromisedBlocks() - num_known;
  const int64_t num_blocks = std::min(std::ssize(keys), num_spare);
  if (num_blocks <= 0 || !IsWorthReading(num_known, num_blocks)) return nullptr;
  keys.resize(static_cast<size_t>(num_blocks));

  auto reading = std::make_shared<Reading>();
  reading->prefix = prefix;
  reading->num_known = num_known;
  reading->table = blocks_.HoldPrefix(prefix.tokens, num_known * kBlockSizeTokens, prefix.scope);
  AUTOGLM_CHECK(blocks_.Grow(reading->table, (num_known + num_blocks) * kBlockSizeTokens));
  std::vector<BlockStore::ReadItem> items;
  for (int64_t i = 0; i < num_blocks; ++i) {
    const BlockIndex block = reading->table.blocks[static_cast<size_t>(num_known + i)];
    items.push_back({.key = keys[static_cast<size_t>(i)], .block = pool_.Block(block)});
  }
  reading->keys = std::move(keys);
  const bool is_queued = store_->Read(std::move(items), reading->cancel, [this, reading](int64_t num_read) {
    reading->num_read = num_read;
    reading->is_done.store(true, std::memory_order_release);
    wake_();
  });
  if (!is_queued) {
    blocks_.Release(reading->table);
    return nullptr;
  }
  readings_.push_back(reading);
  return reading;
}

bool KvTier::IsWorthReading(int64_t num_known, int64_t num_blocks) {
  const std::optional<double> compute_seconds =
      scheduler_.PromptSeconds(num_known * kBlockSizeTokens, num_blocks * kBlockSizeTokens);
  if (!compute_seconds) return num_blocks >= kLeastBlocksUnknown;
  const auto num_bytes = static_cast<double>(num_blocks * pool_.layout().block_bytes());
  if (num_bytes / store_->read_bytes_per_second() < *compute_seconds) return true;
  store_->DoubtReadSpeed();
  return false;
}

void KvTier::FinishReadings() {
  std::erase_if(readings_, [this](const std::shared_ptr<Reading>& reading) {
    if (!reading->is_done.load(std::memory_order_acquire)) return false;
    const int64_t num_tokens = (reading->num_known + reading->num_read) * kBlockSizeTokens;
    blocks_.Commit(reading->table, reading->prefix.tokens, num_tokens, reading->prefix.scope);
    blocks_.Release(reading->table);
    reading->is_in_tree = true;
    return true;
  });
}

void KvTier::ResumeWaiters() {
  std::vector<Waiter> resumed;
  std::erase_if(waiting_, [&](Waiter& waiter) {
    if (HasToWait(waiter)) return false;
    resumed.push_back(std::move(waiter));
    return true;
  });
  if (!resumed.empty()) CancelUnwanted();
  for (const Waiter& waiter : resumed) waiter.resume();
}

// Who waited computes by now what is still being read.
void KvTier::CancelUnwanted() {
  for (const auto& reading : readings_) {
    if (std::ranges::find(waiting_, reading, &Waiter::reading) == waiting_.end()) reading->cancel.Cancel();
  }
}

// Every reading brings blocks into the tree or takes a name out of the store's index, so this ends.
bool KvTier::HasToWait(Waiter& waiter) {
  if (waiter.cancel.IsCancelled() || clock_.Now() >= waiter.give_up_at) return false;
  if (waiter.reading != nullptr && !waiter.reading->is_in_tree) return true;
  if (waiter.reading != nullptr && waiter.reading->cancel.IsCancelled()) return false;
  if (HasToUnpack(waiter.prefix)) return true;
  return store_ != nullptr && (!store_->IsReady() || FindReading(waiter));
}

// Unpacks what there is time for; whether there is more.
bool KvTier::HasToUnpack(const Prefix& prefix) {
  if (compressed_ == nullptr) return false;
  const std::span<const TokenId> tokens(prefix.tokens);
  const bool has_more =
      compressed_->Unpack(tokens.first(static_cast<size_t>(MostKnownTokens(tokens))), prefix.scope, unpack_until_);
  is_unpacking_ = is_unpacking_ || has_more;
  return has_more;
}

// --- downwards

void KvTier::Keep(std::span<const TokenId> tokens, const CacheScope& scope) {
  if (store_ == nullptr) return;
  const int64_t most = MostToHold();
  if (most <= 0) return;
  Writing writing{.table = blocks_.HoldPrefix(tokens, most * kBlockSizeTokens, scope),
                  .num_left = std::make_shared<std::atomic<int64_t>>(0)};
  if (writing.table.num_blocks() > 0) store_->MarkUsed(blocks_.KeysOf(writing.table));
  if (!QueueWrites(writing.table, writing.num_left)) return blocks_.Release(writing.table);
  num_held_for_writing_ += writing.table.num_blocks();
  writings_.push_back(std::move(writing));
}

int64_t KvTier::MostToHold() const {
  const int64_t num_spare = blocks_.num_available() - scheduler_.NumPromisedBlocks();
  return std::min(pool_.num_blocks() / kShareHeld - num_held_for_writing_, num_spare);
}

// False where nothing was to be written, or could be.
bool KvTier::QueueWrites(const BlockTable& table, const std::shared_ptr<std::atomic<int64_t>>& num_left) {
  const auto one_less = [this, num_left] {
    if (num_left->fetch_sub(1, std::memory_order_acq_rel) == 1) wake_();
  };
  num_left->store(1);  // ours, until all are queued
  int64_t num_queued = 0;
  const std::vector<BlockKey> keys = blocks_.KeysOf(table);
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!store_->Wants(keys[i])) continue;
    num_left->fetch_add(1);
    if (!store_->Write(keys[i], pool_.Block(table.blocks[i]), one_less)) {
      num_left->fetch_sub(1);
      break;  // what comes behind it is worth nothing without it
    }
    ++num_queued;
  }
  num_left->fetch_sub(1);
  return num_queued > 0;
}

void KvTier::FinishWritings() {
  std::erase_if(writings_, [this](Writing& writing) {
    if (writing.num_left->load(std::memory_order_acquire) > 0) return false;
    num_held_for_writing_ -= writing.table.num_blocks();
    blocks_.Release(writing.table);
    return true;
  });
}

void KvTier::Erase(std::span<const BlockKey> keys) {
  if (compressed_ != nullptr) compressed_->Erase(keys);
  if (store_ != nullptr) store_->Erase(keys);
}

double KvTier::CostToHaveAgain(int64_t first_token, int64_t num_tokens, const BlockKey& key) const {
  const auto unit = scheduler_.PromptSeconds(0, kBlockSizeTokens);
  const auto compute = scheduler_.PromptSeconds(first_token, num_tokens);
  if (!unit || !compute || *unit <= 0) return static_cast<double>(num_tokens) / kBlockSizeTokens;
  double seconds = *compute;
  if (key == BlockKey()) return seconds / *unit;  // it is not full, and goes nowhere
  if (compressed_ != nullptr) {
    seconds = std::min(seconds, compressed_->seconds_per_block());
  } else if (store_ != nullptr && store_->Contains(key)) {
    seconds = std::min(seconds, static_cast<double>(pool_.layout().block_bytes()) / store_->read_bytes_per_second());
  }
  return seconds / *unit;
}

KvTierStats KvTier::stats() const {
  KvTierStats stats;
  if (compressed_ != nullptr) stats.compressed = compressed_->stats();
  if (store_ != nullptr) stats.disk = store_->stats();
  return stats;
}

}  // namespace autoglm
