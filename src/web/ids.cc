#include "web/ids.h"

#include <algorithm>

#include "telemetry/trace_context.h"

namespace autoglm {
namespace {

constexpr size_t kMaxRequestIdBytes = 128;

}  // namespace

std::string IdSource::NextHex() {
  const std::lock_guard lock(mutex_);
  const uint64_t high = random_.NextU64();
  return TraceId{high, random_.NextU64()}.Hex();  // as long, and spelled so
}

int64_t IdSource::NextSeed() {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(random_.NextU64() >> 11);
}

std::string IdSource::NextUuid() {
  std::string id = NextHex();
  for (const size_t dash : {8, 13, 18, 23}) id.insert(dash, 1, '-');
  return id;
}

bool IsValidRequestId(std::string_view id) {
  if (id.empty() || id.size() > kMaxRequestIdBytes) return false;
  return std::all_of(id.begin(), id.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace autoglm
