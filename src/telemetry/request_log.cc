#include "telemetry/request_log.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace autoglm {
namespace {

// Copied at a time under the lock, so that a reader never keeps requests waiting.
constexpr size_t kCopiedAtOnce = 64;

}  // namespace

// The last records, by number.
class RequestLog::Ring {
 public:
  explicit Ring(size_t size)
      : size_(std::max<size_t>(size, 1)),
        bytes_(std::make_unique_for_overwrite<std::byte[]>(size_ * sizeof(RequestRecord))),
        ids_(size_),
        traces_(size_) {}

  void Add(const RequestRecord& record) {
    const std::lock_guard lock(mutex_);
    const size_t place = static_cast<size_t>(count_ % size_);
    std::memcpy(PlaceOf(place), &record, record.num_used_bytes());
    ids_[place] = std::hash<std::string_view>()(record.id.view());
    traces_[place] = record.trace.low;
    ++count_;
  }

  uint64_t count() const {
    const std::lock_guard lock(mutex_);
    return count_;
  }

  // Records [first, first + out.size()) as far as they are there; says from where and how many.
  struct Copied {
    uint64_t first = 0;
    size_t count = 0;
  };
  Copied Copy(uint64_t first, std::span<RequestRecord> out) const {
    const std::lock_guard lock(mutex_);
    first = std::max(first, Oldest());
    const size_t num = first < count_ ? static_cast<size_t>(std::min<uint64_t>(out.size(), count_ - first)) : 0;
    for (size_t i = 0; i < num; ++i) std::memcpy(&out[i], PlaceOf((first + i) % size_), sizeof(RequestRecord));
    return {first, num};
  }

  // The newest first.
  template <typename Hashes, typename Value>
  std::vector<RequestRecord> FindBy(Hashes Ring::* hashes, const Value& hash, size_t limit) const {
    std::vector<RequestRecord> found;
    const std::lock_guard lock(mutex_);
    for (uint64_t i = count_; i > Oldest() && found.size() < limit; --i) {
      const size_t place = static_cast<size_t>((i - 1) % size_);
      if ((this->*hashes)[place] != hash) continue;
      std::memcpy(&found.emplace_back(), PlaceOf(place), sizeof(RequestRecord));
    }
    return found;
  }
  std::vector<RequestRecord> FindId(std::string_view id, size_t limit) const {
    return FindBy(&Ring::ids_, std::hash<std::string_view>()(id), limit);
  }
  std::vector<RequestRecord> FindTrace(const TraceId& trace, size_t limit) const {
    return FindBy(&Ring::traces_, trace.low, limit);
  }

  std::vector<RequestRecord> Last(size_t limit, const Filter& is_wanted, size_t max_looked_at) const {
    std::vector<RequestRecord> found;
    std::vector<RequestRecord> copies(kCopiedAtOnce);
    uint64_t end = count();
    const uint64_t least = end - std::min<uint64_t>(end, max_looked_at);
    while (end > least && found.size() < limit) {
      const uint64_t begin = std::max(least, end - std::min<uint64_t>(end, kCopiedAtOnce));
      const Copied copied = Copy(begin, std::span(copies).first(static_cast<size_t>(end - begin)));
      if (copied.count == 0 || copied.first >= end) break;
      const auto num_ours = static_cast<size_t>(std::min<uint64_t>(copied.count, end - copied.first));
      for (size_t i = num_ours; i > 0 && found.size() < limit; --i) {
        if (is_wanted(copies[i - 1])) found.push_back(copies[i - 1]);
      }
      if (copied.first > begin) break;  // older ones are gone
      end = begin;
    }
    return found;
  }

 private:
  uint64_t Oldest() const { return count_ - std::min<uint64_t>(count_, size_); }
  std::byte* PlaceOf(size_t place) const { return bytes_.get() + place * sizeof(RequestRecord); }

  const size_t size_;
  const std::unique_ptr<std::byte[]> bytes_;  // untouched until used
  mutable std::mutex mutex_;                  // of the bytes and all below
  std::vector<size_t> ids_;
  std::vector<uint64_t> traces_;
  uint64_t count_ = 0;
};

RequestLog::RequestLog(const Clock& clock, const RequestLogOptions& options)
    : clock_(clock),
      ring_(std::make_unique<Ring>(options.num_records)),
      kept_(std::make_unique<Ring>(options.num_kept_records)),
      looks_(std::make_unique<Ring>(options.num_looks)),
      texts_(options.keeps_texts ? std::make_unique<RequestTexts>() : nullptr) {}

RequestLog::~RequestLog() = default;

std::shared_ptr<ActiveRequest> RequestLog::Begin(const RequestBeginning& beginning) {
  auto request = std::make_shared<ActiveRequest>(*this, clock_, beginning);
  const std::lock_guard lock(active_mutex_);
  request->next_ = first_active_;
  if (first_active_ != nullptr) first_active_->previous_ = request.get();
  first_active_ = request.get();
  ++num_active_;
  return request;
}

void RequestLog::Leave(ActiveRequest& request) {
  const std::lock_guard lock(active_mutex_);
  if (request.previous_ != nullptr) request.previous_->next_ = request.next_;
  if (request.next_ != nullptr) request.next_->previous_ = request.previous_;
  if (first_active_ == &request) first_active_ = request.next_;
  --num_active_;
}

void RequestLog::Add(const RequestRecord& record) {
  if (record.is_look) return looks_->Add(record);
  ring_->Add(record);
  if (record.violates_slo || record.status >= 500) kept_->Add(record);
}

std::optional<RequestRecord> RequestLog::Find(std::string_view id, const Filter& is_wanted) const {
  constexpr size_t kMostAlike = 256;
  const std::string_view held = id.substr(0, ShortText<64>().bytes.size());
  const auto is_it = [&](const RequestRecord& record) { return record.id.view() == held && (!is_wanted || is_wanted(record)); };
  {
    const std::lock_guard lock(active_mutex_);
    for (const ActiveRequest* one = first_active_; one != nullptr; one = one->next_) {
      RequestRecord record = one->Snapshot();
      if (record.state == RequestState::kActive && is_it(record)) return record;
    }
  }
  for (const Ring* ring : {ring_.get(), kept_.get(), looks_.get()}) {
    for (const RequestRecord& record : ring->FindId(held, kMostAlike)) {
      if (is_it(record)) return record;
    }
  }
  return std::nullopt;
}

std::vector<RequestRecord> RequestLog::FindTrace(const TraceId& trace) const {
  constexpr size_t kMost = 64;
  for (const Ring* ring : {ring_.get(), kept_.get()}) {
    std::vector<RequestRecord> found = ring->FindTrace(trace, kMost);
    std::erase_if(found, [&](const RequestRecord& record) { return record.trace != trace; });
    if (!found.empty()) return found;
  }
  return {};
}

std::vector<RequestRecord> RequestLog::Last(size_t limit, const Filter& is_wanted, size_t max_looked_at) const {
  return ring_->Last(limit, is_wanted, max_looked_at);
}

std::vector<RequestRecord> RequestLog::LastKept(size_t limit, const Filter& is_wanted) const {
  return kept_->Last(limit, is_wanted, SIZE_MAX);
}

std::vector<RequestRecord> RequestLog::Active(size_t limit) const {
  std::vector<RequestRecord> records;
  const std::lock_guard lock(active_mutex_);
  for (const ActiveRequest* one = first_active_; one != nullptr && records.size() < limit; one = one->next_) {
    RequestRecord record = one->Snapshot();
    if (record.state == RequestState::kActive) records.push_back(record);
  }
  return records;
}

void RequestLog::Consume(const std::function<void(const RequestRecord&)>& take) {
  const std::lock_guard lock(consume_mutex_);
  if (copies_.empty()) copies_.resize(kCopiedAtOnce);
  for (;;) {
    const Ring::Copied copied = ring_->Copy(next_consumed_, copies_);
    if (copied.count == 0) return;
    num_missed_ += static_cast<int64_t>(copied.first - next_consumed_);
    next_consumed_ = copied.first + copied.count;
    for (size_t i = 0; i < copied.count; ++i) take(copies_[i]);
  }
}

int64_t RequestLog::num_finished() const { return static_cast<int64_t>(ring_->count()); }

int64_t RequestLog::num_active() const {
  const std::lock_guard lock(active_mutex_);
  return num_active_;
}

int64_t RequestLog::num_missed() const {
  const std::lock_guard lock(consume_mutex_);
  return num_missed_;
}

}  // namespace autoglm
