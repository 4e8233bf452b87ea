#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "base/thread_pool.h"

namespace autoglm {

// One thread pool for several users, such as the engines of several models: each takes a turn for one piece of work, first come,
// first served, so that the processors are never asked to do two at once.
class ComputeTeam {
 public:
  explicit ComputeTeam(int num_threads) : pool_(num_threads) {}

  // The pool is its holder's until it ends.
  class Turn {
   public:
    explicit Turn(ComputeTeam& team) : team_(team) {}
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() { team_.EndTurn(); }

   private:
    ComputeTeam& team_;
  };
  // Waits until all who asked before have had their turn.
  [[nodiscard]] Turn TakeTurn();

  // To be used during a turn.
  ThreadPool& pool() { return pool_; }

 private:
  void EndTurn();

  ThreadPool pool_;
  std::mutex mutex_;  // of the two below
  uint64_t next_ticket_ = 0;
  uint64_t serving_ = 0;
  std::condition_variable changed_;
};

}  // namespace autoglm
