#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "http/server.h"

namespace autoglm::http {

// What a handler's threads and a connection's I/O thread share about one request. The handler's side fills it under a lock
// and wakes the connection at most once per batch; the connection takes everything there is in one go, so writes that
// arrive while the socket is busy become one gathered write. After Detach or MarkGone nothing touches the connection.
class ExchangeState {
 public:
  // `wake` is called under the lock, from any thread; it must only post.
  ExchangeState(int64_t max_backlog_bytes, std::function<void()> wake);

  // The handler's side: Exchange's methods, and Drop when its last owner lets go of it.
  void Send(Response response);
  void Start(Response head);
  void Write(std::string data);
  void End();
  void OnClientGone(std::function<void()> callback);
  void OnDelivered(std::function<void(const RequestDelivery&)> callback);
  void Drop();
  int64_t backlog_bytes() const;

  // The connection's side.
  struct Batch {
    std::optional<Response> head;
    bool is_streamed = false;
    std::vector<std::string> chunks;
    bool is_ended = false;
    bool is_abandoned = false;  // dropped in the middle of a stream: the body cannot be completed
    bool empty() const { return !head && chunks.empty() && !is_ended && !is_abandoned; }
  };
  Batch Take();
  // Bytes of the last batch that the kernel has not taken yet.
  void SetInFlight(int64_t bytes);
  // The handler has written more than the client reads.
  bool is_overflowed() const;
  void Detach();
  // Detaches and calls the client-gone callback, unless the handler's part was over.
  void MarkGone();
  // Tells whoever wants to know, once.
  void MarkDelivered(const RequestDelivery& delivery);

 private:
  enum class Phase { kUnanswered, kStreaming, kAnswered };

  void WakeLocked();
  void AnswerLocked(Response response);

  const int64_t max_backlog_bytes_;
  mutable std::mutex mutex_;
  std::function<void()> wake_;   // empty once detached
  bool is_wake_pending_ = true;  // the connection takes the first batch without being asked
  bool is_gone_ = false;
  bool is_overflowed_ = false;
  Phase phase_ = Phase::kUnanswered;
  Batch batch_;
  int64_t waiting_bytes_ = 0;
  int64_t in_flight_bytes_ = 0;
  std::function<void()> on_gone_;
  std::function<void(const RequestDelivery&)> on_delivered_;
};

// The handler's end; its destruction is the Drop.
std::shared_ptr<Exchange> MakeExchange(std::shared_ptr<ExchangeState> state);

}  // namespace autoglm::http
