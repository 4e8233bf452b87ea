#include "weights/read_ahead.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace autoglm {
namespace {

// Large enough for a disk to be fast, small enough to notice soon that the reader has overtaken us.
constexpr int64_t kPieceBytes = 4 << 20;

// The first error ends the attempt: these are hints, and whoever touches the memory meets the same error.
void Populate(const std::byte* begin, int64_t bytes) {
  const auto page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uintptr_t>(begin);
  const uintptr_t first_page = address / page_bytes * page_bytes;
  void* start = reinterpret_cast<void*>(first_page);
  const size_t length = address + static_cast<uintptr_t>(bytes) - first_page;
  // Reads and maps; since Linux 5.14. Older kernels are at least told to read.
  if (madvise(start, length, MADV_POPULATE_READ) != 0) (void)madvise(start, length, MADV_WILLNEED);
}

}  // namespace

ReadAhead::ReadAhead(std::vector<std::span<const std::byte>> ranges, int64_t window_bytes)
    : ranges_(std::move(ranges)), window_bytes_(std::max(window_bytes, kPieceBytes)), thread_([this] { ThreadMain(); }) {}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  Join();
}

void ReadAhead::SetUsed(int64_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    used_bytes_ = std::max(used_bytes_, bytes);
  }
  changed_.notify_all();
}

void ReadAhead::Join() {
  if (thread_.joinable()) thread_.join();
}

void ReadAhead::ThreadMain() {
  int64_t begin = 0;
  for (const std::span<const std::byte> range : ranges_) {
    ReadRange(range, begin);
    begin += std::ssize(range);
  }
}

void ReadAhead::ReadRange(std::span<const std::byte> range, int64_t range_begin) {
  for (int64_t at = 0; at < std::ssize(range); at += kPieceBytes) {
    const int64_t bytes = std::min(kPieceBytes, std::ssize(range) - at);
    const Turn turn = WaitForTurn(range_begin + at, range_begin + at + bytes);
    if (turn == Turn::kStop) return;
    if (turn == Turn::kRead) Populate(range.data() + at, bytes);
  }
}

ReadAhead::Turn ReadAhead::WaitForTurn(int64_t begin, int64_t end) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return is_stopping_ || end - used_bytes_ <= window_bytes_; });
  if (is_stopping_) return Turn::kStop;
  return begin < used_bytes_ ? Turn::kSkip : Turn::kRead;
}

}  // namespace autoglm
