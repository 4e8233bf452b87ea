#include "discovery/kv_event_subscriber.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <functional>
#include <thread>

#include "json/json.h"
#include "kvevents/event_publisher.h"
#include "support/notebook.h"
#include "support/temporary_folder.h"

namespace autoglm::discovery {
namespace {

using autoglm::testing::Notebook;
using Tokens = std::vector<TokenId>;

BlockKey Key(uint64_t i) { return {.high = i, .low = i}; }
Tokens BlockOf(TokenId token) { return Tokens(static_cast<size_t>(kBlockSizeTokens), token); }

bool WaitUntil(const std::function<bool()>& is_so) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!is_so() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  return is_so();
}

// Publishes what a test decides, number by number, to one follower.
class HandPublisher {
 public:
  explicit HandPublisher(const std::string& endpoint) : events_(context_, zmq::socket_type::xpub) {
    events_.set(zmq::sockopt::rcvtimeo, 10'000);
    events_.set(zmq::sockopt::linger, 0);
    events_.bind(endpoint);
  }
  void WaitForFollower() {
    zmq::message_t subscription;
    EXPECT_TRUE(events_.recv(subscription)) << "nobody follows";
  }
  void Send(uint64_t number, std::span<const uint8_t> batch) {
    std::array<uint8_t, 8> bytes{};
    for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(number >> (56 - 8 * i));
    EXPECT_TRUE(events_.send(zmq::buffer("topic", 5), zmq::send_flags::sndmore));
    EXPECT_TRUE(events_.send(zmq::buffer(bytes), zmq::send_flags::sndmore));
    EXPECT_TRUE(events_.send(zmq::buffer(batch.data(), batch.size()), zmq::send_flags::none));
  }
  // A first block of 32 equal tokens, whose name is the token.
  void Store(uint64_t number, TokenId token) {
    KvEvent event{.kind = KvEvent::Kind::kStored, .key = Key(static_cast<uint64_t>(token))};
    event.tokens.fill(token);
    Send(number, EncodeEventBatch({&event, 1}, 0));
  }
  void SendOneFrame() { EXPECT_TRUE(events_.send(zmq::str_buffer("nonsense"), zmq::send_flags::none)); }

 private:
  zmq::context_t context_;
  zmq::socket_t events_;
};

class KvEventSubscriberTest : public ::testing::Test {
 protected:
  std::unique_ptr<EventPublisher> StartPublisher() const {
    auto publisher = EventPublisher::Start({.endpoint = endpoint_, .replay_endpoint = replay_, .topic = "kv@pod@model"});
    EXPECT_TRUE(publisher) << publisher.error().message;
    return *std::move(publisher);
  }
  static void Store(EventPublisher& publisher, TokenId token, TokenId parent = 0) {
    publisher.OnStored(0, Key(static_cast<uint64_t>(token)), parent == 0 ? BlockKey() : Key(static_cast<uint64_t>(parent)),
                       BlockOf(token));
  }
  // Of the blocks of these tokens, one behind the other; -1 where nothing is known.
  int64_t NumMatched(std::initializer_list<TokenId> blocks) const {
    Tokens prompt;
    for (const TokenId token : blocks) prompt.insert(prompt.end(), static_cast<size_t>(kBlockSizeTokens), token);
    const auto matches = index_.Find(prompt);
    return matches.empty() ? -1 : matches.front().num_tokens;
  }
  bool WaitForMatch(std::initializer_list<TokenId> blocks, int64_t num_tokens) const {
    return WaitUntil([&] { return NumMatched(blocks) == num_tokens; });
  }
  KvEventSource WithReplay() const { return {.upstream = "a", .endpoint = endpoint_, .replay_endpoint = replay_}; }
  KvEventSource WithoutReplay() const { return {.upstream = "a", .endpoint = endpoint_}; }

  const TemporaryFolder folder_;
  const std::string endpoint_ = "ipc://" + (folder_.path() / "events").string();
  const std::string replay_ = "ipc://" + (folder_.path() / "replay").string();
  ExactPrefixIndex index_;
  Notebook<std::string> problems_;
  std::unique_ptr<KvEventSubscriber> subscriber_ = *KvEventSubscriber::Start(
      index_, [this](const std::string& upstream, const Error& problem) { problems_.Write(upstream + ": " + problem.message); });
};

TEST_F(KvEventSubscriberTest, OurPublisherIsFollowed) {
  const auto publisher = StartPublisher();
  Store(*publisher, 1);
  Store(*publisher, 2, 1);
  subscriber_->SetSources({WithReplay()});
  EXPECT_TRUE(WaitForMatch({1, 2, 3}, 64)) << "what was told before";
  Store(*publisher, 3, 2);
  EXPECT_TRUE(WaitForMatch({1, 2, 3}, 96));
  publisher->OnRemoved(0, Key(2), BlockRemoval::kEvicted);
  EXPECT_TRUE(WaitForMatch({1, 2, 3}, 32));
  publisher->OnCleared();
  EXPECT_TRUE(WaitForMatch({1, 2, 3}, 0));
  EXPECT_TRUE(problems_.All().empty());
}

TEST_F(KvEventSubscriberTest, APublisherThatComesLaterIsFollowed) {
  subscriber_->SetSources({WithReplay()});
  const auto publisher = StartPublisher();
  Store(*publisher, 1);
  EXPECT_TRUE(WaitForMatch({1}, 32));
}

TEST_F(KvEventSubscriberTest, OneThatIsStartedAnewHasNothingOfBefore) {
  auto publisher = StartPublisher();
  for (TokenId token = 1; token <= 5; ++token) Store(*publisher, token);
  subscriber_->SetSources({WithReplay()});
  EXPECT_TRUE(WaitForMatch({5}, 32));
  publisher.reset();
  EXPECT_TRUE(WaitForMatch({5}, -1));
  publisher = StartPublisher();
  Store(*publisher, 7);
  EXPECT_TRUE(WaitForMatch({7}, 32));
  EXPECT_EQ(NumMatched({5}), 0);
}

TEST_F(KvEventSubscriberTest, AGapWithoutReplayForgetsWhatWasBefore) {
  HandPublisher publisher(endpoint_);
  subscriber_->SetSources({WithoutReplay()});
  publisher.WaitForFollower();
  publisher.Store(0, 1);
  EXPECT_TRUE(WaitForMatch({1}, 32));
  publisher.Store(2, 2);
  EXPECT_TRUE(WaitForMatch({2}, 32));
  EXPECT_EQ(NumMatched({1}), -1);
}

TEST_F(KvEventSubscriberTest, NumbersThatBeginAnewAreANewPublisher) {
  HandPublisher publisher(endpoint_);
  subscriber_->SetSources({WithoutReplay()});
  publisher.WaitForFollower();
  for (uint64_t number = 0; number < 3; ++number) publisher.Store(number, static_cast<TokenId>(number + 1));
  EXPECT_TRUE(WaitForMatch({3}, 32));
  publisher.Store(0, 9);
  EXPECT_TRUE(WaitForMatch({9}, 32));
  EXPECT_EQ(NumMatched({3}), 0);
}

// Live messages wait while the replay is on its way, and are not taken twice.
TEST_F(KvEventSubscriberTest, AGapIsFilledFromTheReplay) {
  HandPublisher publisher(endpoint_);
  zmq::context_t context;
  zmq::socket_t replay(context, zmq::socket_type::router);
  replay.set(zmq::sockopt::rcvtimeo, 10'000);
  replay.set(zmq::sockopt::linger, 0);
  replay.bind(replay_);
  const auto answer = [&](std::initializer_list<std::pair<uint64_t, TokenId>> messages) {
    std::array<zmq::message_t, 3> request;
    for (zmq::message_t& frame : request) ASSERT_TRUE(replay.recv(frame)) << "no replay was asked for";
    const auto send = [&](uint64_t number, std::span<const uint8_t> batch) {
      std::array<uint8_t, 8> bytes{};
      for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(number >> (56 - 8 * i));
      ASSERT_TRUE(replay.send(zmq::buffer(request[0].data(), request[0].size()), zmq::send_flags::sndmore));
      ASSERT_TRUE(replay.send(zmq::buffer("", 0), zmq::send_flags::sndmore));
      ASSERT_TRUE(replay.send(zmq::buffer(bytes), zmq::send_flags::sndmore));
      ASSERT_TRUE(replay.send(zmq::buffer(batch.data(), batch.size()), zmq::send_flags::none));
    };
    for (const auto& [number, token] : messages) {
      KvEvent event{.kind = KvEvent::Kind::kStored, .key = Key(static_cast<uint64_t>(token))};
      event.tokens.fill(token);
      send(number, EncodeEventBatch({&event, 1}, 0));
    }
    send(~uint64_t{0}, {});
  };
  subscriber_->SetSources({WithReplay()});
  publisher.WaitForFollower();
  answer({{0, 1}});
  EXPECT_TRUE(WaitForMatch({1}, 32));
  publisher.Store(3, 4);
  publisher.Store(4, 5);
  answer({{1, 2}, {2, 3}, {3, 4}, {4, 5}});
  publisher.Store(5, 6);
  for (const TokenId token : {1, 2, 3, 4, 5, 6}) EXPECT_TRUE(WaitForMatch({token}, 32)) << token;
  publisher.Store(8, 9);
  answer({{7, 8}});  // 6 is not kept any more
  EXPECT_TRUE(WaitForMatch({9}, 32));
  EXPECT_EQ(NumMatched({8}), 32);
  EXPECT_EQ(NumMatched({1}), -1);
}

TEST_F(KvEventSubscriberTest, NonsenseIsToldOnceAndForgetsTheUpstream) {
  HandPublisher publisher(endpoint_);
  subscriber_->SetSources({WithoutReplay()});
  publisher.WaitForFollower();
  publisher.Store(0, 1);
  EXPECT_TRUE(WaitForMatch({1}, 32));
  const std::array<uint8_t, 3> nonsense = {0x91, 0x91, 0xc1};
  publisher.SendOneFrame();
  publisher.Send(1, nonsense);
  publisher.Send(2, nonsense);
  publisher.Store(3, 4);
  EXPECT_TRUE(WaitForMatch({4}, 32));
  EXPECT_EQ(NumMatched({1}), -1);
  EXPECT_THAT(problems_.All(), ::testing::ElementsAre(::testing::HasSubstr("a: a message has other frames"),
                                                      ::testing::HasSubstr("a: the MessagePack is not valid")));
}

TEST_F(KvEventSubscriberTest, OnlyThoseOfTheListAreFollowed) {
  const auto publisher = StartPublisher();
  Store(*publisher, 1);
  subscriber_->SetSources({WithReplay()});
  EXPECT_TRUE(WaitForMatch({1}, 32));
  subscriber_->SetSources({});
  EXPECT_TRUE(WaitForMatch({1}, -1));
  subscriber_->SetSources({WithReplay()});
  EXPECT_TRUE(WaitForMatch({1}, 32));
  EXPECT_TRUE(problems_.All().empty());
  subscriber_.reset();
  EXPECT_EQ(NumMatched({1}), -1);
}

TEST_F(KvEventSubscriberTest, EndpointsThatAreNoneAreProblems) {
  subscriber_->SetSources({{.upstream = "a", .endpoint = "5557"}, {.upstream = "b", .endpoint = "http://host:1"}});
  EXPECT_THAT(problems_.At(0), ::testing::StartsWith("a: KV events cannot be had from '5557'"));
  EXPECT_THAT(problems_.At(1), ::testing::HasSubstr("tcp://host:5557"));
}

}  // namespace
}  // namespace autoglm::discovery
