#include "scheduler/tenant_line.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace autoglm {
namespace {

class TenantLineTest : public testing::Test {
 protected:
  Sequence& Add(uint64_t tenant, int64_t num_tokens = 100, int64_t due_s = 0, int64_t allowance_s = 0) {
    auto& sequence = *sequences_.emplace_back(std::make_unique<Sequence>());
    sequence.request.tenant = tenant;
    sequence.arrival = std::ssize(sequences_);
    sequence.due = TimePoint() + std::chrono::seconds(due_s);
    sequence.allowance = std::chrono::seconds(allowance_s);
    sequence.tokens.resize(static_cast<size_t>(num_tokens));
    line_.Enter(sequence);
    line_.Add(sequence);
    return sequence;
  }
  // Tenants in the order in which their requests are to be served.
  std::vector<uint64_t> Order(int64_t max_waiting = 100) {
    std::vector<Sequence*> line;
    line_.Arrange({}, max_waiting, line);
    EXPECT_TRUE(line_.CheckIntegrity());
    std::vector<uint64_t> tenants;
    tenants.reserve(line.size());
    for (const Sequence* sequence : line) tenants.push_back(sequence->request.tenant);
    return tenants;
  }
  void End(Sequence& sequence, double service) {
    line_.Remove(sequence);
    line_.Charge(sequence, service);
    line_.Leave(sequence);
  }

  TenantLine line_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
};

TEST_F(TenantLineTest, OneTenant_StandsInOrderOfPlace) {
  Add(1, 100, 30);
  Add(1, 100, 10);
  Add(1, 100, 20);
  std::vector<Sequence*> line;
  line_.Arrange({}, 100, line);
  EXPECT_EQ(line, (std::vector<Sequence*>{sequences_[1].get(), sequences_[2].get(), sequences_[0].get()}));
}

TEST_F(TenantLineTest, FloodOfOneTenant_DoesNotHoldUpAnother) {
  for (int i = 0; i < 4; ++i) Add(1);
  Add(2, 100, 50);
  Add(2, 100, 60);
  EXPECT_EQ(Order(), (std::vector<uint64_t>{1, 2, 1, 2, 1, 1}));
}

TEST_F(TenantLineTest, SharesAreOfTokens_NotOfRequests) {
  for (int i = 0; i < 2; ++i) Add(1, 400);
  for (int i = 0; i < 6; ++i) Add(2, 100, 10);
  EXPECT_EQ(Order(), (std::vector<uint64_t>{1, 2, 2, 2, 2, 1, 2, 2}));
}

TEST_F(TenantLineTest, ServiceSoFar_DecidesWhoIsNext) {
  Sequence& first = Add(1);
  Add(1);
  Add(2, 100, 10);
  line_.Charge(first, 50);
  EXPECT_EQ(Order(), (std::vector<uint64_t>{2, 1, 1}));
}

TEST_F(TenantLineTest, WhoComesLater_BeginsAtTheLeastServed_AndSavesNothingUp) {
  Sequence& first = Add(1);
  line_.Charge(first, 5000);
  Add(1);
  for (int i = 0; i < 3; ++i) Add(2, 100, 10);
  EXPECT_EQ(line_.service(2), 5000);
  EXPECT_EQ(Order(), (std::vector<uint64_t>{1, 2, 1, 2, 2}));
}

TEST_F(TenantLineTest, WhoGoesAndComesBack_KeepsItsDebt) {
  Add(1);
  Sequence& other = Add(2);
  End(other, 900);
  Add(2);
  EXPECT_EQ(line_.service(2), 900);
  EXPECT_EQ(Order(), (std::vector<uint64_t>{1, 2}));
}

TEST_F(TenantLineTest, EveryoneGone_NothingIsRemembered) {
  Sequence& one = Add(1);
  Sequence& other = Add(2);
  End(one, 10);
  End(other, 900);
  EXPECT_EQ(line_.service(2), 0);
}

TEST_F(TenantLineTest, UrgentRequests_GoFirst_UntilTheirTenantIsThatFarAhead) {
  line_.LearnRate(1e6, 2000);  // 500 a second
  Sequence& urgent = Add(1, 100, 0, -30);
  Add(2, 100, -100);
  EXPECT_EQ(Order(), (std::vector<uint64_t>{1, 2}));
  line_.Charge(urgent, 30 * 500 - 1);
  EXPECT_EQ(Order(), (std::vector<uint64_t>{1, 2}));
  line_.Charge(urgent, 2);
  EXPECT_EQ(Order(), (std::vector<uint64_t>{2, 1}));
}

TEST_F(TenantLineTest, PromptsBeingComputed_StandInTheLineToo) {
  Sequence& begun = Add(1, 1000);
  line_.Remove(begun);
  begun.state = SequenceState::kRunning;
  Add(1, 100, 10);
  Add(2, 100, 20);
  std::vector<Sequence*> computing = {&begun};
  std::vector<Sequence*> line;
  line_.Arrange(computing, 1, line);
  EXPECT_EQ(line, (std::vector<Sequence*>{&begun, sequences_[2].get()}));
  line_.Charge(begun, 10);
  line_.Arrange(computing, 1, line);
  EXPECT_EQ(line, (std::vector<Sequence*>{sequences_[2].get(), &begun})) << "no more than one that waits, and all that compute";
}

}  // namespace
}  // namespace autoglm
