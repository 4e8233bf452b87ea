#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace autoglm {

// A thread that calls something every so often: an interval after the last call has ended.
class PeriodicThread {
 public:
  PeriodicThread(std::chrono::milliseconds interval, std::function<void()> call);
  ~PeriodicThread();  // Stop
  PeriodicThread(const PeriodicThread&) = delete;
  PeriodicThread& operator=(const PeriodicThread&) = delete;

  // Waits for a call that is under way, and for nothing else; none comes after it. From any thread but its own.
  void Stop();

 private:
  void ThreadMain();

  const std::chrono::milliseconds interval_;
  const std::function<void()> call_;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace autoglm
