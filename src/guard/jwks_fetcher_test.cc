#include "guard/jwks_fetcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <string>
#include <vector>

#include "auth/authenticator.h"
#include "auth/jwt_fixture.h"
#include "http/server.h"

namespace autoglm::guard {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// An issuer's server: answers what the test says, and counts.
class JwksFetcherTest : public testing::Test {
 protected:
  JwksFetcherTest() {
    clock_.Advance(1h);
    server_ = *http::Server::Start({.port = 0}, [this](const auto& request, const auto& exchange) {
      const std::lock_guard lock(mutex_);
      last_target_ = request->path + "?" + request->query;
      ++num_fetches_;
      if (holds_answers_) {
        held_.push_back(exchange);
      } else {
        exchange->Send({.status = status_, .headers = {}, .body = jwks_});
      }
    });
    verifier_ = *JwtVerifier::Create({.jwks_url = Url(), .policy = "standard"}, clock_, {});
    Serve(old_);
  }
  ~JwksFetcherTest() override { Stop(); }

  std::string Url() const { return "http://127.0.0.1:" + std::to_string(server_->port()) + "/keys?v=1"; }
  void Serve(const TestIssuer& issuer) { Answer(200, issuer.Jwks()); }
  void Answer(int status, std::string jwks) {
    const std::lock_guard lock(mutex_);
    status_ = status;
    jwks_ = std::move(jwks);
  }
  void Start(std::chrono::milliseconds refresh = 1h) {
    thread_.RunAndWait([&] {
      fetcher_ = *JwksFetcher::Start(thread_.loop(), {.url = Url(), .refresh = refresh, .retry = 5ms}, clock_,
                                     [this](std::string_view jwks) { return verifier_->SetKeys(jwks); },
                                     {.on_problem =
                                          [this](const Error& error) {
                                            const std::lock_guard lock(mutex_);
                                            problems_.push_back(error.message);
                                          },
                                      .on_recovery = [this](std::string_view) { ++num_recoveries_; }});
    });
  }
  void Stop() {
    thread_.RunAndWait([this] { fetcher_.reset(); });
  }
  bool Passes(const TestIssuer& issuer) {
    return verifier_->Verify(issuer.Sign("ES256", R"({"sub":"ada","exp":9000000000})")).has_value();
  }
  // As a request does whose token names a key that is not known.
  bool FetchAndWait() {
    std::promise<void> done;
    if (!fetcher_->FetchForUnknownKey(thread_.loop(), [&done] { done.set_value(); })) return false;
    done.get_future().get();
    return true;
  }
  template <typename Condition>
  static bool WaitUntil(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!condition() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return condition();
  }

  const TestIssuer old_ = TestIssuer::Ec(CJOSE_JWK_EC_P_256, "old");
  const TestIssuer new_ = TestIssuer::Ec(CJOSE_JWK_EC_P_256, "new");
  ManualClock clock_;
  std::mutex mutex_;
  int status_ = 200;
  std::string jwks_, last_target_;
  bool holds_answers_ = false;
  std::vector<std::shared_ptr<http::Exchange>> held_;
  std::vector<std::string> problems_;
  std::atomic<int> num_fetches_ = 0;
  std::atomic<int> num_recoveries_ = 0;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<JwtVerifier> verifier_;
  std::unique_ptr<JwksFetcher> fetcher_;
  http::LoopThread thread_;
};

TEST_F(JwksFetcherTest, Keys_AreFetchedAtTheStart) {
  Start();
  EXPECT_TRUE(WaitUntil([&] { return Passes(old_); }));
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(last_target_, "/keys?v=1");
}

TEST_F(JwksFetcherTest, Keys_AreFetchedAgainEverySoOften) {
  Start(5ms);
  ASSERT_TRUE(WaitUntil([&] { return Passes(old_); }));
  Serve(new_);
  EXPECT_TRUE(WaitUntil([&] { return Passes(new_); }));
  EXPECT_FALSE(Passes(old_));
}

TEST_F(JwksFetcherTest, UnknownKey_IsFetchedForAndNotTooOften) {
  Start();
  ASSERT_TRUE(WaitUntil([&] { return Passes(old_); }));
  thread_.RunAndWait([] {});  // it knows by now that the fetch is over
  Serve(new_);
  EXPECT_FALSE(FetchAndWait()) << "the start was less than five seconds ago";
  clock_.Advance(5s);
  EXPECT_TRUE(FetchAndWait());
  EXPECT_TRUE(Passes(new_)) << "the request that waited need not fail";
  for (int i = 0; i < 100; ++i) fetcher_->FetchForUnknownKey();
  EXPECT_FALSE(FetchAndWait());
  EXPECT_EQ(num_fetches_, 2);
}

TEST_F(JwksFetcherTest, ManyWhoWait_AreServedByOneFetch) {
  {
    const std::lock_guard lock(mutex_);
    holds_answers_ = true;
  }
  Start();
  ASSERT_TRUE(WaitUntil([&] { return num_fetches_ == 1; }));
  std::atomic<int> num_done = 0;
  int num_waiting = 0;
  for (int i = 0; i < 1500; ++i) num_waiting += fetcher_->FetchForUnknownKey(thread_.loop(), [&] { ++num_done; }) ? 1 : 0;
  EXPECT_EQ(num_waiting, 1000) << "a bounded number";
  {
    const std::lock_guard lock(mutex_);
    held_[0]->Send({.status = 200, .headers = {}, .body = jwks_});
  }
  EXPECT_TRUE(WaitUntil([&] { return num_done == 1000; }));
  EXPECT_EQ(num_fetches_, 1);
}

TEST_F(JwksFetcherTest, WhatIsNoKeySet_LeavesTheKeysAndIsReportedOnce) {
  Start(5ms);
  ASSERT_TRUE(WaitUntil([&] { return Passes(old_); }));
  Answer(500, "");
  const int before = num_fetches_;
  ASSERT_TRUE(WaitUntil([&] { return num_fetches_ > before + 3; }));
  EXPECT_TRUE(Passes(old_));
  Answer(200, "<html>");
  ASSERT_TRUE(WaitUntil([&] {
    const std::lock_guard lock(mutex_);
    return problems_.size() == 2;
  }));
  EXPECT_TRUE(Passes(old_));
  Answer(200, std::string(2 << 20, ' '));
  ASSERT_TRUE(WaitUntil([&] {
    const std::lock_guard lock(mutex_);
    return problems_.size() == 3;
  }));
  Serve(new_);
  EXPECT_TRUE(WaitUntil([&] { return Passes(new_); }));
  EXPECT_TRUE(WaitUntil([&] { return num_recoveries_ == 1; }));
  EXPECT_THAT(problems_[0], HasSubstr("/keys?v=1 answers 500"));
  EXPECT_THAT(problems_[1], HasSubstr("/keys?v=1: "));
}

TEST_F(JwksFetcherTest, ServerThatComesLate_IsAskedAgain) {
  Answer(503, "");
  Start();
  ASSERT_TRUE(WaitUntil([&] { return num_fetches_ >= 2; }));
  EXPECT_FALSE(Passes(old_));
  Serve(old_);
  EXPECT_TRUE(WaitUntil([&] { return Passes(old_); }));
}

TEST_F(JwksFetcherTest, DestroyedWhileItFetches_NothingComes) {
  {
    const std::lock_guard lock(mutex_);
    holds_answers_ = true;
  }
  Start();
  ASSERT_TRUE(WaitUntil([&] { return num_fetches_ == 1; }));
  std::atomic<int> num_done = 0;
  EXPECT_TRUE(fetcher_->FetchForUnknownKey(thread_.loop(), [&] { ++num_done; }));
  Stop();
  const std::lock_guard lock(mutex_);
  held_[0]->Send({.status = 200, .headers = {}, .body = jwks_});
  thread_.RunAndWait([] {});
  EXPECT_EQ(num_done, 0);
}

TEST_F(JwksFetcherTest, BadUrls_AreRefused) {
  for (const char* url : {"", "issuer/jwks", "ftp://issuer/jwks", "http:///jwks", "http://issuer/a b", "http://issuer/a\r\nb"}) {
    thread_.RunAndWait([&] {
      const auto fetcher = JwksFetcher::Start(thread_.loop(), {.url = url}, clock_, [](std::string_view) { return Status(); });
      ASSERT_FALSE(fetcher) << url;
      EXPECT_EQ(fetcher.error().code, ErrorCode::kInvalidArgument) << url;
    });
  }
}

}  // namespace
}  // namespace autoglm::guard
