// docs/gateway-config.md and deploy/gateway.example.yaml say what the parser knows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "base/text_file.h"
#include "config/gateway_config.h"
#include "support/test_paths.h"

namespace autoglm::gateway {
namespace {

using testing::HasSubstr;
using testing::IsSupersetOf;

std::string ReadSource(const char* file) {
  const Result<std::string> text = ReadTextFile(SourceDir() / file);
  EXPECT_TRUE(text) << text.error().message;
  return text.value_or("");
}

// What stands around a value.
struct Place {
  std::string before;
  std::string after;
};

// The keys that a map there may have: the parser names them when it refuses another. Empty: there is no map.
std::vector<std::string> KeysAt(const Place& place) {
  const auto config = ParseGatewayConfig(place.before + "{nonsense: 1}" + place.after, "f");
  const std::string message = config ? "" : config.error().message;
  const std::string marker = "nonsense: unknown key; known are ";
  const size_t at = message.find(marker);
  if (at == std::string::npos) return {};

  std::vector<std::string> keys;
  for (size_t begin = at + marker.size(); begin < message.size();) {
    const size_t end = std::min(message.find(", ", begin), message.size());
    keys.push_back(message.substr(begin, end - begin));
    begin = end + 2;
  }
  return keys;
}

// Every key of a map there, and below it: in maps, in lists of maps, and in maps by name.
void FindKeys(const Place& place, std::set<std::string>& paths, const std::string& path) {
  for (const std::string& key : KeysAt(place)) {
    paths.insert(path + key);
    const Place inside{place.before + "{" + key + ": ", "}" + place.after};
    FindKeys(inside, paths, path + key + ".");
    FindKeys({inside.before + "[", "]" + inside.after}, paths, path + key + ".");
    FindKeys({inside.before + "{name: ", "}" + inside.after}, paths, path + key + ".");
  }
}

std::set<std::string> AllKeys() {
  std::set<std::string> paths;
  FindKeys({}, paths, "");
  return paths;
}

TEST(GatewayDocumentation, KeysAreFoundAtEveryDepth) {
  EXPECT_THAT(AllKeys(),
              IsSupersetOf({"listen", "listen.tls.client_ca", "upstreams.weight", "upstreams.tls.verify", "policies.tenant",
                            "keys.sha256", "retries.budget.min", "routes.match.header", "routes.upstreams.name",
                            "routes.upstreams.context.least", "routes.discovery.kubernetes.token_file",
                            "routes.discovery.like.engine", "routes.retries.on", "routes.mirror.percent", "faults.match.route",
                            "redis.when_unreachable", "prices.model", "jwt.jwks", "routes.policy.picker"}));
}

TEST(GatewayDocumentation, EveryKey_IsDescribed) {
  const std::string text = ReadSource("docs/gateway-config.md") + ReadSource("docs/access.md");
  for (const std::string& path : AllKeys()) {
    const std::string key = path.substr(path.rfind('.') + 1);
    EXPECT_NE(text.find("`" + key + "`"), std::string::npos) << path;
  }
}

TEST(GatewayDocumentation, TheExample_IsAConfiguration) {
  setenv("HOSTED_API_KEY", "sk-hosted", 1);
  setenv("REDIS_PASSWORD", "secret", 1);
  const Result<GatewayConfig> config = LoadGatewayConfig(SourceDir() / "deploy" / "gateway.example.yaml");
  unsetenv("HOSTED_API_KEY");
  unsetenv("REDIS_PASSWORD");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->routes.size(), 5u);
  EXPECT_EQ(config->routes[1].upstreams.size(), 3u);
  EXPECT_EQ(config->routes[2].upstreams[0].api_key, "sk-hosted");
  EXPECT_EQ(config->redis->password, "secret");
}

TEST(GatewayDocumentation, TheExample_StandsInTheReference) {
  EXPECT_THAT(ReadSource("docs/gateway-config.md"), HasSubstr("```yaml\n" + ReadSource("deploy/gateway.example.yaml") + "```\n"));
}

}  // namespace
}  // namespace autoglm::gateway
