#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/client.h"
#include "http/event_loop_core.h"
#include "http/response_parser.h"
#include "http/transport.h"

namespace autoglm::http {

// A client's connection to one origin, living on one loop: it connects with its first request, then carries one at a time.
//
// The socket is watched also while idle, so that a server that closes is noticed before the connection is used again.
class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
 public:
  using Endpoint = boost::asio::ip::tcp::endpoint;

  struct Hooks {
    std::function<void(const std::shared_ptr<ClientConnection>&)> on_idle;  // it may carry another request
    std::function<void(ClientConnection&)> on_closed;                       // it was idle, and is not any more
  };

  ClientConnection(EventLoop::Core& loop, Origin origin, int64_t max_head_bytes, const Hooks& hooks);

  // Sends it: at once where the connection is there, else once Connect is done. `receiver` may get its first call from within.
  void Begin(ClientRequest request, ResponseReceiver& receiver, std::chrono::steady_clock::time_point begun);
  // Tries these in turn; empty: there is no such name, for the reason given.
  void Connect(std::vector<Endpoint> endpoints, std::string reason);

  // Of the call with this number; of one that is over nothing happens.
  void Cancel(uint64_t call);
  void Pause(uint64_t call);
  void Resume(uint64_t call);
  void Close();
  // Of the last call, if that is its number; else of one that did not get so far.
  CallTimes TimesOf(uint64_t call) const { return call == call_ ? times_ : CallTimes{}; }

  uint64_t call() const { return call_; }  // the last one's number
  bool was_used() const { return num_served_ > 0; }
  const Origin& origin() const { return origin_; }
  std::chrono::steady_clock::time_point idle_since() const { return idle_since_; }

 private:
  using Clock = std::chrono::steady_clock;
  enum class Phase { kConnecting, kSending, kWaiting, kReceiving, kIdle, kClosed };  // waiting: for the body's first byte

  void ConnectNext();
  void ContinueHandshake();
  void StartSending();
  void ContinueSending();
  void WaitFor(IoStatus status, void (ClientConnection::*then)());

  void StartRead();
  void OnReadable();
  void ReadWhatIsThere();
  void OnInput(std::string_view bytes);
  bool Deliver();
  void OnInputEnd(std::string_view why);
  enum class Reuse { kPossible, kNot };
  void Finish(Reuse reuse);
  void Fail(ClientFailure failure, std::string message);
  ClientFailure FailureOfClosing() const;

  Clock::time_point Deadline() const;
  void ArmIfEarlier();
  void OnTimer();

  EventLoop::Core& loop_;
  const Origin origin_;
  const int64_t max_head_bytes_;
  const Hooks& hooks_;
  Transport transport_;
  boost::asio::steady_timer timer_;
  std::optional<Clock::time_point> armed_for_;

  Phase phase_ = Phase::kConnecting;
  std::vector<Endpoint> endpoints_;  // still to be tried
  std::string connect_failure_;      // of the last one
  bool is_reading_ = false;
  bool is_paused_ = false;
  Clock::time_point idle_since_{};
  uint64_t num_served_ = 0;

  // Of the call that goes on.
  uint64_t call_ = 0;
  ResponseReceiver* receiver_ = nullptr;  // null: none goes on
  ClientRequest request_;
  std::string head_;     // of the request
  size_t num_sent_ = 0;  // of head and body
  std::optional<ResponseParser> parser_;
  std::string input_;       // read and not parsed
  bool has_input_ = false;  // any byte of the answer
  bool has_head_ = false;   // and the receiver too
  Clock::time_point begun_{};
  CallTimes times_;
  Clock::time_point phase_since_{};  // receiving: the last byte
};

}  // namespace autoglm::http
