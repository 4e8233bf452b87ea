#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace autoglm {

// Many producers, many consumers, a fixed maximum. When full, TryPush answers false and leaves the item with the caller:
// it decides what a full queue means (429, drop and count, ...).
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  [[nodiscard]] bool TryPush(T&& item) {
    {
      const std::lock_guard lock(mutex_);
      if (items_.size() >= capacity_) return false;
      items_.push_back(std::move(item));
    }
    ready_.notify_one();
    return true;
  }

  std::optional<T> TryPop() {
    const std::lock_guard lock(mutex_);
    return PopLocked();
  }

  // Blocks until an item is there or Wake() is called; nullopt in the second case.
  std::optional<T> WaitPop() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return !items_.empty() || woken_; });
    woken_ = false;
    return PopLocked();
  }

  // The same, for no longer than `most`.
  std::optional<T> WaitPopFor(std::chrono::steady_clock::duration most) {
    std::unique_lock lock(mutex_);
    ready_.wait_for(lock, most, [this] { return !items_.empty() || woken_; });
    woken_ = false;
    return PopLocked();
  }

  void Wake() {
    {
      const std::lock_guard lock(mutex_);
      woken_ = true;
    }
    ready_.notify_all();
  }

  size_t size() const {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }
  size_t capacity() const { return capacity_; }

 private:
  std::optional<T> PopLocked() {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    return item;
  }

  const size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<T> items_;
  bool woken_ = false;
};

}  // namespace autoglm
