#include "base/thread_pool.h"

#include <chrono>

#include "base/check.h"

namespace autoglm {
namespace {

// About 50 us on a 3 GHz core: long enough to bridge the gap between two steps, short enough that an idle server sleeps.
constexpr int kSpinsBeforeSleep = 2000;
// Inside a task the others are working; a preempted virtual CPU is the only reason to wait long, so give it the core.
constexpr int kSpinsBeforeYield = 4000;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <typename Done>
void SpinUntil(Done done) {
  for (int spins = 0; !done(); ++spins) {
    if (spins < kSpinsBeforeYield) {
      Pause();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace

ThreadPool::ThreadPool(int num_threads) : num_threads_(num_threads) {
  AUTOGLM_CHECK(num_threads >= 1);
  for (int member = 1; member < num_threads; ++member) {
    workers_.emplace_back([this, member] { WorkerLoop(member); });
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true);
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::RunTask(TaskFunction function, void* context) {
  if (num_threads_ == 1) {
    function(context, 0);
    return;
  }
  task_ = function;
  context_ = context;
  num_running_.store(static_cast<uint32_t>(num_threads_ - 1), std::memory_order_relaxed);
  generation_.fetch_add(1);
  if (num_sleeping_.load() > 0) generation_.notify_all();
  function(context, 0);
  SpinUntil([this] { return num_running_.load(std::memory_order_acquire) == 0; });
}

void ThreadPool::WorkerLoop(int member) {
  uint32_t seen = 0;
  while (true) {
    for (int spins = 0; spins < kSpinsBeforeSleep && generation_.load() == seen; ++spins) Pause();
    if (generation_.load() == seen) {
      num_sleeping_.fetch_add(1);
      generation_.wait(seen);
      num_sleeping_.fetch_sub(1);
    }
    if (generation_.load() == seen) continue;
    seen = generation_.load();
    if (stopping_.load()) return;
    task_(context_, member);
    num_running_.fetch_sub(1, std::memory_order_release);
  }
}

bool ThreadPool::IsLastAtBarrier(uint32_t phase) {
  if (barrier_arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 != static_cast<uint32_t>(num_threads_)) return false;
  barrier_arrived_.store(0, std::memory_order_relaxed);
  barrier_phase_.store(phase + 1, std::memory_order_release);
  return true;
}

void ThreadPool::WaitForBarrier(uint32_t phase) {
  SpinUntil([&] { return barrier_phase_.load(std::memory_order_acquire) != phase; });
}

}  // namespace autoglm
