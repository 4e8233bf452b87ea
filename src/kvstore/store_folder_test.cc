#include "kvstore/store_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "support/temporary_folder.h"

namespace autoglm {
namespace {

using std::chrono::hours;
using testing::ElementsAre;

constexpr int64_t kFileBytes = 20'480;

BlockKey Key(uint64_t i) { return {.high = i * 0x9e3779b97f4a7c15, .low = i}; }

class StoreFolderTest : public testing::Test {
 protected:
  static bool Always() { return true; }
  static bool Never() { return false; }

  void Write(uint64_t i) const {
    const BlockFiles files;
    const std::vector<std::byte> payload(kFileBytes - kBlockFileHeaderBytes);
    EXPECT_TRUE(files.Write(folder_.PathOf(Key(i)), {folder_.fingerprint(), Key(i)}, payload));
  }
  // The file's time, seen from now.
  void Move(uint64_t i, std::chrono::seconds by) const {
    std::filesystem::last_write_time(folder_.PathOf(Key(i)), std::filesystem::file_time_type::clock::now() + by);
  }
  std::chrono::duration<double> TimeOf(uint64_t i) const {
    return std::filesystem::last_write_time(folder_.PathOf(Key(i))) - std::filesystem::file_time_type::clock::now();
  }
  std::vector<uint64_t> Files(uint64_t end) const {
    std::vector<uint64_t> there;
    for (uint64_t i = 0; i < end; ++i) {
      if (std::filesystem::exists(folder_.PathOf(Key(i)))) there.push_back(i);
    }
    return there;
  }

  const TemporaryFolder temporary_;
  const StoreFolder folder_{temporary_.path() / "kv", KvFingerprint::Of("a model")};
};

TEST_F(StoreFolderTest, Trim_SaysWhatIsLeft) {
  for (uint64_t i = 0; i < 4; ++i) Write(i);
  Move(1, -hours(2));
  Move(2, -hours(1));
  const auto trimmed = folder_.Trim(4 * kFileBytes, kFileBytes, Always);
  ASSERT_TRUE(trimmed);
  EXPECT_THAT(trimmed->own_left, testing::UnorderedElementsAre(Key(0), Key(3)));
  EXPECT_EQ(trimmed->num_bytes, 2 * kFileBytes);
}

TEST_F(StoreFolderTest, FilesFromTheFuture_KeepTheirOrderAndAgeFromNowOn) {
  for (uint64_t i = 0; i < 3; ++i) Write(i);
  Move(0, hours(1000));
  Move(1, hours(1001));
  ASSERT_TRUE(folder_.Trim(100 * kFileBytes, 0, Always));
  EXPECT_LE(TimeOf(1).count(), 0);
  EXPECT_NEAR((TimeOf(1) - TimeOf(0)) / hours(1), 1, 0.01);
  Write(3);
  ASSERT_TRUE(folder_.Trim(3 * kFileBytes, 0, Always));
  EXPECT_THAT(Files(4), ElementsAre(1, 3)) << "the newest stays";
}

TEST_F(StoreFolderTest, EndedBeforeAllWasSeen_NothingIsRemovedOrMarked) {
  for (uint64_t i = 0; i < 4; ++i) Write(i);
  Move(0, -hours(1));
  EXPECT_FALSE(folder_.Trim(kFileBytes, 0, Never));
  folder_.MarkUsed(std::vector<BlockKey>{Key(0)}, Never);
  EXPECT_THAT(Files(4), ElementsAre(0, 1, 2, 3));
  EXPECT_LT(TimeOf(0).count(), -3000);
  folder_.MarkUsed(std::vector<BlockKey>{Key(0)}, Always);
  EXPECT_GT(TimeOf(0).count(), -3000);
}

}  // namespace
}  // namespace autoglm
