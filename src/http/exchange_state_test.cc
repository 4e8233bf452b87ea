#include "http/exchange_state.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace autoglm::http {
namespace {

class ExchangeStateTest : public ::testing::Test {
 protected:
  int num_wakes_ = 0;
  std::shared_ptr<ExchangeState> state_ = std::make_shared<ExchangeState>(100, [this] { ++num_wakes_; });
  std::shared_ptr<Exchange> exchange_ = MakeExchange(state_);
};
using ExchangeStateDeathTest = ExchangeStateTest;

TEST_F(ExchangeStateTest, WritesBetweenTwoTakes_AreOneBatchAndOneWake) {
  exchange_->Start({});
  EXPECT_EQ(num_wakes_, 0) << "the connection takes the first batch without being asked";
  EXPECT_TRUE(state_->Take().head.has_value());
  for (int i = 0; i < 5; ++i) exchange_->Write("x");
  EXPECT_EQ(num_wakes_, 1);
  EXPECT_EQ(state_->Take().chunks.size(), 5u);
  exchange_->End();
  EXPECT_EQ(num_wakes_, 2);
  EXPECT_TRUE(state_->Take().is_ended);
}

TEST_F(ExchangeStateTest, Backlog_CountsWaitingAndInFlight) {
  exchange_->Start({});
  exchange_->Write("12345");
  EXPECT_EQ(exchange_->backlog_bytes(), 5);
  state_->Take();
  EXPECT_EQ(exchange_->backlog_bytes(), 5);
  exchange_->Write("67");
  state_->SetInFlight(3);
  EXPECT_EQ(exchange_->backlog_bytes(), 5);
  state_->Take();
  state_->SetInFlight(0);
  EXPECT_EQ(exchange_->backlog_bytes(), 0);
  exchange_->End();
}

TEST_F(ExchangeStateTest, WriteBeyondTheBacklog_OverflowsAndWakes) {
  exchange_->Start({});
  exchange_->Write(std::string(150, 'x'));
  EXPECT_FALSE(state_->is_overflowed()) << "one large write is not slowness";
  state_->Take();
  exchange_->Write("y");
  EXPECT_TRUE(state_->is_overflowed());
  EXPECT_EQ(num_wakes_, 1);
  exchange_->End();
}

TEST_F(ExchangeStateTest, DroppedUnanswered_Answers500) {
  exchange_.reset();
  const ExchangeState::Batch batch = state_->Take();
  ASSERT_TRUE(batch.head.has_value());
  EXPECT_EQ(batch.head->status, 500);
  EXPECT_TRUE(batch.is_ended);
}

TEST_F(ExchangeStateTest, DroppedInAStream_IsAbandoned) {
  exchange_->Start({});
  exchange_.reset();
  EXPECT_TRUE(state_->Take().is_abandoned);
}

TEST_F(ExchangeStateTest, ClientGone_CallsBackOnce) {
  int num_calls = 0;
  exchange_->OnClientGone([&] { ++num_calls; });
  state_->MarkGone();
  state_->MarkGone();
  EXPECT_EQ(num_calls, 1);
  exchange_->OnClientGone([&] { ++num_calls; });
  EXPECT_EQ(num_calls, 2) << "registered too late: called at once";
}

TEST_F(ExchangeStateTest, ClientGoneAfterTheAnswer_IsNobodysBusiness) {
  int num_calls = 0;
  exchange_->OnClientGone([&] { ++num_calls; });
  exchange_->Send({});
  state_->MarkGone();
  exchange_->OnClientGone([&] { ++num_calls; });
  EXPECT_EQ(num_calls, 0);
}

TEST_F(ExchangeStateTest, AfterTheClientIsGone_MethodsDoNothing) {
  state_->MarkGone();
  exchange_->Start({});
  exchange_->Write("x");
  exchange_->End();
  EXPECT_EQ(num_wakes_, 0);
  EXPECT_EQ(exchange_->backlog_bytes(), 0);
  EXPECT_TRUE(state_->Take().empty());
}

TEST_F(ExchangeStateTest, CallbackThatOwnsTheExchange_IsLetGoOfWithTheAnswer) {
  std::weak_ptr<Exchange> watched = exchange_;
  exchange_->OnClientGone([owner = exchange_] {});
  exchange_->Send({});
  exchange_.reset();
  EXPECT_TRUE(watched.expired());
}

TEST_F(ExchangeStateDeathTest, SecondAnswer_IsACheck) {
  exchange_->Send({});
  EXPECT_DEATH(exchange_->Send({}), "kUnanswered");
  EXPECT_DEATH(exchange_->Write("x"), "kStreaming");
}

}  // namespace
}  // namespace autoglm::http
