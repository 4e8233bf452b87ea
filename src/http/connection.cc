#include "http/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <span>
#include <utility>

#include "http/tcp_figures.h"
#include "telemetry/log.h"

namespace autoglm::http {
namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

// Bytes read beyond the request being answered (on top of one maximal head).
constexpr int64_t kReadAheadBytes = 64 << 10;

// How long a client may go on sending after its last answer: closing on unread bytes would reset the connection and take
// the answer with it (RFC 9112 section 9.6).
constexpr std::chrono::milliseconds kLingerTime{1000};

// A connection accepted just before the drain may have its first request on the way.
constexpr std::chrono::milliseconds kDrainGrace{250};

constexpr std::chrono::milliseconds kLeastExplained{5};

std::string PeerName(const asio::ip::tcp::socket& socket) {
  error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  if (error) return "unknown";
  const std::string address = endpoint.address().to_string();
  return endpoint.address().is_v6() ? fmt::format("[{}]:{}", address, endpoint.port())
                                    : fmt::format("{}:{}", address, endpoint.port());
}

}  // namespace

Connection::Connection(ServerCore& core, IoThread& io, asio::ip::tcp::socket socket, Admission admission)
    : core_(core),
      io_(io),
      transport_(std::move(socket)),
      admission_(admission),
      peer_(PeerName(transport_.socket())),
      timer_(io.context()) {}

void Connection::Start() {
  io_.connections.insert(this);
  auto self = shared_from_this();
  asio::co_spawn(io_.context(), Run(), [self](std::exception_ptr failure) {
    if (failure) Log(LogLevel::kError, "http_connection_failed", {{"peer", std::string_view(self->peer_)}});
    self->Finish();
  });
}

void Connection::Close() {
  AbandonExchange();
  CloseSocket();
}

void Connection::Finish() {
  AbandonExchange();
  CloseSocket();
  io_.connections.erase(this);
  core_.num_connections.fetch_sub(1);
}

void Connection::AbandonExchange() {
  // The callback may run anything, so the member is empty before it does.
  const auto exchange = std::exchange(exchange_, nullptr);
  if (exchange == nullptr) return;
  exchange->MarkGone();
  Report(*exchange, false);
}

void Connection::CloseSocket() {
  if (is_closed_) return;
  is_closed_ = true;
  transport_.Close();
  timer_.cancel();
  Signal();
}

asio::awaitable<void> Connection::Run() {
  if (!co_await Handshake()) co_return;
  if (admission_ == Admission::kRefuse) {
    rejection_ = Rejection{503, "too_many_connections", "The server has too many open connections. Try again later."};
    co_await Refuse();
  } else {
    bool goes_on = true;
    while (goes_on) goes_on = co_await ServeOne();
  }
  if (ends_politely_) co_await Linger();
}

asio::awaitable<bool> Connection::Handshake() {
  if (!transport_.Open(core_.options.tls.get(), "")) co_return false;
  if (core_.options.tls == nullptr) co_return true;
  SetDeadline(Clock::now() + core_.options.header_timeout);
  for (;;) {
    if (is_closed_) co_return false;
    const IoStatus status = transport_.Handshake();
    if (status == IoStatus::kDone) break;
    if (status == IoStatus::kFailed) {
      Log(LogLevel::kInfo, "tls_handshake_failed",
          {{"peer", std::string_view(peer_)}, {"reason", std::string_view(transport_.failure())}});
      co_return false;
    }
    co_await WaitForSocket(status);
  }
  ClearDeadline();
  co_return true;
}

asio::awaitable<void> Connection::WaitForSocket(IoStatus status) {
  is_waiting_for_socket_ = true;
  const auto what = status == IoStatus::kNeedsReadable ? asio::ip::tcp::socket::wait_read : asio::ip::tcp::socket::wait_write;
  co_await transport_.socket().async_wait(what, kNoThrow);
  is_waiting_for_socket_ = false;
}

asio::awaitable<bool> Connection::ServeOne() {
  RequestParser parser({core_.options.max_header_bytes, core_.options.max_body_bytes});
  waiting_ = Waiting::kNothing;
  const ReadOutcome outcome = co_await ReadRequest(parser);
  if (outcome == ReadOutcome::kRejected) co_await Refuse();
  if (outcome != ReadOutcome::kRequest || is_read_closed_) co_return false;
  ++num_served_;
  co_return co_await Answer(parser);
}

asio::awaitable<Connection::ReadOutcome> Connection::ReadRequest(RequestParser& parser) {
  BodyShare share(core_);
  bool told_to_continue = false;
  head_complete_ = {};
  for (;;) {
    if (is_closed_) co_return ReadOutcome::kClosed;
    if (!FeedInput(parser, share)) co_return ReadOutcome::kRejected;
    StampParts(parser);
    if (parser.stage() == RequestParser::Stage::kComplete) break;
    if (is_read_closed_ || IsIdleInDrain()) co_return ReadOutcome::kClosed;

    if (parser.stage() == RequestParser::Stage::kBody && parser.expects_continue() && !told_to_continue) {
      told_to_continue = true;
      OutputPieces out;
      out.Append("HTTP/1.1 100 Continue\r\n\r\n");
      if (!co_await WriteAll(std::move(out), nullptr)) co_return ReadOutcome::kClosed;
    }
    UpdateReadDeadline(parser);
    StartRead();
    co_await WaitForSignal();
    if (is_expired_) {
      if (waiting_ == Waiting::kFirstByte) co_return ReadOutcome::kClosed;
      rejection_ = Rejection{408, "request_timeout", "The request took too long to arrive. Send it faster."};
      co_return ReadOutcome::kRejected;
    }
  }
  ClearDeadline();
  co_return ReadOutcome::kRequest;
}

void Connection::StampParts(const RequestParser& parser) {
  if (parser.stage() == RequestParser::Stage::kHead) return;
  const bool is_complete = parser.stage() == RequestParser::Stage::kComplete;
  if (head_complete_ != Clock::time_point{} && !is_complete) return;
  const Clock::time_point now = Clock::now();
  if (head_complete_ == Clock::time_point{}) head_complete_ = now;
  if (is_complete) body_complete_ = now;
}

// False when the request must be refused; rejection_ says why.
bool Connection::FeedInput(RequestParser& parser, BodyShare& share) {
  if (input_.empty()) return true;
  const auto consumed = parser.Feed(input_);
  if (!consumed) {
    rejection_ = consumed.error();
    return false;
  }
  input_.erase(0, *consumed);
  // A complete body is on its way to the handler, which will not keep it.
  if (parser.stage() == RequestParser::Stage::kBody && !share.GrowTo(parser.num_body_bytes())) {
    rejection_ = Rejection{503, "too_many_bodies", "Too many large requests are on their way to the server. Try again later."};
    return false;
  }
  if (parser.stage() != RequestParser::Stage::kComplete &&
      std::ssize(input_) >= kReadAheadBytes + core_.options.max_header_bytes) {
    rejection_ = Rejection{400, "malformed_request", "The request has a chunk header or trailer that is too long."};
    return false;
  }
  return true;
}

// Each part of a request has its own time, counted from where it begins.
void Connection::UpdateReadDeadline(const RequestParser& parser) {
  Waiting now_waiting = Waiting::kFirstByte;
  if (parser.stage() == RequestParser::Stage::kBody) {
    now_waiting = Waiting::kBody;
  } else if (input_since_ != Clock::time_point{}) {
    now_waiting = Waiting::kHead;
  }
  if (now_waiting == waiting_) return;
  waiting_ = now_waiting;
  const Clock::time_point now = Clock::now();
  switch (waiting_) {
    case Waiting::kFirstByte:
      SetDeadline(now + FirstByteTimeout());
      break;
    case Waiting::kHead:
      SetDeadline(input_since_ + core_.options.header_timeout);
      break;
    default:
      SetDeadline(now + core_.options.body_timeout);
  }
}

std::chrono::milliseconds Connection::FirstByteTimeout() const {
  if (core_.is_draining) return kDrainGrace;
  return num_served_ == 0 ? core_.options.header_timeout : core_.options.idle_timeout;
}

void Connection::OnDrain() {
  if (waiting_ == Waiting::kFirstByte) waiting_ = Waiting::kNothing;
  Signal();
}

bool Connection::IsIdleInDrain() const {
  if (!core_.is_draining || num_served_ == 0 || input_since_ != Clock::time_point{}) return false;
  error_code error;
  return transport_.socket().available(error) == 0 && !transport_.has_buffered_input();
}

asio::awaitable<bool> Connection::Answer(RequestParser& parser) {
  auto request = std::make_shared<Request>(parser.TakeRequest());
  request->peer = peer_;
  request->accepted = input_since_;
  request->head_complete = head_complete_;
  request->body_complete = body_complete_;
  // What is left in the input is the beginning of the next request. Nothing left: a large body's room goes back.
  input_since_ = input_.empty() ? Clock::time_point{} : Clock::now();
  if (input_.empty()) input_.shrink_to_fit();

  // A HEAD request is a GET whose body nobody wants.
  const bool is_head_request = request->method == "HEAD";
  if (is_head_request) request->method = "GET";
  ResponseEncoder encoder({is_head_request, parser.is_http_1_0(), parser.keep_alive()});

  auto self = shared_from_this();
  const auto state = std::make_shared<ExchangeState>(core_.options.max_write_backlog_bytes,
                                                     [self] { asio::post(self->io_.context(), [self] { self->OnWake(); }); });
  exchange_ = state;
  num_answer_bytes_ = 0;
  write_blocked_ = {};
  StartRead();
  io_.handler(std::move(request), MakeExchange(state));

  const bool is_complete = co_await WriteAnswer(*state, encoder);
  if (is_complete) Report(*state, true);
  exchange_.reset();
  is_complete ? state->Detach() : state->MarkGone();
  if (!is_complete) Report(*state, false);
  if (!is_complete) co_return false;
  ends_politely_ = !encoder.keeps_alive();
  co_return encoder.keeps_alive();
}

void Connection::Report(ExchangeState& state, bool is_complete) {
  const Clock::time_point now = Clock::now();
  RequestDelivery delivery{
      .ended = now, .is_complete = is_complete, .num_sent_bytes = num_answer_bytes_, .write_blocked = write_blocked_};
  // Where a request was over in no time, there is nothing that the connection could explain.
  if (now - body_complete_ >= kLeastExplained && !is_closed_) delivery.tcp = TcpFiguresOf(transport_.socket().native_handle());
  state.MarkDelivered(delivery);
}

asio::awaitable<bool> Connection::WriteAnswer(ExchangeState& state, ResponseEncoder& encoder) {
  for (;;) {
    if (is_closed_) co_return false;
    ExchangeState::Batch batch = state.Take();
    if (batch.is_abandoned) {
      Log(LogLevel::kError, "http_stream_abandoned", {{"peer", std::string_view(peer_)}});
      co_return false;
    }
    if (batch.empty()) {
      co_await WaitForSignal();
      continue;
    }
    OutputPieces out;
    if (batch.head) {
      if (core_.is_draining) encoder.CloseAfterThis();
      encoder.EncodeHead(*std::move(batch.head), batch.is_streamed ? BodyPart::kStreamed : BodyPart::kWhole, out);
    }
    for (std::string& chunk : batch.chunks) encoder.EncodeChunk(std::move(chunk), out);
    if (batch.is_ended) encoder.EncodeEnd(out);
    if (!co_await WriteAll(std::move(out), &state)) co_return false;
    if (batch.is_ended) co_return true;
  }
}

asio::awaitable<bool> Connection::WriteAll(OutputPieces out, ExchangeState* state) {
  std::vector<asio::const_buffer> buffers;
  for (const std::string& piece : out.pieces()) buffers.push_back(asio::buffer(piece));
  int64_t num_left = static_cast<int64_t>(asio::buffer_size(buffers));
  std::span<asio::const_buffer> left(buffers);
  if (state != nullptr) state->SetInFlight(num_left);

  while (num_left > 0) {
    if (is_closed_) co_return false;
    size_t num_written = 0;
    const IoStatus status = transport_.Write(left, num_written);
    if (status == IoStatus::kNeedsWritable || status == IoStatus::kNeedsReadable) {
      const Clock::time_point blocked_since = Clock::now();
      SetDeadline(blocked_since + core_.options.write_timeout);
      co_await WaitForSocket(status);
      ClearDeadline();
      write_blocked_ += Clock::now() - blocked_since;
      continue;
    }
    if (status != IoStatus::kDone) co_return false;
    num_left -= static_cast<int64_t>(num_written);
    num_answer_bytes_ += static_cast<int64_t>(num_written);
    if (state != nullptr) state->SetInFlight(num_left);
    while (!left.empty() && num_written >= left.front().size()) {
      num_written -= left.front().size();
      left = left.subspan(1);
    }
    if (!left.empty()) left.front() += num_written;
  }
  co_return true;
}

asio::awaitable<void> Connection::Refuse() {
  Log(LogLevel::kInfo, "http_request_refused",
      {{"peer", std::string_view(peer_)}, {"status", int64_t{rejection_->status}}, {"code", rejection_->code}});
  core_.options.on_refused({.status = rejection_->status, .code = rejection_->code, .peer = peer_});
  ResponseEncoder encoder({.keep_alive = false});
  OutputPieces out;
  encoder.EncodeHead(RejectionResponse(*rejection_), BodyPart::kWhole, out);
  is_expired_ = false;
  ends_politely_ = co_await WriteAll(std::move(out), nullptr);
}

asio::awaitable<void> Connection::Linger() {
  transport_.ShutdownSend();
  is_lingering_ = true;
  input_.clear();
  SetDeadline(Clock::now() + kLingerTime);
  while (!is_closed_ && !is_read_closed_ && !is_expired_) {
    StartRead();
    co_await WaitForSignal();
  }
}

asio::awaitable<void> Connection::WaitForSignal() {
  auto wait = [this](Waiter waiter) { waiter_.emplace(std::move(waiter)); };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(wait, asio::use_awaitable);
}

void Connection::Signal() {
  if (waiter_) asio::post(io_.context(), [self = shared_from_this()] { self->GoOn(); });
}

void Connection::GoOn() {
  if (!waiter_) return;
  Waiter waiter = *std::move(waiter_);
  waiter_.reset();
  std::move(waiter)();
}

void Connection::StartRead() {
  if (is_reading_ || is_closed_ || is_read_closed_) return;
  if (std::ssize(input_) >= kReadAheadBytes + core_.options.max_header_bytes) return;
  is_reading_ = true;
  transport_.socket().async_wait(asio::ip::tcp::socket::wait_read, [self = shared_from_this()](error_code) {
    self->is_reading_ = false;
    self->OnReadable();
  });
}

void Connection::OnReadable() {
  if (is_closed_) return;
  // TLS reads whole records: what it has left would not make the socket readable again.
  do {
    if (!ReadSome()) break;
  } while (transport_.has_buffered_input());
  if (!is_read_closed_) StartRead();
  GoOn();
}

// False where there is no more.
bool Connection::ReadSome() {
  size_t num_read = 0;
  const IoStatus status = transport_.Read(io_.scratch(), num_read);
  if (status == IoStatus::kNeedsReadable || status == IoStatus::kNeedsWritable) return false;
  if (status != IoStatus::kDone) {
    is_read_closed_ = true;
    // Nobody is left to read the answer.
    if (exchange_ != nullptr) Close();
    return false;
  }
  if (is_lingering_) return true;
  if (input_since_ == Clock::time_point{}) input_since_ = Clock::now();
  input_.append(io_.scratch().data(), num_read);
  return true;
}

void Connection::OnWake() {
  if (exchange_ != nullptr && exchange_->is_overflowed()) {
    Log(LogLevel::kWarning, "http_client_too_slow", {{"peer", std::string_view(peer_)}});
    Close();
  }
  GoOn();
}

void Connection::SetDeadline(Clock::time_point deadline) {
  deadline_ = deadline;
  is_expired_ = false;
  if (!armed_for_ || deadline < *armed_for_) ArmTimer();
}

void Connection::ClearDeadline() {
  deadline_ = Clock::time_point::max();
  is_expired_ = false;
}

void Connection::ArmTimer() {
  if (is_closed_) return;
  armed_for_ = deadline_;
  timer_.expires_at(deadline_);
  timer_.async_wait([self = shared_from_this()](error_code error) {
    if (!error) self->OnTimer();
  });
}

void Connection::OnTimer() {
  if (is_closed_) return;
  armed_for_.reset();
  if (deadline_ == Clock::time_point::max()) return;
  if (Clock::now() < deadline_) {
    ArmTimer();
    return;
  }
  is_expired_ = true;
  // A client that takes no bytes leaves nothing to say; the writer would wait forever.
  if (is_waiting_for_socket_) Close();
  GoOn();
}

}  // namespace autoglm::http
