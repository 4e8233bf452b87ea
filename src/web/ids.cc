#include "web/ids.h"

#include <algorithm>

namespace autoglm {
namespace {

constexpr size_t kMaxRequestIdBytes = 128;

void AppendHex(std::string& out, uint64_t value) {
  for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[(value >> shift) & 15];
}

}  // namespace

std::string IdSource::NextHex() {
  const std::lock_guard lock(mutex_);
  std::string hex;
  AppendHex(hex, random_.NextU64());
  AppendHex(hex, random_.NextU64());
  return hex;
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
