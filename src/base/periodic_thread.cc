#include "base/periodic_thread.h"

#include <utility>

namespace autoglm {

PeriodicThread::PeriodicThread(std::chrono::milliseconds interval, std::function<void()> call)
    : interval_(interval), call_(std::move(call)), thread_([this] { ThreadMain(); }) {}

PeriodicThread::~PeriodicThread() { Stop(); }

void PeriodicThread::Stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  stop_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void PeriodicThread::ThreadMain() {
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, interval_, [this] { return is_stopping_; })) {
    lock.unlock();
    call_();
    lock.lock();
  }
}

}  // namespace autoglm
