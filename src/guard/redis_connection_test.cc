#include "guard/redis_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "support/redis_server.h"

namespace autoglm::guard {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class RedisConnectionTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!RedisServer::IsInstalled()) GTEST_SKIP() << "there is no redis-server";
  }
  void TearDown() override {
    thread_.RunAndWait([this] { connection_.reset(); });
  }

  void Connect(gateway::RedisConfig config) {
    thread_.RunAndWait([&] {
      connection_ = std::make_unique<RedisConnection>(thread_.loop(), config,
                                                      RedisConnection::Events{.on_ready = [this] { ++num_ready_; },
                                                                              .on_lost =
                                                                                  [this](const Error& error) {
                                                                                    const std::lock_guard lock(mutex_);
                                                                                    last_loss_ = error.message;
                                                                                    ++num_lost_;
                                                                                  }});
    });
  }
  // kInternal where it is not taken.
  Result<RedisReply> Ask(const std::vector<std::string_view>& arguments) {
    std::promise<Result<RedisReply>> answer;
    thread_.RunAndWait([&] {
      const bool is_taken =
          connection_->Send(arguments, [&answer](Result<RedisReply> reply) { answer.set_value(std::move(reply)); });
      if (!is_taken) answer.set_value(Fail(ErrorCode::kInternal, "not taken"));
    });
    return answer.get_future().get();
  }
  std::string LastLoss() {
    const std::lock_guard lock(mutex_);
    return last_loss_;
  }

  std::mutex mutex_;
  std::string last_loss_;
  std::atomic<int> num_ready_ = 0;
  std::atomic<int> num_lost_ = 0;
  std::unique_ptr<RedisConnection> connection_;
  http::LoopThread thread_;
};

TEST_F(RedisConnectionTest, Commands_AreAnsweredInTheirOrder) {
  const RedisServer server;
  Connect({.port = server.port(), .timeout = 5s});
  std::vector<int64_t> answers;
  std::promise<void> done;
  thread_.RunAndWait([&] {
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE(connection_->Send(std::vector<std::string_view>{"INCR", "n"}, [&](const Result<RedisReply>& reply) {
        answers.push_back(reply ? reply->integer : -1);
        if (answers.size() == 1000) done.set_value();
      }));
    }
    EXPECT_TRUE(answers.empty()) << "never from within Send";
  });
  done.get_future().get();
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(answers[static_cast<size_t>(i)], i + 1);
  EXPECT_EQ(num_ready_, 1);
}

TEST_F(RedisConnectionTest, BinaryArguments_ArriveAsTheyAre) {
  const RedisServer server;
  Connect({.port = server.port(), .timeout = 5s});
  const std::string bytes("a\0\r\n$5\r\n\xff", 9);
  EXPECT_EQ(Ask({"ECHO", bytes})->text, bytes);
  EXPECT_EQ(Ask({"NONSENSE"})->kind, RedisReply::Kind::kError);
  EXPECT_EQ(num_lost_, 0) << "an error is an answer";
}

TEST_F(RedisConnectionTest, PasswordUserAndDatabase_AreUsed) {
  const RedisServer server({"--requirepass", "secret"});
  Connect({.port = server.port(), .user = "default", .password = "secret", .database = 3, .timeout = 5s});
  EXPECT_EQ(Ask({"SET", "a", "1"})->text, "OK");
  Connect({.port = server.port(), .password = "secret", .timeout = 5s});
  EXPECT_EQ(Ask({"GET", "a"})->kind, RedisReply::Kind::kNil) << "another database";
}

TEST_F(RedisConnectionTest, WrongPassword_IsToldAndNotTheSecret) {
  const RedisServer server({"--requirepass", "secret"});
  Connect({.port = server.port(), .password = "hunter2", .timeout = 5s});
  EXPECT_TRUE(WaitFor([this] { return num_lost_ >= 2; })) << "it tries again";
  EXPECT_THAT(LastLoss(), HasSubstr("WRONGPASS"));
  EXPECT_THAT(LastLoss(), testing::Not(HasSubstr("hunter2")));
  EXPECT_EQ(Ask({"PING"}).error().code, ErrorCode::kInternal);
  EXPECT_EQ(num_ready_, 0);
}

TEST_F(RedisConnectionTest, FirstAttemptThatFails_AnswersWhatWaitedForIt) {
  uint16_t port = 0;
  {
    const RedisServer gone;
    port = gone.port();
  }
  std::promise<Result<RedisReply>> answer;
  thread_.RunAndWait([&] {
    connection_ =
        std::make_unique<RedisConnection>(thread_.loop(), gateway::RedisConfig{.port = port}, RedisConnection::Events{});
    ASSERT_TRUE(connection_->Send(std::vector<std::string_view>{"PING"},
                                  [&](Result<RedisReply> reply) { answer.set_value(std::move(reply)); }));
  });
  EXPECT_EQ(answer.get_future().get().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(Ask({"PING"}).error().code, ErrorCode::kInternal) << "later ones do not wait";
}

TEST_F(RedisConnectionTest, KilledServer_IsFoundAgain) {
  RedisServer server;
  Connect({.port = server.port(), .timeout = 5s});
  ASSERT_TRUE(Ask({"PING"}));
  server.Kill();
  ASSERT_TRUE(WaitFor([this] { return num_lost_ >= 1; }));
  EXPECT_EQ(Ask({"PING"}).error().code, ErrorCode::kInternal);
  server.Start();
  ASSERT_TRUE(WaitFor([this] { return num_ready_ == 2; }));
  EXPECT_EQ(Ask({"PING"})->text, "PONG");
}

TEST_F(RedisConnectionTest, SilentServer_IsGivenUpAfterTheTimeout) {
  const RedisServer server;
  Connect({.port = server.port(), .timeout = 200ms});
  ASSERT_TRUE(WaitFor([this] { return num_ready_ == 1; }));
  server.Freeze();
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(Ask({"PING"}).error().code, ErrorCode::kUnavailable);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 200ms);
  EXPECT_THAT(LastLoss(), HasSubstr("does not answer in time"));
  server.Thaw();
  EXPECT_TRUE(WaitFor([this] { return num_ready_ == 2; }));
}

TEST_F(RedisConnectionTest, AnswerOutOfBounds_EndsTheConnection) {
  const RedisServer server;
  server.Ask("SETRANGE large 100000 x");
  Connect({.port = server.port(), .timeout = 5s});
  EXPECT_EQ(Ask({"GET", "large"}).error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(LastLoss(), HasSubstr("more than 65536 bytes"));
  ASSERT_TRUE(WaitFor([this] { return num_ready_ == 2; }));
  EXPECT_EQ(Ask({"PING"})->text, "PONG");
}

TEST_F(RedisConnectionTest, DestroyedWithinAnAnswer_NothingMoreComes) {
  const RedisServer server;
  Connect({.port = server.port(), .timeout = 5s});
  std::promise<void> first;
  std::atomic<int> num_answers = 0;
  thread_.RunAndWait([&] {
    for (int i = 0; i < 10; ++i) {
      ASSERT_TRUE(connection_->Send(std::vector<std::string_view>{"PING"}, [&](const Result<RedisReply>&) {
        ++num_answers;
        connection_.reset();
        first.set_value();
      }));
    }
  });
  first.get_future().get();
  thread_.RunAndWait([] {});
  EXPECT_EQ(num_answers, 1);
}

}  // namespace
}  // namespace autoglm::guard
