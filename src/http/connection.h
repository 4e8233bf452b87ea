#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "http/exchange_state.h"
#include "http/http_error.h"
#include "http/request_parser.h"
#include "http/response_encoder.h"
#include "http/server_core.h"
#include "http/transport.h"

namespace autoglm::http {

// One client's connection, living on one I/O thread; every method runs there.
//
// The socket is read whenever it has bytes, also while a request is being answered: that is how a client that closes or
// resets is noticed at once, and early bytes of a next request wait in `input_`. A client that shuts down only its sending
// side looks the same as one that closed, and is treated as gone. A client that has sent more than kReadAheadBytes ahead
// is not read further until its turn, so its leaving is then noticed by writing only.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  enum class Admission { kServe, kRefuse };  // kRefuse: the server is full, answer 503 and close

  Connection(ServerCore& core, IoThread& io, boost::asio::ip::tcp::socket socket, Admission admission);

  void Start();
  // Ends the connection whatever it is doing; a running exchange sees its client gone.
  void Close();
  // The server has begun to drain: an idle connection closes.
  void OnDrain();

 private:
  using Clock = std::chrono::steady_clock;
  enum class ReadOutcome { kRequest, kRejected, kClosed };
  enum class Waiting { kNothing, kFirstByte, kHead, kBody };

  boost::asio::awaitable<void> Run();
  boost::asio::awaitable<bool> Handshake();
  boost::asio::awaitable<bool> ServeOne();
  boost::asio::awaitable<ReadOutcome> ReadRequest(RequestParser& parser);
  bool FeedInput(RequestParser& parser, BodyShare& share);
  void StampParts(const RequestParser& parser);
  void UpdateReadDeadline(const RequestParser& parser);
  std::chrono::milliseconds FirstByteTimeout() const;
  bool IsIdleInDrain() const;
  boost::asio::awaitable<bool> Answer(RequestParser& parser);
  boost::asio::awaitable<bool> WriteAnswer(ExchangeState& state, ResponseEncoder& encoder);
  boost::asio::awaitable<bool> WriteAll(OutputPieces out, ExchangeState* state);
  void Report(ExchangeState& state, bool is_complete);
  // Answers with rejection_. No parameter: GCC 12 destroys a braced temporary in a co_await expression twice.
  boost::asio::awaitable<void> Refuse();
  boost::asio::awaitable<void> Linger();

  // Suspends the one coroutine until Signal or GoOn; it looks at the members again, so a spurious wake-up does no harm.
  boost::asio::awaitable<void> WaitForSignal();
  void Signal();  // it goes on soon
  void GoOn();    // at once: the last that a handler does, which keeps the connection alive

  boost::asio::awaitable<void> WaitForSocket(IoStatus status);

  void StartRead();
  void OnReadable();
  bool ReadSome();
  void OnWake();
  void AbandonExchange();
  void CloseSocket();
  void Finish();

  // One timer for every timeout, rearmed only when a deadline comes nearer: moving a deadline away costs no system call.
  void SetDeadline(Clock::time_point deadline);
  void ClearDeadline();
  void ArmTimer();
  void OnTimer();

  ServerCore& core_;
  IoThread& io_;
  Transport transport_;
  const Admission admission_;
  std::string peer_;

  using Waiter = boost::asio::async_result<boost::asio::use_awaitable_t<>, void()>::handler_type;
  std::optional<Waiter> waiter_;  // the coroutine, while it waits for a signal
  boost::asio::steady_timer timer_;
  Clock::time_point deadline_ = Clock::time_point::max();
  std::optional<Clock::time_point> armed_for_;
  bool is_expired_ = false;

  std::string input_;                // bytes read and not yet parsed
  Clock::time_point input_since_{};  // when the first byte of the next request came; zero before
  bool is_reading_ = false;
  bool is_read_closed_ = false;
  bool is_lingering_ = false;
  bool is_waiting_for_socket_ = false;
  bool is_closed_ = false;

  // Of the request that is read or answered.
  Clock::time_point head_complete_{};
  Clock::time_point body_complete_{};
  int64_t num_answer_bytes_ = 0;
  Duration write_blocked_{};

  Waiting waiting_ = Waiting::kNothing;
  int64_t num_served_ = 0;
  std::optional<Rejection> rejection_;
  bool ends_politely_ = false;               // the last answer is written and the client must get the chance to read it
  std::shared_ptr<ExchangeState> exchange_;  // while one is open
};

}  // namespace autoglm::http
