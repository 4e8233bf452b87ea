#include "models/row_share.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace autoglm {
namespace {

TEST(RowShare, EveryUnit_BelongsToOneMember) {
  for (const int num_members : {1, 2, 3, 5}) {
    ThreadPool pool(num_members);
    for (int64_t num_units = 0; num_units < 40; ++num_units) {
      std::vector<std::atomic<int>> taken(static_cast<size_t>(num_units));
      pool.ResetItems();
      pool.Run([&](int member) {
        ItemClaims claims(pool);
        const RowShare share(num_units, num_members, 3);
        share.ForEachRun(
            member, claims,
            [&](int64_t begin, int64_t end) {
              ASSERT_LT(begin, end);
              for (int64_t unit = begin; unit < end; ++unit) ++taken[static_cast<size_t>(unit)];
            },
            [&](int64_t unit) { EXPECT_EQ(taken[static_cast<size_t>(unit)], 0) << "before its work"; });
      });
      for (const auto& count : taken) EXPECT_EQ(count, 1) << num_units << " units, " << num_members << " members";
    }
  }
}

TEST(RowShare, MostUnits_AreInRunsKnownBeforehand) {
  const RowShare share(100, 4, 1);
  EXPECT_EQ(share.own_units(), 21);
  EXPECT_EQ(share.own_begin(3), 63);
}

TEST(WeightsAhead, AsksForTheBeginningsAndThenNoMore) {
  const std::vector<std::byte> weights(100'000);
  WeightsAhead ahead;
  EXPECT_FALSE(ahead.Ask()) << "nothing is expected";
  ahead.Expect({{weights.data(), 1024}, weights});
  EXPECT_TRUE(ahead.Ask());
  EXPECT_FALSE(ahead.Ask());
  ahead.Expect({weights});
  int num_asked = 1;
  while (ahead.Ask()) ++num_asked;
  EXPECT_EQ(num_asked, 128) << "64 KiB, eight lines at a time";
}

}  // namespace
}  // namespace autoglm
