#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>

namespace autoglm::http {

// One thread's loop of events: tasks, timers, and the sockets of servers and clients. Everything but Post and IsOnThread is for
// the thread that runs it; what lives on a loop must be gone before it.
class EventLoop {
 public:
  // A call that is to come; destroyed or cancelled, it does not.
  class Timer {
   public:
    Timer() = default;
    Timer(Timer&& other) noexcept = default;
    Timer& operator=(Timer&& other) noexcept;
    ~Timer() { Cancel(); }
    void Cancel();
    bool is_set() const;

   private:
    friend class EventLoop;
    struct State;
    std::shared_ptr<State> state_;  // null: none
  };

  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Any thread. What is posted from one thread runs in that order; after Stop it is destroyed unrun with the loop.
  void Post(std::function<void()> task);
  bool IsOnThread() const;

  [[nodiscard]] Timer CallAfter(std::chrono::nanoseconds delay, std::function<void()> call);

  // Returns after Stop (any thread), which lets the task that runs end.
  void Run();
  void Stop();

  // For this room's own files: io_context and scratch memory (event_loop_core.h).
  struct Core;
  Core& core() { return *core_; }

 private:
  std::unique_ptr<Core> core_;
};

// An event loop with a thread of its own.
class LoopThread {
 public:
  LoopThread();
  // What was posted before is done first; timers are not waited for.
  ~LoopThread();

  EventLoop& loop() { return loop_; }
  // Runs `task` there and waits for it. Not from the loop's own thread.
  void RunAndWait(const std::function<void()>& task);

 private:
  EventLoop loop_;
  std::thread thread_;
};

}  // namespace autoglm::http
