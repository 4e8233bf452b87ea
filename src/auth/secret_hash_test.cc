#include "auth/secret_hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace autoglm {
namespace {

using testing::MatchesRegex;

TEST(SecretHash, Sha256_IsThatOfTheStandard) {
  EXPECT_EQ(Sha256Of("abc"), *ParseKeyHash("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
  EXPECT_EQ(Sha256Of(""), *ParseKeyHash("E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"));
}

TEST(SecretHash, HashesAreSixtyFourHexadecimalDigits) {
  const std::string good(64, 'a');
  EXPECT_TRUE(ParseKeyHash(good));
  for (const std::string& bad : {std::string(), good + "a", good.substr(1), "g" + good.substr(1), "-1" + good.substr(2),
                                 " a" + good.substr(2), "0x" + good.substr(2)}) {
    EXPECT_FALSE(ParseKeyHash(bad)) << bad;
  }
}

TEST(SecretHash, Keys_AreFortyCharactersFromAllSixtyTwo) {
  std::set<std::string> keys;
  std::set<char> characters;
  for (int i = 0; i < 1000; ++i) {
    const std::string key = NewKeyText();
    ASSERT_THAT(key, MatchesRegex("sk-autoglm-[0-9A-Za-z]{40}"));
    characters.insert(key.begin() + 11, key.end());
    keys.insert(key);
  }
  EXPECT_EQ(keys.size(), 1000u);
  EXPECT_EQ(characters.size(), 62u);
}

TEST(SecretHash, Salt_IsTheTenantsAndTheSecrets) {
  TenantSecret secret{};
  secret.fill(0x0b);
  // HMAC-SHA256 computed by Python's hmac module.
  EXPECT_EQ(CacheSaltOf(secret, "acme"), 0x5ec5b69c15b15c45ULL);
  EXPECT_NE(CacheSaltOf(secret, "acme"), CacheSaltOf(secret, "acm"));
  EXPECT_NE(CacheSaltOf(secret, "acme"), CacheSaltOf(NewTenantSecret(), "acme"));
}

}  // namespace
}  // namespace autoglm
