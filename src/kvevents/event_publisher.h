#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "kvcache/block_listener.h"
#include "kvevents/event_batch.h"

namespace autoglm {

struct EventPublisherOptions {
  // As vLLM takes it: bound where the host is "*" or an address, connected where it is a name (a router that is bound).
  std::string endpoint;         // tcp://*:5557
  std::string replay_endpoint;  // bound; empty: none
  std::string topic;
  size_t max_queued = 1 << 14;           // events
  size_t max_batch = 512;                // events in one message
  size_t max_replayed = 10'000;          // messages that are kept,
  size_t max_replayed_bytes = 64 << 20;  // and their bytes
};

struct EventPublisherStats {
  int64_t num_published = 0;  // events
  int64_t num_dropped = 0;
};

// Tells routers over ZeroMQ which prefixes a model has in memory, in the format of vLLM's ZmqEventPublisher, so that whoever
// follows vLLM follows this. A message of the PUB socket has three frames: topic, sequence number (8 bytes, big-endian, from 0
// on), batch. Who missed some sends the number of the first to the ROUTER socket, [empty, number], and gets [empty, number,
// batch] for each that is still kept, and at the end the number -1 with an empty batch.
//
// A thread of its own sends. Where it cannot keep up, events are dropped until the queue is empty, and followers are told that
// all blocks are gone: they may know too little, never too much.
//
// One BlockManager at a time may have it as its listener; it tells of nothing else. The first message says that nothing is there.
class EventPublisher : public BlockListener {
 public:
  // Errors: kInvalidArgument for an endpoint that ZeroMQ does not take, kIo for one that is in use.
  static Result<std::unique_ptr<EventPublisher>> Start(EventPublisherOptions options);
  // Sends what is queued.
  ~EventPublisher() override;

  void OnStored(BlockIndex block, const BlockKey& key, const BlockKey& parent, std::span<const TokenId> tokens) override;
  void OnRemoved(BlockIndex block, const BlockKey& key, BlockRemoval why) override;
  // All blocks are gone: the model was unloaded.
  void OnCleared();

  // Any thread.
  EventPublisherStats stats() const;

 private:
  struct Sockets;
  struct Sent {
    uint64_t sequence = 0;
    std::vector<uint8_t> payload;
  };

  EventPublisher(EventPublisherOptions options, std::unique_ptr<Sockets> sockets);

  void Push(const KvEvent& event);
  void ThreadMain();
  bool PublishBatch();
  std::vector<KvEvent> TakeBatch();
  void Remember(Sent sent);
  void AnswerReplay();

  const EventPublisherOptions options_;

  // Publisher thread only.
  std::unique_ptr<Sockets> sockets_;
  uint64_t next_sequence_ = 0;
  std::deque<Sent> sent_;
  size_t sent_bytes_ = 0;

  mutable std::mutex mutex_;  // of the queue and the counts
  std::deque<KvEvent> queue_;
  bool has_dropped_ = false;  // since the queue was last empty
  EventPublisherStats stats_;

  std::atomic<bool> is_stopping_{false};
  std::thread thread_;
};

}  // namespace autoglm
