#include "http/client_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/check.h"

namespace autoglm::http {
namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr auto kNever = std::chrono::steady_clock::time_point::max();

// The target is the client's own words on the request line: a space or a line break would end it early.
void AppendTarget(std::string_view target, std::string& out) {
  for (const char c : target) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte == 0x7f) {
      out.append(fmt::format("%{:02X}", byte));
    } else {
      out.push_back(c);
    }
  }
}

std::string RequestHead(const ClientRequest& request, std::string_view authority) {
  std::string head;
  head.reserve(request.headers.text().size() + request.target.size() + authority.size() + 96);
  head.append(request.method).push_back(' ');
  AppendTarget(request.target, head);
  head.append(" HTTP/1.1\r\nHost: ").append(authority).append("\r\n").append(request.headers.text());
  if (request.body != nullptr) head.append("Content-Length: ").append(std::to_string(request.body->size())).append("\r\n");
  head.append("\r\n");
  return head;
}

}  // namespace

ClientConnection::ClientConnection(EventLoop::Core& loop, Origin origin, int64_t max_head_bytes, const Hooks& hooks)
    : loop_(loop),
      origin_(std::move(origin)),
      max_head_bytes_(max_head_bytes),
      hooks_(hooks),
      transport_(asio::ip::tcp::socket(loop.context)),
      timer_(loop.context) {}

void ClientConnection::Begin(ClientRequest request, ResponseReceiver& receiver, Clock::time_point begun) {
  AUTOGLM_CHECK(receiver_ == nullptr);
  ++call_;
  receiver_ = &receiver;
  request_ = std::move(request);
  head_ = RequestHead(request_, origin_.authority);
  num_sent_ = 0;
  parser_.emplace(max_head_bytes_,
                  request_.method == "HEAD" ? ResponseParser::RequestKind::kHead : ResponseParser::RequestKind::kOrdinary);
  has_input_ = false;
  has_head_ = false;
  is_paused_ = false;
  begun_ = begun;
  times_ = {};
  phase_since_ = begun;
  if (phase_ == Phase::kIdle) return StartSending();
  ArmIfEarlier();
}

// --- connecting

void ClientConnection::Connect(std::vector<Endpoint> endpoints, std::string reason) {
  if (phase_ != Phase::kConnecting) return;
  endpoints_ = std::move(endpoints);
  std::ranges::reverse(endpoints_);
  connect_failure_ = std::move(reason);
  ConnectNext();
}

void ClientConnection::ConnectNext() {
  if (endpoints_.empty()) {
    return Fail(ClientFailure::kConnect, fmt::format("Cannot connect to {}: {}", origin_.authority, connect_failure_));
  }
  const Endpoint endpoint = endpoints_.back();
  endpoints_.pop_back();
  transport_.Close();
  transport_.socket().async_connect(endpoint, [self = shared_from_this()](error_code error) {
    if (self->phase_ != Phase::kConnecting) return;
    if (error) {
      self->connect_failure_ = error.message();
      return self->ConnectNext();
    }
    if (!self->transport_.Open(self->origin_.tls.get(), self->origin_.host)) {
      self->connect_failure_ = "the socket or TLS cannot be set up";
      return self->ConnectNext();
    }
    self->ContinueHandshake();
  });
}

void ClientConnection::ContinueHandshake() {
  if (phase_ != Phase::kConnecting) return;
  const IoStatus status = transport_.Handshake();
  if (status == IoStatus::kDone) return StartSending();
  if (status == IoStatus::kFailed) {
    connect_failure_ = transport_.failure();
    return ConnectNext();
  }
  WaitFor(status, &ClientConnection::ContinueHandshake);
}

void ClientConnection::WaitFor(IoStatus status, void (ClientConnection::*then)()) {
  const auto what = status == IoStatus::kNeedsReadable ? asio::ip::tcp::socket::wait_read : asio::ip::tcp::socket::wait_write;
  transport_.socket().async_wait(what, [self = shared_from_this(), then](error_code) { ((*self).*then)(); });
}

// --- sending

void ClientConnection::StartSending() {
  phase_ = Phase::kSending;
  phase_since_ = Clock::now();
  times_.connected = phase_since_;
  ArmIfEarlier();
  StartRead();
  ContinueSending();
}

void ClientConnection::ContinueSending() {
  if (phase_ != Phase::kSending) return;
  const std::string_view body = request_.body == nullptr ? std::string_view() : *request_.body;
  while (num_sent_ < head_.size() + body.size()) {
    const size_t of_head = std::min(num_sent_, head_.size());
    const size_t of_body = num_sent_ - of_head;
    const std::array<asio::const_buffer, 2> left = {asio::buffer(head_.data() + of_head, head_.size() - of_head),
                                                    asio::buffer(body.data() + of_body, body.size() - of_body)};
    size_t num_written = 0;
    const IoStatus status = transport_.Write(left, num_written);
    if (status == IoStatus::kNeedsReadable || status == IoStatus::kNeedsWritable) {
      return WaitFor(status, &ClientConnection::ContinueSending);
    }
    // An answer that came before all was sent, such as a refusal of a large body, may wait to be read.
    if (status != IoStatus::kDone) return asio::post(loop_.context, [self = shared_from_this()] { self->OnReadable(); });
    num_sent_ += num_written;
  }
  times_.sent = Clock::now();
  phase_ = Phase::kWaiting;
}

// --- receiving

void ClientConnection::StartRead() {
  if (is_reading_ || is_paused_ || phase_ == Phase::kClosed) return;
  is_reading_ = true;
  transport_.socket().async_wait(asio::ip::tcp::socket::wait_read, [self = shared_from_this()](error_code) {
    self->is_reading_ = false;
    self->OnReadable();
  });
}

void ClientConnection::OnReadable() {
  if (is_paused_ || phase_ == Phase::kClosed || phase_ == Phase::kConnecting) return;
  const auto self = shared_from_this();
  ReadWhatIsThere();
  StartRead();
}

void ClientConnection::ReadWhatIsThere() {
  do {
    size_t num_read = 0;
    const IoStatus status = transport_.Read(loop_.scratch, num_read);
    if (status == IoStatus::kNeedsReadable) return;
    if (status == IoStatus::kNeedsWritable) return WaitFor(status, &ClientConnection::OnReadable);
    if (status != IoStatus::kDone) return OnInputEnd(status == IoStatus::kEnded ? "it was closed" : transport_.failure());
    OnInput({loop_.scratch.data(), num_read});
  } while (transport_.has_buffered_input() && !is_paused_ && phase_ != Phase::kClosed);
}

void ClientConnection::OnInput(std::string_view bytes) {
  if (phase_ == Phase::kIdle) return Close();  // nobody has asked
  has_input_ = true;
  if (phase_ == Phase::kReceiving) phase_since_ = Clock::now();
  if (!input_.empty()) {
    input_.append(bytes);
    bytes = input_;
  }
  while (!bytes.empty() && !parser_->is_complete()) {
    const auto consumed = parser_->Feed(bytes);
    if (!consumed) {
      return Fail(ClientFailure::kMalformed, fmt::format("{} answered no valid HTTP: {}", origin_.authority, consumed.error()));
    }
    bytes.remove_prefix(*consumed);
    if (!Deliver()) return;
    if (*consumed == 0) break;
  }
  // Bytes behind an answer belong to nobody's request.
  if (parser_->is_complete()) return Finish(bytes.empty() ? Reuse::kPossible : Reuse::kNot);
  std::string rest(bytes);
  input_ = std::move(rest);
}

// False where the receiver has ended the call.
bool ClientConnection::Deliver() {
  if (!has_head_ && parser_->has_head()) {
    has_head_ = true;
    receiver_->OnHead(parser_->TakeHead());
    if (receiver_ == nullptr) return false;
  }
  if (parser_->body().empty()) return true;
  if (phase_ == Phase::kWaiting) {
    phase_ = Phase::kReceiving;
    phase_since_ = Clock::now();
    ArmIfEarlier();
  }
  receiver_->OnBody(parser_->body());
  if (receiver_ == nullptr) return false;
  parser_->ClearBody();
  return true;
}

void ClientConnection::OnInputEnd(std::string_view why) {
  if (receiver_ == nullptr) return Close();
  if (parser_->FeedEnd()) {
    if (Deliver()) Finish(Reuse::kNot);
    return;
  }
  Fail(FailureOfClosing(), fmt::format("The connection to {} ended early: {}", origin_.authority, why));
}

ClientFailure ClientConnection::FailureOfClosing() const {
  if (has_head_) return ClientFailure::kCut;
  return has_input_ || num_served_ == 0 ? ClientFailure::kClosed : ClientFailure::kClosedIdle;
}

// --- the end of a call

void ClientConnection::Finish(Reuse reuse) {
  ResponseReceiver* const receiver = std::exchange(receiver_, nullptr);
  const bool is_all_sent = phase_ != Phase::kSending;
  if (reuse == Reuse::kPossible && is_all_sent && parser_->keep_alive()) {
    phase_ = Phase::kIdle;
    idle_since_ = Clock::now();
    ++num_served_;
    input_.clear();
    request_ = {};
    // Before the receiver hears of it: it may send its next request at once.
    hooks_.on_idle(shared_from_this());
  } else {
    Close();
  }
  receiver->OnEnd();
}

void ClientConnection::Fail(ClientFailure failure, std::string message) {
  ResponseReceiver* const receiver = std::exchange(receiver_, nullptr);
  Close();
  if (receiver != nullptr) receiver->OnFailure({failure, std::move(message)});
}

void ClientConnection::Cancel(uint64_t call) {
  if (call != call_ || receiver_ == nullptr) return;
  receiver_ = nullptr;
  Close();
}

void ClientConnection::Pause(uint64_t call) {
  if (call == call_ && receiver_ != nullptr) is_paused_ = true;
}

void ClientConnection::Resume(uint64_t call) {
  if (call != call_ || receiver_ == nullptr || !is_paused_) return;
  is_paused_ = false;
  phase_since_ = Clock::now();
  ArmIfEarlier();
  // What TLS has read already will not make the socket readable.
  if (transport_.has_buffered_input()) asio::post(loop_.context, [self = shared_from_this()] { self->OnReadable(); });
  StartRead();
}

void ClientConnection::Close() {
  if (phase_ == Phase::kClosed) return;
  const bool was_idle = phase_ == Phase::kIdle;
  phase_ = Phase::kClosed;
  transport_.Close();
  timer_.cancel();
  if (was_idle) hooks_.on_closed(*this);
}

// --- timeouts

ClientConnection::Clock::time_point ClientConnection::Deadline() const {
  if (receiver_ == nullptr) return kNever;
  const ClientTimeouts& timeouts = request_.timeouts;
  const auto after = [](Clock::time_point from, std::chrono::milliseconds limit) {
    return limit == std::chrono::milliseconds::zero() ? kNever : from + limit;
  };
  const Clock::time_point total = after(begun_, timeouts.total);
  switch (phase_) {
    case Phase::kConnecting:
      return std::min(total, after(begun_, timeouts.connect));
    case Phase::kSending:
    case Phase::kWaiting:
      return std::min(total, after(phase_since_, timeouts.first_byte));
    case Phase::kReceiving:
      return is_paused_ ? total : std::min(total, after(phase_since_, timeouts.between_bytes));
    default:
      return kNever;
  }
}

// A deadline that moves away costs nothing: the timer looks again when it fires.
void ClientConnection::ArmIfEarlier() {
  const Clock::time_point deadline = Deadline();
  if (deadline == kNever || (armed_for_ && *armed_for_ <= deadline)) return;
  armed_for_ = deadline;
  timer_.expires_at(deadline);
  timer_.async_wait([self = shared_from_this()](error_code error) {
    if (!error) self->OnTimer();
  });
}

void ClientConnection::OnTimer() {
  armed_for_.reset();
  if (phase_ == Phase::kClosed) return;
  const Clock::time_point now = Clock::now();
  if (now < Deadline()) return ArmIfEarlier();
  const ClientTimeouts& timeouts = request_.timeouts;
  if (timeouts.total > std::chrono::milliseconds::zero() && now >= begun_ + timeouts.total) {
    return Fail(ClientFailure::kTotalTimeout,
                fmt::format("{} did not finish within {} ms", origin_.authority, timeouts.total.count()));
  }
  switch (phase_) {
    case Phase::kConnecting:
      return Fail(ClientFailure::kConnectTimeout,
                  fmt::format("{} did not accept a connection within {} ms", origin_.authority, timeouts.connect.count()));
    case Phase::kReceiving:
      return Fail(ClientFailure::kBetweenBytesTimeout,
                  fmt::format("{} was silent for {} ms within its answer", origin_.authority, timeouts.between_bytes.count()));
    default:
      return Fail(ClientFailure::kFirstByteTimeout,
                  fmt::format("{} did not begin to answer within {} ms", origin_.authority, timeouts.first_byte.count()));
  }
}

}  // namespace autoglm::http
