#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <vector>

#include "http/event_loop.h"

namespace autoglm::http {

struct EventLoop::Core {
  static constexpr size_t kScratchBytes = 64 << 10;

  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{context.get_executor()};
  // Sockets are read into here, so that an idle connection owns no buffer.
  std::vector<char> scratch = std::vector<char>(kScratchBytes);
};

struct EventLoop::Timer::State {
  State(boost::asio::io_context& context, std::function<void()> own_call) : timer(context), call(std::move(own_call)) {}

  boost::asio::steady_timer timer;
  std::function<void()> call;  // empty: done or cancelled
};

}  // namespace autoglm::http
