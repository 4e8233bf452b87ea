#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "base/result.h"
#include "discovery/exact_prefix_index.h"
#include "discovery/kv_event_follower.h"

namespace autoglm::discovery {

// Follows the KV events of upstreams, on one thread of its own for all of them.
class KvEventSubscriber {
 public:
  static constexpr size_t kMaxSources = 1024;  // what is beyond is told as a problem and not followed

  // `on_problem` is called on that thread, once for each upstream until it is another. The index must outlive it.
  // Errors: kIo where the system gives no more descriptors.
  static Result<std::unique_ptr<KvEventSubscriber>> Start(ExactPrefixIndex& index, KvEventProblem on_problem);
  // What is known of the upstreams is forgotten.
  ~KvEventSubscriber();
  KvEventSubscriber(const KvEventSubscriber&) = delete;
  KvEventSubscriber& operator=(const KvEventSubscriber&) = delete;

  // Any thread; takes effect soon. Those that stay as they are go on; of those that go, nothing is known any more.
  void SetSources(std::vector<KvEventSource> sources);

 private:
  KvEventSubscriber(ExactPrefixIndex& index, KvEventProblem on_problem, int wake_fd);

  void ThreadMain();
  void TakeSources();
  void Wait();
  void Wake() const;

  ExactPrefixIndex& index_;
  const KvEventProblem on_problem_;
  const int wake_fd_;

  // The subscriber's thread only.
  zmq::context_t context_{1};
  std::vector<std::unique_ptr<KvEventFollower>> followers_;

  std::mutex mutex_;
  std::optional<std::vector<KvEventSource>> wanted_;  // nullopt: no others than before

  std::atomic<bool> is_stopping_{false};
  std::thread thread_;
};

}  // namespace autoglm::discovery
