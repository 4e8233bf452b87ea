#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace autoglm {

// A thread that brings mapped memory in before somebody asks for it: reading a file then overlaps with using what has been
// read. It only ever speeds things up; whoever is faster than it reads for himself.
class ReadAhead {
 public:
  // Walks through `ranges` in order and stays at most `window_bytes` ahead of what SetUsed reports. The ranges stay mapped as
  // long as this object lives.
  ReadAhead(std::vector<std::span<const std::byte>> ranges, int64_t window_bytes);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // Any thread. The first `bytes` of all ranges together are no longer of interest.
  void SetUsed(int64_t bytes);
  // Waits until the thread has come to the end; for tests.
  void Join();

 private:
  void ThreadMain();
  void ReadRange(std::span<const std::byte> range, int64_t range_begin);
  enum class Turn { kRead, kSkip, kStop };
  // Waits until the piece that ends at `end` is within the window.
  Turn WaitForTurn(int64_t begin, int64_t end);

  const std::vector<std::span<const std::byte>> ranges_;
  const int64_t window_bytes_;
  std::mutex mutex_;  // of the two below
  int64_t used_bytes_ = 0;
  bool is_stopping_ = false;
  std::condition_variable changed_;
  std::thread thread_;
};

}  // namespace autoglm
