#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "base/clock.h"
#include "base/result.h"
#include "discovery/event_sequence.h"
#include "discovery/exact_prefix_index.h"

namespace autoglm::discovery {

// Where an upstream publishes what it has in memory.
struct KvEventSource {
  std::string upstream;         // its name in the index
  std::string endpoint;         // tcp://host:5557, connected to
  std::string replay_endpoint;  // empty: none

  bool operator==(const KvEventSource&) const = default;
};

using KvEventProblem = std::function<void(const std::string& upstream, const Error& problem)>;

// Follows one upstream's events into the index. What was missed is asked for where that is possible; otherwise what the upstream
// has is not known any more, and is learned from then on. The same after a broken connection, since the upstream may have been
// started anew. The index may know too little of it, never too much.
//
// On the subscriber's thread.
class KvEventFollower {
 public:
  // Connecting goes on for as long as it takes. Errors: kInvalidArgument for an endpoint that ZeroMQ does not take.
  static Result<std::unique_ptr<KvEventFollower>> Open(zmq::context_t& context, KvEventSource source, ExactPrefixIndex& index,
                                                       KvEventProblem on_problem);
  // Nothing is known of the upstream any more.
  ~KvEventFollower();
  KvEventFollower(const KvEventFollower&) = delete;
  KvEventFollower& operator=(const KvEventFollower&) = delete;

  const KvEventSource& source() const { return source_; }

  // What to wait for before Work.
  void AppendSockets(std::vector<zmq::pollitem_t>& items);
  std::optional<TimePoint> deadline() const { return replay_ ? std::optional(replay_->deadline) : second_look_; }
  // Reads what is there, some hundred messages at most, so that others have their turn.
  void Work(TimePoint now);

 private:
  struct Message {
    uint64_t number = 0;
    zmq::message_t batch;
  };
  struct Replay {
    zmq::socket_t socket;
    TimePoint deadline;
  };

  KvEventFollower(zmq::context_t& context, KvEventSource source, ExactPrefixIndex& index, KvEventProblem on_problem);

  bool Connect();  // false: see zmq_errno; or throws ZeroMQ's error
  void ReadMonitor(TimePoint now);
  void OnDisconnected();
  void ReadLive(TimePoint now);
  void OnLive(Message message, TimePoint now);
  void BeginReplay(TimePoint now);
  void ReadReplay(TimePoint now);
  void OnReplayed(const Message& message);
  void EndReplay();
  void Take(const Message& message);
  void TakeWithoutThoseBefore(const Message& message);
  void Report(const Error& problem);

  zmq::context_t& context_;
  const KvEventSource source_;
  ExactPrefixIndex& index_;
  const KvEventProblem on_problem_;
  std::string last_problem_;

  zmq::socket_t events_;
  zmq::socket_t monitor_;
  EventSequence sequence_;
  std::optional<Replay> replay_;  // while there is one, live messages wait
  std::optional<TimePoint> second_look_;
  std::optional<Message> waiting_;  // that showed the gap which is being replayed
};

}  // namespace autoglm::discovery
