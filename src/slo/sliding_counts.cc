#include "slo/sliding_counts.h"

#include <fmt/format.h>

#include <algorithm>

#include "json/fields.h"

namespace autoglm::slo {
namespace {

constexpr int64_t kFineSeconds = 10;
constexpr int64_t kCoarseSeconds = 900;
constexpr std::chrono::seconds kFineSpan = std::chrono::hours(6);

}  // namespace

SlidingCounts::SlidingCounts(std::chrono::seconds longest) {
  fine_ = {kFineSeconds, std::vector<Bucket>(static_cast<size_t>(kFineSpan.count() / kFineSeconds + 1))};
  coarse_ = {kCoarseSeconds, std::vector<Bucket>(static_cast<size_t>(longest.count() / kCoarseSeconds + 1))};
}

void SlidingCounts::Ring::Add(UnixSeconds time, const EventCounts& counts) {
  const int64_t place = time / width_s;
  Bucket& bucket = buckets[static_cast<size_t>(place) % buckets.size()];
  if (bucket.place < place) bucket = {place, {}};
  bucket.counts.total += counts.total;
  bucket.counts.bad += counts.bad;
}

EventCounts SlidingCounts::Ring::Sum(UnixSeconds now, std::chrono::seconds window) const {
  const int64_t last = now / width_s;
  const int64_t num_buckets = std::min<int64_t>((window.count() + width_s - 1) / width_s, std::ssize(buckets));
  EventCounts sum;
  for (int64_t place = std::max<int64_t>(0, last - num_buckets + 1); place <= last; ++place) {
    const Bucket& bucket = buckets[static_cast<size_t>(place) % buckets.size()];
    if (bucket.place != place) continue;
    sum.total += bucket.counts.total;
    sum.bad += bucket.counts.bad;
  }
  return sum;
}

Json SlidingCounts::Ring::ToJson() const {
  Json list = Json::array();
  for (const Bucket& bucket : buckets) {
    if (bucket.place < 0) continue;
    list.push_back(bucket.place);
    list.push_back(bucket.counts.total);
    list.push_back(bucket.counts.bad);
  }
  return list;
}

void SlidingCounts::Add(UnixSeconds now, bool is_bad, int64_t num_events) {
  const EventCounts counts{num_events, is_bad ? num_events : 0};
  fine_.Add(now, counts);
  coarse_.Add(now, counts);
}

EventCounts SlidingCounts::Sum(UnixSeconds now, std::chrono::seconds window) const {
  return (window <= kFineSpan ? fine_ : coarse_).Sum(now, window);
}

Json SlidingCounts::ToJson() const { return {{"fine", fine_.ToJson()}, {"coarse", coarse_.ToJson()}}; }

Result<std::vector<SlidingCounts::Bucket>> SlidingCounts::ReadRing(const Json& json, std::string_view name) {
  const auto corrupt = [name] {
    return Fail(ErrorCode::kCorruptFile, fmt::format("'{}' must be a list of place, total and bad, again and again", name));
  };
  const auto found = json.find(name);
  if (found == json.end() || !found->is_array() || found->size() % 3 != 0) return corrupt();
  std::vector<Bucket> buckets;
  for (size_t i = 0; i < found->size(); i += 3) {
    const std::optional<int64_t> place = JsonInteger((*found)[i]);
    const std::optional<int64_t> total = JsonInteger((*found)[i + 1]);
    const std::optional<int64_t> bad = JsonInteger((*found)[i + 2]);
    constexpr int64_t kMax = int64_t{1} << 40;
    if (!place || !total || !bad || *place < 0 || *place > kMax || *bad < 0 || *total < *bad || *total > kMax) return corrupt();
    buckets.push_back({*place, {*total, *bad}});
  }
  return buckets;
}

Status SlidingCounts::Load(const Json& json, UnixSeconds now) {
  if (!json.is_object()) return Fail(ErrorCode::kCorruptFile, "counts must be an object");
  AUTOGLM_TRY(std::vector<Bucket> fine, ReadRing(json, "fine"));
  AUTOGLM_TRY(std::vector<Bucket> coarse, ReadRing(json, "coarse"));
  for (auto& [ring, saved] : {std::pair{&fine_, &fine}, std::pair{&coarse_, &coarse}}) {
    const int64_t newest = now / ring->width_s;
    std::erase_if(*saved, [ring, newest](const Bucket& bucket) {
      return bucket.place > newest || bucket.place <= newest - std::ssize(ring->buckets);
    });
    for (const Bucket& bucket : *saved) ring->Add(bucket.place * ring->width_s, bucket.counts);
  }
  return {};
}

}  // namespace autoglm::slo
