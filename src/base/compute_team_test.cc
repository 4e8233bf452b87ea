#include "base/compute_team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace autoglm {
namespace {

TEST(ComputeTeam, OneAtATime_HasThePool) {
  ComputeTeam team(2);
  std::atomic<int> num_inside{0};
  int64_t total = 0;  // only ever touched during a turn
  std::vector<std::thread> users;
  users.reserve(4);
  for (int user = 0; user < 4; ++user) {
    users.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        const auto turn = team.TakeTurn();
        EXPECT_EQ(num_inside.fetch_add(1), 0);
        team.pool().Run([&](int member) {
          if (member == 0) ++total;
        });
        num_inside.fetch_sub(1);
      }
    });
  }
  for (std::thread& user : users) user.join();
  EXPECT_EQ(total, 800);
}

TEST(ComputeTeam, WhoAskedFirst_GoesFirst) {
  ComputeTeam team(1);
  std::vector<int> order;
  std::vector<std::thread> users;
  users.reserve(4);
  std::atomic<int> num_asking{0};
  {
    const auto turn = team.TakeTurn();
    for (int user = 0; user < 3; ++user) {
      users.emplace_back([&, user] {
        ++num_asking;
        const auto own = team.TakeTurn();
        order.push_back(user);
      });
      // The next one asks when this one waits; it may take a moment from saying so to waiting.
      while (num_asking <= user) std::this_thread::yield();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  for (std::thread& user : users) user.join();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
}

}  // namespace
}  // namespace autoglm
