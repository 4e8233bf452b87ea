#include "guard/redis_connection.h"

#include <fmt/format.h>
#include <hiredis/hiredis.h>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "http/event_loop_core.h"

namespace autoglm::guard {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kMaxWaiting = 16'384;
constexpr std::chrono::milliseconds kMinConnectTimeout{1000};
constexpr std::chrono::milliseconds kFirstPause{50};
constexpr std::chrono::milliseconds kLongestPause{5000};

// In the protocol's form, behind what is in `out`.
void AppendCommand(std::span<const std::string_view> arguments, std::string& out) {
  std::vector<const char*> texts;
  std::vector<size_t> lengths;
  for (const std::string_view argument : arguments) {
    texts.push_back(argument.data());
    lengths.push_back(argument.size());
  }
  char* command = nullptr;
  const int num_bytes = redisFormatCommandArgv(&command, static_cast<int>(texts.size()), texts.data(), lengths.data());
  AUTOGLM_CHECK(num_bytes > 0);
  out.append(command, static_cast<size_t>(num_bytes));
  redisFreeCommand(command);
}

}  // namespace

// Handlers of an earlier link find that theirs is not the current one any more, and end.
struct RedisConnection::Core : std::enable_shared_from_this<Core> {
  struct Waiting {
    TimePoint deadline;
    Done done;
  };
  struct Link {
    explicit Link(asio::io_context& context) : resolver(context), socket(context) {}
    tcp::resolver resolver;
    tcp::socket socket;
    RedisReplyParser parser;
    std::array<char, 4096> arrived{};
    std::string writing;
    std::string to_write;
    bool is_connected = false;
    bool is_writing = false;
  };
  using LinkPtr = std::shared_ptr<Link>;

  Core(http::EventLoop& own_loop, gateway::RedisConfig own_config, Events own_events, std::vector<Command> own_greeting)
      : loop(own_loop), config(std::move(own_config)), events(std::move(own_events)), greeting(std::move(own_greeting)) {}

  void Connect();
  void OnConnected(const LinkPtr& current);
  void Greet();
  void OnReady();
  void Read(const LinkPtr& current);
  void TakeReplies(const LinkPtr& current);
  void Write(const LinkPtr& current);
  void Enqueue(std::span<const std::string_view> arguments, TimePoint deadline, Done done);
  void WatchDeadlines();
  void Lose(std::string_view why);
  void Close();

  http::EventLoop& loop;
  const gateway::RedisConfig config;
  const Events events;
  const std::vector<Command> greeting;
  LinkPtr link;  // nullptr: between two attempts, or closed
  std::deque<Waiting> waiting;
  bool is_ready = false;
  bool is_first_attempt = true;
  bool is_over = false;  // its RedisConnection is gone
  std::chrono::milliseconds pause = kFirstPause;
  http::EventLoop::Timer deadlines;
  TimePoint next_look{};  // when it is due
  http::EventLoop::Timer retry;
};

void RedisConnection::Core::Connect() {
  link = std::make_shared<Link>(loop.core().context);
  Greet();
  const auto self = shared_from_this();
  link->resolver.async_resolve(config.host, fmt::format("{}", config.port),
                               [self, current = link](error_code error, const tcp::resolver::results_type& found) {
                                 if (self->link != current) return;
                                 if (error) return self->Lose(error.message());
                                 asio::async_connect(current->socket, found,
                                                     [self, current](error_code failure, const tcp::endpoint&) {
                                                       if (self->link != current) return;
                                                       failure ? self->Lose(failure.message()) : self->OnConnected(current);
                                                     });
                               });
}

// Who we are and which database, the owner's greeting, then something that is answered in any case. What is asked behind these
// does not wait for their answers.
void RedisConnection::Core::Greet() {
  const TimePoint deadline = Clock::Real().Now() + std::max(config.timeout, kMinConnectTimeout);
  const auto must_succeed = [this](const Result<RedisReply>& reply) {
    if (reply && reply->kind == RedisReply::Kind::kError) Lose(reply->text);
  };
  if (!config.password.empty()) {
    std::vector<std::string_view> command = {"AUTH", config.password};
    if (!config.user.empty()) command.insert(command.begin() + 1, config.user);
    Enqueue(command, deadline, must_succeed);
  }
  if (config.database != 0) {
    const std::string database = fmt::format("{}", config.database);
    Enqueue(std::array<std::string_view, 2>{"SELECT", database}, deadline, must_succeed);
  }
  for (const Command& command : greeting) {
    Enqueue(std::vector<std::string_view>(command.begin(), command.end()), deadline, [](const Result<RedisReply>&) {});
  }
  Enqueue(std::array<std::string_view, 1>{"PING"}, deadline, [this](const Result<RedisReply>& reply) {
    if (!reply) return;
    reply->kind == RedisReply::Kind::kError ? Lose(reply->text) : OnReady();
  });
}

void RedisConnection::Core::OnConnected(const LinkPtr& current) {
  error_code ignored;
  current->socket.set_option(tcp::no_delay(true), ignored);
  current->is_connected = true;
  Write(current);
  Read(current);
}

void RedisConnection::Core::OnReady() {
  is_ready = true;
  pause = kFirstPause;
  events.on_ready();
}

void RedisConnection::Core::Read(const LinkPtr& current) {
  current->socket.async_read_some(asio::buffer(current->arrived),
                                  [self = shared_from_this(), current](error_code error, size_t num_bytes) {
                                    if (self->link != current) return;
                                    if (error) return self->Lose(error.message());
                                    current->parser.Feed({current->arrived.data(), num_bytes});
                                    self->TakeReplies(current);
                                    if (self->link == current) self->Read(current);
                                  });
}

void RedisConnection::Core::TakeReplies(const LinkPtr& current) {
  while (link == current) {
    Result<std::optional<RedisReply>> reply = current->parser.Next();
    if (!reply) return Lose(reply.error().message);
    if (!*reply) return;
    if (waiting.empty()) return Lose("it answers what was not asked");
    const Done done = std::move(waiting.front().done);
    waiting.pop_front();
    done(**std::move(reply));
  }
}

void RedisConnection::Core::Write(const LinkPtr& current) {
  if (current->is_writing || !current->is_connected || current->to_write.empty()) return;
  current->is_writing = true;
  current->writing.swap(current->to_write);
  asio::async_write(current->socket, asio::buffer(current->writing),
                    [self = shared_from_this(), current](error_code error, size_t) {
                      if (self->link != current) return;
                      if (error) return self->Lose(error.message());
                      current->is_writing = false;
                      current->writing.clear();
                      self->Write(current);
                    });
}

void RedisConnection::Core::Enqueue(std::span<const std::string_view> arguments, TimePoint deadline, Done done) {
  AppendCommand(arguments, link->to_write);
  waiting.push_back({.deadline = deadline, .done = std::move(done)});
  if (!deadlines.is_set() || deadline < next_look) WatchDeadlines();
  Write(link);
}

// One timer serves many commands: it is set for the first of those that wait when it is set. What waits behind others may be
// due before them (the greeting has longer), so all are looked at.
void RedisConnection::Core::WatchDeadlines() {
  if (waiting.empty()) return;
  const TimePoint next = std::ranges::min(waiting, {}, &Waiting::deadline).deadline;
  const TimePoint now = Clock::Real().Now();
  if (next <= now) return Lose("it does not answer in time");
  next_look = next;
  deadlines = loop.CallAfter(next - now, [this] { WatchDeadlines(); });
}

void RedisConnection::Core::Lose(std::string_view why) {
  const auto self = shared_from_this();
  const Error error{.code = ErrorCode::kUnavailable, .message = fmt::format("Redis at {}:{}: {}", config.host, config.port, why)};
  const std::deque<Waiting> lost = std::exchange(waiting, {});
  Close();
  retry = loop.CallAfter(pause, [this] { Connect(); });
  pause = std::min(pause * 2, kLongestPause);
  events.on_lost(error);
  for (const Waiting& one : lost) {
    if (!is_over) one.done(tl::unexpected(error));
  }
}

void RedisConnection::Core::Close() {
  is_ready = false;
  is_first_attempt = false;
  deadlines.Cancel();
  const LinkPtr gone = std::exchange(link, nullptr);
  if (gone == nullptr) return;
  error_code ignored;
  gone->resolver.cancel();
  gone->socket.close(ignored);
}

RedisConnection::RedisConnection(http::EventLoop& loop, gateway::RedisConfig config, Events events, std::vector<Command> greeting)
    : core_(std::make_shared<Core>(loop, std::move(config), std::move(events), std::move(greeting))) {
  core_->Connect();
}

RedisConnection::~RedisConnection() {
  core_->is_over = true;
  core_->Close();
  core_->retry.Cancel();
  core_->waiting.clear();
}

bool RedisConnection::Send(std::span<const std::string_view> arguments, Done done) {
  const bool is_taken = core_->link != nullptr && (core_->is_ready || core_->is_first_attempt);
  if (!is_taken || core_->waiting.size() >= kMaxWaiting) return false;
  core_->Enqueue(arguments, Clock::Real().Now() + core_->config.timeout, std::move(done));
  return true;
}

}  // namespace autoglm::guard
