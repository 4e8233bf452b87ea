#include "auth/principal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace autoglm {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<const Principal> Gateway(bool acts_for_tenants, uint64_t salt = 7) {
  Principal principal{.key_id = "key-1", .name = "gateway", .cache_salt = salt};
  principal.policy.acts_for_tenants = acts_for_tenants;
  return std::make_shared<const Principal>(std::move(principal));
}

TEST(ActingFor, TenantsHaveACacheOfTheirOwn) {
  const auto one = ActingFor(Gateway(true), "a").value();
  EXPECT_EQ(one->key_id, "key-1");
  EXPECT_EQ(one->cache_salt, ActingFor(Gateway(true), "a").value()->cache_salt);
  EXPECT_NE(one->cache_salt, ActingFor(Gateway(true), "b").value()->cache_salt);
  EXPECT_NE(one->cache_salt, Gateway(true)->cache_salt);
  EXPECT_NE(one->cache_salt, ActingFor(Gateway(true, 8), "a").value()->cache_salt) << "one gateway's tenants are not another's";
}

TEST(ActingFor, OnlyWhoMay) {
  const auto refused = ActingFor(Gateway(false), "a");
  EXPECT_EQ(refused.error().code, ErrorCode::kPermissionDenied);
  EXPECT_THAT(refused.error().message, HasSubstr("acts_for_tenants"));
}

TEST(ActingFor, OnAnOpenServer_Everybody) {
  const auto open = std::make_shared<const Principal>();
  EXPECT_NE(ActingFor(open, "a").value()->cache_salt, 0u);
  EXPECT_NE(ActingFor(open, "a").value()->cache_salt, ActingFor(open, "b").value()->cache_salt);
}

TEST(ActingFor, NamesArePlain) {
  for (const std::string& name : {std::string(), std::string("a b"), std::string("a\n"), std::string(65, 'a')}) {
    EXPECT_EQ(ActingFor(Gateway(true), name).error().code, ErrorCode::kInvalidArgument) << name;
  }
  EXPECT_TRUE(ActingFor(Gateway(true), std::string(64, 'a')));
}

}  // namespace
}  // namespace autoglm
