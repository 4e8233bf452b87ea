#include "server/delivery_thread.h"

#include <utility>

namespace autoglm {

DeliveryThread::DeliveryThread(std::chrono::milliseconds keep_alive_interval)
    : keep_alive_interval_(keep_alive_interval), thread_([this] { ThreadMain(); }) {}

DeliveryThread::~DeliveryThread() { Stop(); }

void DeliveryThread::Add(std::shared_ptr<DeliveryJob> job) {
  if (!TryOpen(job)) return job->Abort();
  news_.notify_one();
}

bool DeliveryThread::TryOpen(const std::shared_ptr<DeliveryJob>& job) {
  const std::lock_guard lock(mutex_);
  if (is_stopping_) return false;
  open_.insert(job);
  job->is_queued_ = true;
  queued_.push_back(job);
  return true;
}

void DeliveryThread::Notify(const std::shared_ptr<DeliveryJob>& job) {
  if (job->is_queued_.exchange(true)) return;
  {
    const std::lock_guard lock(mutex_);
    if (is_stopping_) return;
    queued_.push_back(job);
  }
  news_.notify_one();
}

void DeliveryThread::Stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  news_.notify_one();
  if (thread_.joinable()) thread_.join();
}

int64_t DeliveryThread::num_open() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(open_.size());
}

bool DeliveryThread::WaitUntilIdle(std::chrono::milliseconds limit) const {
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, limit, [this] { return open_.empty(); });
}

void DeliveryThread::ThreadMain() {
  Batch batch;
  while (WaitForNews(batch)) {
    for (const std::shared_ptr<DeliveryJob>& job : batch) {
      // Before Deliver looks: what comes later queues the job again.
      job->is_queued_ = false;
      if (job->Deliver() == DeliveryJob::State::kDone) Remove(job);
    }
    batch.clear();
    KeepAliveWhenDue();
  }
  AbortOpenJobs();
}

bool DeliveryThread::WaitForNews(Batch& batch) {
  std::unique_lock lock(mutex_);
  const auto has_news = [this] { return is_stopping_ || !queued_.empty(); };
  if (open_.empty()) {
    news_.wait(lock, has_news);
    // After idle time nobody is overdue.
    next_keep_alive_ = std::chrono::steady_clock::now() + keep_alive_interval_;
  } else {
    news_.wait_until(lock, next_keep_alive_, has_news);
  }
  batch.swap(queued_);
  return !is_stopping_;
}

void DeliveryThread::KeepAliveWhenDue() {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_keep_alive_) return;
  next_keep_alive_ = now + keep_alive_interval_;
  Batch open;
  {
    const std::lock_guard lock(mutex_);
    open.assign(open_.begin(), open_.end());
  }
  for (const std::shared_ptr<DeliveryJob>& job : open) job->KeepAlive();
}

void DeliveryThread::Remove(const std::shared_ptr<DeliveryJob>& job) {
  const std::lock_guard lock(mutex_);
  open_.erase(job);
  if (open_.empty()) idle_.notify_all();
}

void DeliveryThread::AbortOpenJobs() {
  std::unordered_set<std::shared_ptr<DeliveryJob>> open;
  {
    const std::lock_guard lock(mutex_);
    open.swap(open_);
    queued_.clear();
    idle_.notify_all();
  }
  for (const std::shared_ptr<DeliveryJob>& job : open) job->Abort();
}

}  // namespace autoglm
