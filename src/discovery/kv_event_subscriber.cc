#include "discovery/kv_event_subscriber.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace autoglm::discovery {
namespace {

constexpr int kSocketsOfOne = 5;  // events, monitor at both ends, replay, and one that is being closed

}  // namespace

Result<std::unique_ptr<KvEventSubscriber>> KvEventSubscriber::Start(ExactPrefixIndex& index, KvEventProblem on_problem) {
  const int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0) return Fail(ErrorCode::kIo, "KV events cannot be followed: " + std::generic_category().message(errno));
  std::unique_ptr<KvEventSubscriber> subscriber(new KvEventSubscriber(index, std::move(on_problem), wake_fd));
  subscriber->context_.set(zmq::ctxopt::max_sockets, static_cast<int>(kMaxSources) * kSocketsOfOne);
  subscriber->thread_ = std::thread([raw = subscriber.get()] { raw->ThreadMain(); });
  return subscriber;
}

KvEventSubscriber::KvEventSubscriber(ExactPrefixIndex& index, KvEventProblem on_problem, int wake_fd)
    : index_(index), on_problem_(std::move(on_problem)), wake_fd_(wake_fd) {}

KvEventSubscriber::~KvEventSubscriber() {
  is_stopping_ = true;
  Wake();
  if (thread_.joinable()) thread_.join();
  (void)close(wake_fd_);
}

void KvEventSubscriber::SetSources(std::vector<KvEventSource> sources) {
  {
    const std::lock_guard lock(mutex_);
    wanted_ = std::move(sources);
  }
  Wake();
}

void KvEventSubscriber::Wake() const {
  const uint64_t one = 1;
  (void)!write(wake_fd_, &one, sizeof one);
}

// --- the subscriber's thread

void KvEventSubscriber::ThreadMain() {
  while (!is_stopping_) {
    TakeSources();
    Wait();
    const TimePoint now = Clock::Real().Now();
    for (const auto& follower : followers_) follower->Work(now);
  }
  followers_.clear();
}

void KvEventSubscriber::TakeSources() {
  std::optional<std::vector<KvEventSource>> wanted;
  {
    const std::lock_guard lock(mutex_);
    wanted = std::exchange(wanted_, std::nullopt);
  }
  if (!wanted) return;
  // Those that go first: one of the same name may come in their place.
  std::erase_if(followers_,
                [&](const auto& follower) { return std::ranges::find(*wanted, follower->source()) == wanted->end(); });
  for (KvEventSource& source : *wanted) {
    if (std::ranges::any_of(followers_, [&](const auto& follower) { return follower->source() == source; })) continue;
    const std::string upstream = source.upstream;
    if (followers_.size() >= kMaxSources) {
      on_problem_(upstream, {.code = ErrorCode::kResourceExhausted,
                             .message = fmt::format("KV events of {} upstreams are followed already", kMaxSources)});
      continue;
    }
    auto follower = KvEventFollower::Open(context_, std::move(source), index_, on_problem_);
    follower ? followers_.push_back(*std::move(follower)) : on_problem_(upstream, follower.error());
  }
}

void KvEventSubscriber::Wait() {
  std::vector<zmq::pollitem_t> items = {{nullptr, wake_fd_, ZMQ_POLLIN, 0}};
  std::optional<TimePoint> deadline;
  for (const auto& follower : followers_) {
    follower->AppendSockets(items);
    if (const auto own = follower->deadline()) deadline = std::min(*own, deadline.value_or(*own));
  }
  long timeout_ms = -1;
  if (deadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::Real().Now());
    timeout_ms = std::max<long>(0, left.count());
  }
  (void)zmq_poll(items.data(), static_cast<int>(items.size()), timeout_ms);
  uint64_t count = 0;
  (void)!read(wake_fd_, &count, sizeof count);
}

}  // namespace autoglm::discovery
