#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace autoglm {

// A fork-join team for kernels: the caller is member 0, `num_threads - 1` workers are the others. Workers spin for a short
// time after a task, then sleep on a futex, so that an idle process uses no CPU.
//
// Only one thread may call Run, and not from inside a task.
class ThreadPool {
 public:
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return num_threads_; }

  // Calls body(member) once for every member in [0, num_threads), and returns when all have returned.
  template <typename Body>
  void Run(Body&& body) {
    using Decayed = std::remove_reference_t<Body>;
    RunTask([](void* context, int member) { (*static_cast<Decayed*>(context))(member); },
            const_cast<void*>(static_cast<const void*>(&body)));
  }

  // Inside a task: waits until every member has called Barrier the same number of times.
  void Barrier() {
    Barrier([] { return false; });
  }
  // The same, and calls meanwhile() until that is false or the others are there.
  template <typename Meanwhile>
  void Barrier(Meanwhile&& meanwhile) {
    if (num_threads_ == 1) return;
    const uint32_t phase = barrier_phase_.load(std::memory_order_relaxed);
    if (IsLastAtBarrier(phase)) return;
    while (barrier_phase_.load(std::memory_order_acquire) == phase && meanwhile()) {
    }
    WaitForBarrier(phase);
  }

  // Hands out 0, 1, 2, ... to the members of a task; ResetItems before Run. See ItemClaims for several phases in a task.
  void ResetItems() { next_item_.store(0, std::memory_order_relaxed); }
  int64_t NextItem() { return next_item_.fetch_add(1, std::memory_order_relaxed); }

 private:
  using TaskFunction = void (*)(void* context, int member);
  void RunTask(TaskFunction function, void* context);
  void WorkerLoop(int member);
  bool IsLastAtBarrier(uint32_t phase);
  void WaitForBarrier(uint32_t phase);

  const int num_threads_;
  TaskFunction task_ = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<uint32_t> generation_{0};   // bumped to start a task; workers sleep on it
  alignas(64) std::atomic<uint32_t> num_running_{0};  // workers still inside the task
  alignas(64) std::atomic<uint32_t> barrier_arrived_{0};
  alignas(64) std::atomic<uint32_t> barrier_phase_{0};
  alignas(64) std::atomic<uint32_t> num_sleeping_{0};
  std::atomic<bool> stopping_{false};
  alignas(64) std::atomic<int64_t> next_item_{0};
  std::vector<std::thread> workers_;
};

// One member's view of work that is shared out in phases: in each phase the items [0, num_items) go one by one to whoever
// asks. Every member asks until the answer is kNone, then meets the others at a Barrier before the next phase.
// Because each member fails exactly once a phase, all know where the counter stands without resetting it.
class ItemClaims {
 public:
  explicit ItemClaims(ThreadPool& pool) : pool_(pool) {}

  // The next item of this phase, or kNone once when there is none left.
  static constexpr int64_t kNone = -1;
  int64_t Next(int64_t num_items) {
    const int64_t item = pool_.NextItem() - base_;
    if (item < num_items) return item;
    base_ += num_items + pool_.num_threads();
    return kNone;
  }

 private:
  ThreadPool& pool_;
  int64_t base_ = 0;
};

}  // namespace autoglm
