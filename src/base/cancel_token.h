#pragma once

#include <atomic>
#include <memory>

namespace autoglm {

// A flag shared by whoever may give up on a piece of work and whoever does the work. Copies share the flag.
class CancelToken {
 public:
  void Cancel() const { cancelled_->store(true, std::memory_order_release); }
  bool IsCancelled() const { return cancelled_->load(std::memory_order_acquire); }

 private:
  std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace autoglm
