#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "http/event_loop.h"

namespace autoglm::discovery {

// Runs what may block for long on a thread of its own, and hands the loop what it gave. Destroyed before, nothing is handed over
// and nobody waits: the thread is left to itself, since getaddrinfo cannot be called back and takes half a minute where DNS is
// gone. On the loop's thread, but for `work`.
template <typename T>
class BlockingCall {
 public:
  // `done` may destroy the call.
  BlockingCall(http::EventLoop& loop, std::function<T()> work, std::function<void(T)> done) : state_(std::make_shared<State>()) {
    state_->loop = &loop;
    state_->done = std::move(done);
    std::thread([state = state_, work = std::move(work)] { Run(state, work()); }).detach();
  }
  ~BlockingCall() {
    const std::lock_guard lock(state_->mutex);
    state_->loop = nullptr;
    state_->done = nullptr;
  }
  BlockingCall(const BlockingCall&) = delete;
  BlockingCall& operator=(const BlockingCall&) = delete;

 private:
  struct State {
    std::mutex mutex;
    http::EventLoop* loop = nullptr;  // null: nobody waits any more, and the loop may be gone
    std::function<void(T)> done;      // of the loop's thread
  };

  static void Run(const std::shared_ptr<State>& state, T result) {
    const std::lock_guard lock(state->mutex);
    if (state->loop == nullptr) return;
    state->loop->Post([state, result = std::move(result)]() mutable {
      const std::function<void(T)> done = std::exchange(state->done, nullptr);
      if (done) done(std::move(result));
    });
  }

  std::shared_ptr<State> state_;
};

}  // namespace autoglm::discovery
