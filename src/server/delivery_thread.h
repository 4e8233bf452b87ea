#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_set>
#include <vector>

namespace autoglm {

// An answer on its way to a client. Every method runs on the delivery thread, or on the one that adds the job after Stop.
class DeliveryJob {
 public:
  virtual ~DeliveryJob() = default;

  enum class State { kOpen, kDone };
  // There may be news: the first call comes right after Add, and a job must bear calls without news or after its end.
  virtual State Deliver() = 0;
  // Now and then while the job is open.
  virtual void KeepAlive() = 0;
  // The server stops: end the answer as well as that goes.
  virtual void Abort() = 0;

 private:
  friend class DeliveryThread;
  std::atomic<bool> is_queued_{false};
};

// The one thread that turns new tokens of all streams into text and hands it to their connections, so that neither the
// engine nor the I/O threads do. A job with news is queued at most once, which bounds the queue by the number of jobs and
// lets one wake-up carry the tokens of a whole step. Sleeps when there is none.
class DeliveryThread {
 public:
  explicit DeliveryThread(std::chrono::milliseconds keep_alive_interval);
  ~DeliveryThread();  // Stop

  // Any thread. After Stop the job is aborted at once.
  void Add(std::shared_ptr<DeliveryJob> job);
  // Any thread; never waits for a job.
  void Notify(const std::shared_ptr<DeliveryJob>& job);
  // Aborts the open jobs and joins the thread. Call from any other thread.
  void Stop();

  int64_t num_open() const;
  // False where jobs were still open after `limit`.
  bool WaitUntilIdle(std::chrono::milliseconds limit) const;

 private:
  using Batch = std::vector<std::shared_ptr<DeliveryJob>>;

  // False after Stop.
  bool TryOpen(const std::shared_ptr<DeliveryJob>& job);
  void ThreadMain();
  // False where the thread shall end.
  bool WaitForNews(Batch& batch);
  void KeepAliveWhenDue();
  void Remove(const std::shared_ptr<DeliveryJob>& job);
  void AbortOpenJobs();

  const std::chrono::milliseconds keep_alive_interval_;
  std::chrono::steady_clock::time_point next_keep_alive_;  // delivery thread only

  mutable std::mutex mutex_;  // of everything below
  std::condition_variable news_;
  mutable std::condition_variable idle_;
  Batch queued_;
  std::unordered_set<std::shared_ptr<DeliveryJob>> open_;
  bool is_stopping_ = false;

  std::thread thread_;
};

}  // namespace autoglm
