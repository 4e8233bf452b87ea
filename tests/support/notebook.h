#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace autoglm::testing {

// What other threads have told, in order. Waiting has an end, so that a failing test fails and does not hang.
template <typename T>
class Notebook {
 public:
  void Write(T entry) {
    {
      const std::lock_guard lock(mutex_);
      entries_.push_back(std::move(entry));
    }
    changed_.notify_all();
  }

  // Until all that was written satisfies this; whether it does.
  bool WaitUntil(const std::function<bool(const std::vector<T>&)>& is_enough) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return is_enough(entries_); });
  }
  bool WaitForCount(size_t count) const {
    return WaitUntil([count](const std::vector<T>& entries) { return entries.size() >= count; });
  }
  // The one of this number, from 0 on, once it is there.
  T At(size_t index) const { return WaitForCount(index + 1) ? All()[index] : T(); }

  std::vector<T> All() const {
    const std::lock_guard lock(mutex_);
    return entries_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<T> entries_;
};

}  // namespace autoglm::testing
