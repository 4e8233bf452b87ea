#include "kvevents/event_publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <set>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "json/json.h"
#include "support/temporary_folder.h"

namespace autoglm {
namespace {

constexpr std::array<TokenId, kBlockSizeTokens> kTokens = {1, 2, 3};

BlockKey Key(uint64_t i) { return {.high = i, .low = i}; }

struct Message {
  std::string topic;
  uint64_t sequence = 0;
  Json batch;  // null at the end of a replay
};

uint64_t NumberIn(const zmq::message_t& frame) {
  EXPECT_EQ(frame.size(), 8u);
  uint64_t number = 0;
  for (size_t i = 0; i < frame.size(); ++i) number = number << 8 | frame.data<uint8_t>()[i];
  return number;
}

// Follows as a router does.
class Follower {
 public:
  explicit Follower(const std::string& endpoint, const std::string& topic = "") : socket_(context_, zmq::socket_type::sub) {
    socket_.set(zmq::sockopt::rcvtimeo, 5000);
    socket_.set(zmq::sockopt::subscribe, topic);
    socket_.connect(endpoint);
  }
  Message Next() {
    zmq::message_t frames[3];
    for (zmq::message_t& frame : frames) EXPECT_TRUE(socket_.recv(frame)) << "no message came";
    EXPECT_FALSE(frames[2].more());
    return {.topic = frames[0].to_string(), .sequence = NumberIn(frames[1]), .batch = Decode(frames[2])};
  }
  static Json Decode(const zmq::message_t& frame) {
    if (frame.empty()) return {};
    return Json::from_msgpack(frame.data<uint8_t>(), frame.data<uint8_t>() + frame.size());
  }

 private:
  zmq::context_t context_;
  zmq::socket_t socket_;
};

// A socket that asks for a replay from `first` on.
zmq::socket_t AskForReplay(zmq::context_t& context, zmq::socket_type type, const std::string& endpoint, uint64_t first) {
  zmq::socket_t socket(context, type);
  socket.set(zmq::sockopt::rcvtimeo, 5000);
  socket.set(zmq::sockopt::linger, 0);
  socket.connect(endpoint);
  std::array<uint8_t, 8> bytes{};
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(first >> (56 - 8 * i));
  if (type == zmq::socket_type::dealer) {
    EXPECT_TRUE(socket.send(zmq::buffer("", 0), zmq::send_flags::sndmore));
  }
  EXPECT_TRUE(socket.send(zmq::buffer(bytes), zmq::send_flags::none));
  return socket;
}

std::vector<Message> ReplayAll(const std::string& endpoint, uint64_t first) {
  zmq::context_t context;
  zmq::socket_t socket = AskForReplay(context, zmq::socket_type::dealer, endpoint, first);
  std::vector<Message> messages;
  do {
    zmq::message_t frames[3];
    for (zmq::message_t& frame : frames) {
      if (!socket.recv(frame)) return messages;
    }
    EXPECT_EQ(frames[0].size(), 0u);
    messages.push_back({.topic = {}, .sequence = NumberIn(frames[1]), .batch = Follower::Decode(frames[2])});
  } while (!messages.back().batch.is_null());
  return messages;
}

class EventPublisherTest : public testing::Test {
 protected:
  std::unique_ptr<EventPublisher> Start(EventPublisherOptions options = {}) const {
    options.endpoint = endpoint_;
    options.replay_endpoint = replay_;
    auto publisher = EventPublisher::Start(options);
    EXPECT_TRUE(publisher) << publisher.error().message;
    return *std::move(publisher);
  }
  static void Store(EventPublisher& publisher, uint64_t key, uint64_t parent = 0) {
    publisher.OnStored(0, Key(key), parent == 0 ? BlockKey() : Key(parent), kTokens);
  }
  static void WaitUntilPublished(const EventPublisher& publisher, int64_t count) {
    while (publisher.stats().num_published < count) std::this_thread::yield();
  }
  // A subscription takes a moment to arrive: stores until something comes.
  static Message FirstMessage(EventPublisher& publisher, Follower& follower) {
    std::atomic<bool> has_come{false};
    std::thread storing([&] {
      for (uint64_t i = 1'000'000; !has_come; ++i) {
        Store(publisher, i);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    const Message message = follower.Next();
    has_come = true;
    storing.join();
    return message;
  }

  const TemporaryFolder folder_;
  const std::string endpoint_ = "ipc://" + (folder_.path() / "events").string();
  const std::string replay_ = "ipc://" + (folder_.path() / "replay").string();
};

TEST_F(EventPublisherTest, Messages_HaveTopicNumberAndBatch) {
  const auto publisher = Start({.topic = "kv@pod@model"});
  Follower follower(endpoint_, "kv@");
  const Message first = FirstMessage(*publisher, follower);
  EXPECT_EQ(first.topic, "kv@pod@model");
  Store(*publisher, 7);
  publisher->OnRemoved(0, Key(7), BlockRemoval::kEvicted);
  std::string seen;
  for (uint64_t expected = first.sequence + 1; seen.find("BlockRemoved") == std::string::npos; ++expected) {
    const Message message = follower.Next();
    EXPECT_EQ(message.sequence, expected);
    seen += DumpJson(message.batch[1]);
  }
  EXPECT_THAT(seen, testing::HasSubstr(R"(["BlockRemoved",[7],"GPU"])"));
}

TEST_F(EventPublisherTest, Replay_BringsWhatWasMissedAndThenTheEnd) {
  const auto publisher = Start();
  for (uint64_t i = 1; i <= 5; ++i) {
    Store(*publisher, i);
    WaitUntilPublished(*publisher, static_cast<int64_t>(i) + 1);
  }
  const std::vector<Message> all = ReplayAll(replay_, 0);
  ASSERT_GE(all.size(), 2u);
  EXPECT_EQ(all.front().batch[1][0][0], "AllBlocksCleared") << "the first says that nothing is there";
  EXPECT_EQ(all.back().sequence, ~uint64_t{0});
  for (size_t i = 0; i + 1 < all.size(); ++i) EXPECT_EQ(all[i].sequence, i);
  EXPECT_EQ(ReplayAll(replay_, all.size() - 2).size(), 2u);
  EXPECT_EQ(ReplayAll(replay_, 1000).size(), 1u);

  zmq::context_t context;  // vLLM's own subscriber has a REQ socket, which hides the empty frames
  zmq::socket_t request = AskForReplay(context, zmq::socket_type::req, replay_, 1);
  zmq::message_t sequence;
  ASSERT_TRUE(request.recv(sequence));
  EXPECT_EQ(NumberIn(sequence), 1u);
}

TEST_F(EventPublisherTest, Replay_KeepsNoMoreThanItMay) {
  const auto publisher = Start({.max_batch = 1, .max_replayed = 10});
  for (uint64_t i = 1; i <= 50; ++i) Store(*publisher, i);
  WaitUntilPublished(*publisher, 51);
  const std::vector<Message> kept = ReplayAll(replay_, 0);
  EXPECT_EQ(kept.size(), 11u);
  EXPECT_EQ(kept.front().sequence, 41u);
}

TEST_F(EventPublisherTest, NonsenseOnTheReplaySocket_IsIgnored) {
  const auto publisher = Start();
  WaitUntilPublished(*publisher, 1);
  zmq::context_t context;
  zmq::socket_t socket(context, zmq::socket_type::dealer);
  socket.set(zmq::sockopt::linger, 100);
  socket.connect(replay_);
  EXPECT_TRUE(socket.send(zmq::str_buffer("what"), zmq::send_flags::none));
  EXPECT_TRUE(socket.send(zmq::str_buffer(""), zmq::send_flags::sndmore));
  EXPECT_TRUE(socket.send(zmq::str_buffer("123456789"), zmq::send_flags::none));
  EXPECT_GE(ReplayAll(replay_, 0).size(), 2u);
}

// A follower that believes all messages never believes in a block that is gone.
TEST_F(EventPublisherTest, Overflow_ClearsFollowersAndIsCounted) {
  const auto publisher = Start({.max_queued = 8});
  for (uint64_t i = 1; i <= 20'000; ++i) {
    Store(*publisher, i);
    publisher->OnRemoved(0, Key(i), BlockRemoval::kEvicted);
  }
  ASSERT_GT(publisher->stats().num_dropped, 0);
  Store(*publisher, 77'777);
  std::set<uint64_t> known;
  int num_cleared = 0;
  std::vector<Message> all;
  for (int tries = 0; tries < 100 && (all.empty() || known.size() > 1); ++tries) {  // until what is queued has been sent
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    all = ReplayAll(replay_, 0);
    known.clear();
    num_cleared = 0;
    for (size_t i = 0; i + 1 < all.size(); ++i) {
      for (const Json& event : all[i].batch[1]) {
        if (event[0] == "AllBlocksCleared") {
          known.clear();
          ++num_cleared;
        } else {
          for (const auto hash : event[1].get<std::vector<uint64_t>>()) {
            event[0] == "BlockStored" ? (void)known.insert(hash) : (void)known.erase(hash);
          }
        }
      }
    }
  }
  EXPECT_GT(num_cleared, 1);
  known.erase(77'777);  // perhaps dropped, too
  EXPECT_TRUE(known.empty());
}

TEST_F(EventPublisherTest, End_SendsWhatIsQueued) {
  auto publisher = Start({.topic = "t"});
  Follower follower(endpoint_);
  FirstMessage(*publisher, follower);
  Store(*publisher, 7);
  publisher->OnCleared();
  publisher.reset();
  std::string seen;
  while (seen.find("AllBlocksCleared") == std::string::npos) seen += DumpJson(follower.Next().batch[1]);
}

TEST_F(EventPublisherTest, EndpointsThatCannotBeUsed_AreErrors) {
  for (const char* wrong : {"", "5557", "tcp://", "tcp://*:notaport", "http://*:1"}) {
    const auto publisher = EventPublisher::Start({.endpoint = wrong});
    ASSERT_FALSE(publisher) << wrong;
    EXPECT_THAT(publisher.error().message, testing::HasSubstr("tcp://*:5557"));
  }
  const auto holder = Start();
  zmq::context_t context;
  zmq::socket_t socket(context, zmq::socket_type::rep);
  socket.bind("tcp://127.0.0.1:*");
  const auto taken = EventPublisher::Start({.endpoint = socket.get(zmq::sockopt::last_endpoint)});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace autoglm
