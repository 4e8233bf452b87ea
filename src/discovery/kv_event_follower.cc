#include "discovery/kv_event_follower.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "discovery/kv_event_batch.h"

namespace autoglm::discovery {
namespace {

constexpr int kHighWaterMark = 1000;  // messages that wait here; the publisher keeps more
constexpr int kMessagesAtOnce = 256;
constexpr int kHeartbeatMs = 10'000;  // a peer that is gone without a word is noticed
constexpr int kHeartbeatTimeoutMs = 30'000;
constexpr std::chrono::seconds kReplayTimeout{5};  // without a message
// A subscription takes a moment to arrive after the connection is there; what is told meanwhile is missed, and shows only with
// the next message.
constexpr std::chrono::seconds kSubscriptionTime{1};
constexpr uint64_t kEndOfReplay = ~uint64_t{0};
constexpr size_t kNumberBytes = 8;

std::array<uint8_t, kNumberBytes> BigEndian(uint64_t number) {
  std::array<uint8_t, kNumberBytes> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(number >> (56 - 8 * i));
  return bytes;
}

uint64_t FromBigEndian(const zmq::message_t& frame) {
  uint64_t number = 0;
  for (size_t i = 0; i < frame.size(); ++i) number = number << 8 | frame.data<uint8_t>()[i];
  return number;
}

// The frames of a message that is there, the first three of them; none where there is no message.
std::vector<zmq::message_t> Receive(zmq::socket_t& socket) {
  constexpr size_t kMostFrames = 3;
  std::vector<zmq::message_t> frames;
  for (bool has_more = true; has_more;) {
    zmq::message_t frame;
    if (zmq_msg_recv(frame.handle(), socket.handle(), ZMQ_DONTWAIT) < 0) break;
    has_more = frame.more();
    if (frames.size() < kMostFrames) frames.push_back(std::move(frame));
  }
  return frames;
}

void SetLimits(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::rcvhwm, kHighWaterMark);
  socket.set(zmq::sockopt::maxmsgsize, kEventBatchBytesMax);
  socket.set(zmq::sockopt::ipv6, true);
  socket.set(zmq::sockopt::heartbeat_ivl, kHeartbeatMs);
  socket.set(zmq::sockopt::heartbeat_timeout, kHeartbeatTimeoutMs);
}

}  // namespace

Result<std::unique_ptr<KvEventFollower>> KvEventFollower::Open(zmq::context_t& context, KvEventSource source,
                                                               ExactPrefixIndex& index, KvEventProblem on_problem) {
  const auto refuse = [endpoints = fmt::format("'{}' '{}'", source.endpoint, source.replay_endpoint)](const char* why) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("KV events cannot be had from {}: {}; an endpoint looks like tcp://host:5557", endpoints, why));
  };
  try {
    std::unique_ptr<KvEventFollower> follower(new KvEventFollower(context, std::move(source), index, std::move(on_problem)));
    if (!follower->Connect()) return refuse(zmq_strerror(zmq_errno()));
    return follower;
  } catch (const zmq::error_t& error) {
    return refuse(error.what());
  }
}

KvEventFollower::KvEventFollower(zmq::context_t& context, KvEventSource source, ExactPrefixIndex& index,
                                 KvEventProblem on_problem)
    : context_(context),
      source_(std::move(source)),
      index_(index),
      on_problem_(std::move(on_problem)),
      events_(context, zmq::socket_type::sub),
      monitor_(context, zmq::socket_type::pair) {}

bool KvEventFollower::Connect() {
  // Never a name of before: ZeroMQ gives names back some time after their socket was closed.
  static std::atomic<int64_t> num_monitors = 0;
  const std::string monitor = fmt::format("inproc://kv-events-{}", num_monitors++);
  if (zmq_socket_monitor(events_.handle(), monitor.c_str(), ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) != 0) {
    return false;
  }
  monitor_.connect(monitor);
  SetLimits(events_);
  events_.set(zmq::sockopt::subscribe, "");
  events_.connect(source_.endpoint);
  return true;
}

KvEventFollower::~KvEventFollower() {
  (void)zmq_socket_monitor(events_.handle(), nullptr, 0);
  index_.Forget(source_.upstream);
}

void KvEventFollower::AppendSockets(std::vector<zmq::pollitem_t>& items) {
  items.push_back({monitor_.handle(), 0, ZMQ_POLLIN, 0});
  items.push_back({replay_ ? replay_->socket.handle() : events_.handle(), 0, ZMQ_POLLIN, 0});
}

void KvEventFollower::Work(TimePoint now) {
  ReadMonitor(now);
  if (!replay_ && second_look_ && now >= *second_look_) {
    second_look_.reset();
    BeginReplay(now);
  }
  replay_ ? ReadReplay(now) : ReadLive(now);
}

// --- the connection

void KvEventFollower::ReadMonitor(TimePoint now) {
  for (std::vector<zmq::message_t> frames; !(frames = Receive(monitor_)).empty();) {
    uint16_t event = 0;
    AUTOGLM_CHECK(frames[0].size() >= sizeof event);
    std::memcpy(&event, frames[0].data(), sizeof event);
    if (event == ZMQ_EVENT_DISCONNECTED) OnDisconnected();
    // Not only when a gap shows: an upstream that has nothing to tell now may have told much.
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED && !replay_ && !source_.replay_endpoint.empty()) {
      second_look_ = now + kSubscriptionTime;
      BeginReplay(now);
    }
  }
}

void KvEventFollower::OnDisconnected() {
  while (!Receive(events_).empty()) continue;  // what came before
  replay_.reset();
  second_look_.reset();
  waiting_.reset();
  sequence_.Reset();
  index_.Forget(source_.upstream);
}

// --- live messages

void KvEventFollower::ReadLive(TimePoint now) {
  for (int i = 0; i < kMessagesAtOnce && !replay_; ++i) {
    std::vector<zmq::message_t> frames = Receive(events_);
    if (frames.empty()) return;
    if (frames.size() != 3 || frames[1].size() != kNumberBytes) {
      Report({.code = ErrorCode::kInvalidArgument, .message = "a message has other frames than topic, number and batch"});
      continue;
    }
    OnLive({.number = FromBigEndian(frames[1]), .batch = std::move(frames[2])}, now);
  }
}

void KvEventFollower::OnLive(Message message, TimePoint now) {
  switch (sequence_.Live(message.number)) {
    case EventSequence::Verdict::kNext:
      return Take(message);
    case EventSequence::Verdict::kSeen:
      return;
    case EventSequence::Verdict::kMissed:
      if (source_.replay_endpoint.empty()) return TakeWithoutThoseBefore(message);
      waiting_ = std::move(message);
      return BeginReplay(now);
  }
}

// --- replays

void KvEventFollower::BeginReplay(TimePoint now) {
  try {
    zmq::socket_t socket(context_, zmq::socket_type::dealer);
    SetLimits(socket);
    socket.connect(source_.replay_endpoint);
    const auto first = BigEndian(sequence_.next());
    (void)socket.send(zmq::buffer("", 0), zmq::send_flags::sndmore | zmq::send_flags::dontwait);
    (void)socket.send(zmq::buffer(first), zmq::send_flags::dontwait);
    replay_.emplace(std::move(socket), now + kReplayTimeout);
  } catch (const zmq::error_t& error) {
    Report({.code = ErrorCode::kInvalidArgument,
            .message = fmt::format("a replay cannot be had from '{}': {}", source_.replay_endpoint, error.what())});
    EndReplay();
  }
}

void KvEventFollower::ReadReplay(TimePoint now) {
  for (int i = 0; i < kMessagesAtOnce; ++i) {
    std::vector<zmq::message_t> frames = Receive(replay_->socket);
    if (frames.empty()) break;
    replay_->deadline = now + kReplayTimeout;
    if (frames.size() != 3 || frames[1].size() != kNumberBytes) continue;
    const Message message{.number = FromBigEndian(frames[1]), .batch = std::move(frames[2])};
    if (message.number == kEndOfReplay) return EndReplay();
    OnReplayed(message);
  }
  if (now < replay_->deadline) return;
  Report({.code = ErrorCode::kUnavailable, .message = fmt::format("'{}' gives no replay", source_.replay_endpoint)});
  EndReplay();
}

void KvEventFollower::OnReplayed(const Message& message) {
  const EventSequence::Verdict verdict = sequence_.Replayed(message.number);
  if (verdict == EventSequence::Verdict::kNext) Take(message);
  if (verdict == EventSequence::Verdict::kMissed) TakeWithoutThoseBefore(message);
}

void KvEventFollower::EndReplay() {
  replay_.reset();
  if (waiting_) OnReplayed(*std::exchange(waiting_, std::nullopt));
}

// --- into the index

void KvEventFollower::TakeWithoutThoseBefore(const Message& message) {
  index_.Forget(source_.upstream);
  Take(message);
}

void KvEventFollower::Take(const Message& message) {
  // The first message of all: nothing was there before.
  if (sequence_.is_at_beginning() && message.number == 0) {
    index_.Forget(source_.upstream);
    const EngineEvent cleared{.kind = EngineEvent::Kind::kCleared};
    index_.Apply(source_.upstream, {&cleared, 1});
  }
  sequence_.Take(message.number);
  const auto events = ParseEventBatch({message.batch.data<uint8_t>(), message.batch.size()});
  if (events) return index_.Apply(source_.upstream, *events);
  Report(events.error());
  index_.Forget(source_.upstream);
}

void KvEventFollower::Report(const Error& problem) {
  if (std::exchange(last_problem_, problem.message) != problem.message) on_problem_(source_.upstream, problem);
}

}  // namespace autoglm::discovery
