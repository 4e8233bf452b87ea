#include "http/event_loop.h"

#include <boost/asio/post.hpp>
#include <future>
#include <utility>

#include "base/check.h"
#include "http/event_loop_core.h"

namespace autoglm::http {
namespace asio = boost::asio;

EventLoop::EventLoop() : core_(std::make_unique<Core>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::Post(std::function<void()> task) { asio::post(core_->context, std::move(task)); }
bool EventLoop::IsOnThread() const { return core_->context.get_executor().running_in_this_thread(); }
void EventLoop::Run() { core_->context.run(); }
void EventLoop::Stop() { core_->context.stop(); }

EventLoop::Timer EventLoop::CallAfter(std::chrono::nanoseconds delay, std::function<void()> call) {
  Timer timer;
  timer.state_ = std::make_shared<Timer::State>(core_->context, std::move(call));
  timer.state_->timer.expires_after(delay);
  timer.state_->timer.async_wait([state = timer.state_](boost::system::error_code error) {
    // The call may destroy the timer, and with it what it is made of.
    const auto due = std::exchange(state->call, nullptr);
    if (!error && due) due();
  });
  return timer;
}

EventLoop::Timer& EventLoop::Timer::operator=(Timer&& other) noexcept {
  if (this == &other) return *this;
  Cancel();
  state_ = std::move(other.state_);
  return *this;
}

bool EventLoop::Timer::is_set() const { return state_ != nullptr && state_->call != nullptr; }

void EventLoop::Timer::Cancel() {
  const auto state = std::exchange(state_, nullptr);
  if (state == nullptr || !state->call) return;
  const auto dropped = std::exchange(state->call, nullptr);
  state->timer.cancel();
}

LoopThread::LoopThread() : thread_([this] { loop_.Run(); }) {}

LoopThread::~LoopThread() {
  loop_.Post([this] { loop_.Stop(); });
  thread_.join();
}

void LoopThread::RunAndWait(const std::function<void()>& task) {
  AUTOGLM_CHECK(!loop_.IsOnThread());
  std::promise<void> done;
  loop_.Post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace autoglm::http
