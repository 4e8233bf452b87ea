#include "tokenizer/jinja_text.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace autoglm::jinja {

Text::Text(std::string bytes, Origin origin) : bytes_(std::move(bytes)) { ExtendRuns(bytes_.size(), origin); }

bool Text::HasContext() const {
  return std::any_of(runs_.begin(), runs_.end(), [](const Run& run) { return run.origin == Origin::kContext; });
}

Origin Text::OriginAt(size_t byte) const { return runs_[RunIndexAt(byte)].origin; }

void Text::Append(std::string_view bytes, Origin origin) {
  bytes_.append(bytes);
  ExtendRuns(bytes.size(), origin);
}

void Text::AppendSlice(const Text& from, size_t begin, size_t end) {
  AUTOGLM_CHECK(begin <= end && end <= from.size());
  if (begin == end) return;
  bytes_.append(from.bytes_, begin, end - begin);
  for (size_t i = from.RunIndexAt(begin), at = begin; at < end; ++i) {
    const size_t run_end = std::min(from.runs_[i].end, end);
    ExtendRuns(run_end - at, from.runs_[i].origin);
    at = run_end;
  }
}

Text Text::Slice(size_t begin, size_t end) const {
  Text slice;
  slice.AppendSlice(*this, begin, end);
  return slice;
}

size_t Text::RunIndexAt(size_t byte) const {
  AUTOGLM_CHECK(byte < bytes_.size());
  const auto run = std::upper_bound(runs_.begin(), runs_.end(), byte, [](size_t at, const Run& other) { return at < other.end; });
  return static_cast<size_t>(run - runs_.begin());
}

void Text::ExtendRuns(size_t num_bytes, Origin origin) {
  if (num_bytes == 0) return;
  const size_t begin = runs_.empty() ? 0 : runs_.back().end;
  if (!runs_.empty() && runs_.back().origin == origin) {
    runs_.back().end += num_bytes;
  } else {
    runs_.push_back({.end = begin + num_bytes, .origin = origin});
  }
}

}  // namespace autoglm::jinja
