#include "kvevents/event_publisher.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <utility>
#include <zmq.hpp>

#include "kvevents/endpoint.h"

namespace autoglm {
namespace {

constexpr int kHighWaterMark = 100'000;  // messages for one subscriber, as vLLM
constexpr int kLingerMs = 200;           // at the end, for what is on its way
constexpr uint64_t kEndOfReplay = ~uint64_t{0};

double UnixSeconds() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::array<uint8_t, 8> BigEndian(uint64_t number) {
  std::array<uint8_t, 8> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(number >> (56 - 8 * i));
  return bytes;
}

uint64_t FromBigEndian(const zmq::message_t& frame) {
  uint64_t number = 0;
  for (size_t i = 0; i < frame.size(); ++i) number = number << 8 | frame.data<uint8_t>()[i];
  return number;
}

// What cannot be sent is lost: PUB and ROUTER drop for whoever is too slow or gone.
void SendFrames(zmq::socket_t& socket, std::initializer_list<zmq::const_buffer> frames) {
  size_t left = frames.size();
  for (const zmq::const_buffer& frame : frames) {
    (void)zmq_send(socket.handle(), frame.data(), frame.size(), ZMQ_DONTWAIT | (--left > 0 ? ZMQ_SNDMORE : 0));
  }
}

// The frames of a message that is there.
std::vector<zmq::message_t> ReceiveFrames(zmq::socket_t& socket) {
  std::vector<zmq::message_t> frames;
  do {
    zmq::message_t frame;
    if (zmq_msg_recv(frame.handle(), socket.handle(), ZMQ_DONTWAIT) < 0) break;
    frames.push_back(std::move(frame));
  } while (frames.back().more());  // the parts of a message arrive together
  return frames;
}

}  // namespace

// ZeroMQ's part. Its wrapper throws, which ends here.
struct EventPublisher::Sockets {
  zmq::context_t context{1};
  zmq::socket_t events{context, zmq::socket_type::pub};
  zmq::socket_t replay{context, zmq::socket_type::router};
  int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

  Sockets() {
    for (zmq::socket_t* socket : {&events, &replay}) {
      socket->set(zmq::sockopt::linger, kLingerMs);
      socket->set(zmq::sockopt::sndhwm, kHighWaterMark);
    }
  }
  ~Sockets() {
    if (wake_fd >= 0) (void)close(wake_fd);
  }

  Status Open(const EventPublisherOptions& options) {
    AUTOGLM_TRY_VOID(Try(options.endpoint, [&] {
      IsConnectedTo(options.endpoint) ? events.connect(options.endpoint) : events.bind(options.endpoint);
    }));
    if (options.replay_endpoint.empty()) return {};
    return Try(options.replay_endpoint, [&] { replay.bind(options.replay_endpoint); });
  }

  template <typename Action>
  static Status Try(const std::string& endpoint, Action action) {
    try {
      action();
      return {};
    } catch (const zmq::error_t& error) {
      const bool is_wrong = error.num() == EINVAL || error.num() == EPROTONOSUPPORT || error.num() == ENODEV;
      return Fail(
          is_wrong ? ErrorCode::kInvalidArgument : ErrorCode::kIo,
          fmt::format("KV events cannot be sent at '{}': {}; an endpoint looks like tcp://*:5557", endpoint, error.what()));
    }
  }

  void Wake() const {
    const uint64_t one = 1;
    (void)!write(wake_fd, &one, sizeof one);
  }
  // Until somebody wakes, or asks for a replay.
  void Wait() {
    std::array<zmq::pollitem_t, 2> items = {{{nullptr, wake_fd, ZMQ_POLLIN, 0}, {replay.handle(), 0, ZMQ_POLLIN, 0}}};
    (void)zmq_poll(items.data(), static_cast<int>(items.size()), -1);
    uint64_t count = 0;
    (void)!read(wake_fd, &count, sizeof count);
  }
};

Result<std::unique_ptr<EventPublisher>> EventPublisher::Start(EventPublisherOptions options) {
  std::unique_ptr<Sockets> sockets;
  AUTOGLM_TRY_VOID(Sockets::Try(options.endpoint, [&] { sockets = std::make_unique<Sockets>(); }));
  AUTOGLM_TRY_VOID(sockets->Open(options));
  std::unique_ptr<EventPublisher> publisher(new EventPublisher(std::move(options), std::move(sockets)));
  publisher->OnCleared();
  publisher->thread_ = std::thread([raw = publisher.get()] { raw->ThreadMain(); });
  return publisher;
}

EventPublisher::EventPublisher(EventPublisherOptions options, std::unique_ptr<Sockets> sockets)
    : options_(std::move(options)), sockets_(std::move(sockets)) {}

EventPublisher::~EventPublisher() {
  is_stopping_ = true;
  sockets_->Wake();
  if (thread_.joinable()) thread_.join();
}

void EventPublisher::OnStored(BlockIndex /*block*/, const BlockKey& key, const BlockKey& parent,
                              std::span<const TokenId> tokens) {
  KvEvent event{.kind = KvEvent::Kind::kStored, .key = key, .parent = parent};
  std::ranges::copy(tokens, event.tokens.begin());
  Push(event);
}

void EventPublisher::OnRemoved(BlockIndex /*block*/, const BlockKey& key, BlockRemoval /*why*/) {
  Push({.kind = KvEvent::Kind::kRemoved, .key = key});
}

void EventPublisher::OnCleared() { Push({.kind = KvEvent::Kind::kCleared}); }

void EventPublisher::Push(const KvEvent& event) {
  {
    const std::lock_guard lock(mutex_);
    if (has_dropped_ || queue_.size() >= options_.max_queued) {
      has_dropped_ = true;
      ++stats_.num_dropped;
      return;
    }
    queue_.push_back(event);
    if (queue_.size() > 1) return;  // the thread is awake
  }
  sockets_->Wake();
}

EventPublisherStats EventPublisher::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

// --- the publisher's thread

void EventPublisher::ThreadMain() {
  while (true) {
    AnswerReplay();
    if (PublishBatch()) continue;
    if (is_stopping_) return;
    sockets_->Wait();
  }
}

// False where there is nothing to send.
bool EventPublisher::PublishBatch() {
  const std::vector<KvEvent> events = TakeBatch();
  if (events.empty()) return false;
  Sent sent{.sequence = next_sequence_++, .payload = EncodeEventBatch(events, UnixSeconds())};
  const auto sequence = BigEndian(sent.sequence);
  SendFrames(sockets_->events, {zmq::buffer(options_.topic), zmq::buffer(sequence), zmq::buffer(sent.payload)});
  Remember(std::move(sent));
  return true;
}

std::vector<KvEvent> EventPublisher::TakeBatch() {
  const std::lock_guard lock(mutex_);
  const auto count = static_cast<ptrdiff_t>(std::min(queue_.size(), options_.max_batch));
  std::vector<KvEvent> events(queue_.begin(), queue_.begin() + count);
  queue_.erase(queue_.begin(), queue_.begin() + count);
  if (queue_.empty() && std::exchange(has_dropped_, false)) events.push_back({.kind = KvEvent::Kind::kCleared});
  stats_.num_published += std::ssize(events);
  return events;
}

void EventPublisher::Remember(Sent sent) {
  sent_bytes_ += sent.payload.size();
  sent_.push_back(std::move(sent));
  while (sent_.size() > options_.max_replayed || sent_bytes_ > options_.max_replayed_bytes) {
    sent_bytes_ -= sent_.front().payload.size();
    sent_.pop_front();
  }
}

void EventPublisher::AnswerReplay() {
  for (std::vector<zmq::message_t> request; !(request = ReceiveFrames(sockets_->replay)).empty();) {
    // [who asks, empty, number]; everything else is no request.
    if (request.size() != 3 || !request[1].empty() || request[2].size() != sizeof(uint64_t)) continue;
    const zmq::const_buffer client = zmq::buffer(request[0].data(), request[0].size());
    const zmq::const_buffer nothing = zmq::buffer("", 0);
    for (const Sent& sent : sent_) {
      if (sent.sequence < FromBigEndian(request[2])) continue;
      SendFrames(sockets_->replay, {client, nothing, zmq::buffer(BigEndian(sent.sequence)), zmq::buffer(sent.payload)});
    }
    SendFrames(sockets_->replay, {client, nothing, zmq::buffer(BigEndian(kEndOfReplay)), nothing});
  }
}

}  // namespace autoglm
