#include "cli/keys_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "auth/key_store.h"
#include "cli/command_line.h"
#include "config/key_database.h"
#include "json/json.h"
#include "support/temporary_folder.h"

namespace autoglm {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;

struct Outcome {
  int exit_code = 0;
  std::string out, err;
};

class KeysCommandTest : public testing::Test {
 protected:
  Outcome Run(std::vector<std::string> arguments) const {
    std::istringstream in;
    std::ostringstream out, err;
    Console console{.in = in, .out = out, .err = err};
    arguments.insert(arguments.begin(), "keys");
    arguments.insert(arguments.end(), {"--database", database_});
    const int exit_code = RunCommandLine(arguments, console);
    return {exit_code, out.str(), err.str()};
  }
  std::string Create(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "create");
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out.substr(0, outcome.out.size() - 1);
  }
  KeyRecord OnlyKey() const {
    const std::vector<KeyRecord> records = *KeyStore::Open(database_)->List();
    EXPECT_EQ(records.size(), 1u);
    return records.front();
  }

  const TemporaryFolder folder_;
  const std::string database_ = (folder_.path() / "state" / "keys.db").string();
};

TEST_F(KeysCommandTest, Create_PrintsTheKeyAloneAndSaysTheRestElsewhere) {
  const Outcome outcome = Run({"create", "--name", "ci"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, MatchesRegex("sk-autoglm-[0-9A-Za-z]{40}\n"));
  const std::string key = outcome.out.substr(0, outcome.out.size() - 1);
  EXPECT_EQ(OnlyKey().sha256, Sha256Of(key));
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("'ci'"), HasSubstr(OnlyKey().id), HasSubstr("this one time"), Not(HasSubstr(key))));
}

TEST_F(KeysCommandTest, Create_TakesEveryLimit) {
  Create({"--name",
          "web",
          "--tenant",
          "acme",
          "--model",
          "small",
          "--model",
          "chat-*",
          "--highest-priority",
          "-3",
          "--max-context",
          "4096",
          "--max-output",
          "512",
          "--requests-per-minute",
          "60",
          "--tokens-per-minute",
          "100000",
          "--max-concurrent",
          "4",
          "--budget",
          "12.5",
          "--budget-period",
          "day",
          "--budget-of",
          "tenant",
          "--expires",
          "30d"});
  const KeyRecord key = OnlyKey();
  EXPECT_EQ(key.policy, (Policy{.tenant = "acme",
                                .models = {"small", "chat-*"},
                                .highest_priority = -3,
                                .max_context_tokens = 4096,
                                .max_output_tokens = 512,
                                .requests_per_minute = 60,
                                .tokens_per_minute = 100'000,
                                .max_concurrent = 4,
                                .budget = 12.5,
                                .budget_period = BudgetPeriod::kDay,
                                .budget_of = BudgetOwner::kTenant}));
  EXPECT_THAT(Run({"list"}).out, HasSubstr(" budget=12.5/day/tenant\n"));
  ASSERT_TRUE(key.expires_at);
  EXPECT_EQ(*key.expires_at - key.created_at, std::chrono::hours(30 * 24));
}

TEST_F(KeysCommandTest, Create_WithoutOptionsHasNoLimits) {
  Create({"--name", "ci"});
  EXPECT_EQ(OnlyKey().policy, Policy());
  EXPECT_FALSE(OnlyKey().expires_at);
}

TEST_F(KeysCommandTest, Create_RefusesWhatMakesNoSense) {
  EXPECT_EQ(Run({"create"}).exit_code, 2);
  EXPECT_THAT(Run({"create", "--name", "a", "--max-output", "-1"}).err, HasSubstr("--max-output: must be a whole number"));
  EXPECT_THAT(Run({"create", "--name", "a", "--expires", "soon"}).err, HasSubstr("--expires: must be a time such as"));
  EXPECT_THAT(Run({"create", "--name", "a", "--highest-priority", "x"}).err, HasSubstr("--highest-priority: must be"));
  EXPECT_THAT(Run({"create", "--name", "a", "--budget", "-1"}).err, HasSubstr("--budget: must be"));
  EXPECT_THAT(Run({"create", "--name", "a", "--budget-period", "week"}).err, HasSubstr("must be one of day, month, total"));
  EXPECT_EQ(Run({"create", "--name", "a", "extra"}).exit_code, 2);
  EXPECT_EQ(Run({"create", "--name", ""}).exit_code, 1);
  EXPECT_THAT(Run({"create", "--name", "a", "--tenant", ""}).err, HasSubstr("tenant: must be"));
  Create({"--name", "a"});
  EXPECT_THAT(Run({"create", "--name", "a"}).err, HasSubstr("is already called 'a'"));
}

TEST_F(KeysCommandTest, List_ShowsEveryKeyWithItsState) {
  const std::string key = Create({"--name", "ci", "--tenant", "acme", "--max-concurrent", "4", "--model", "chat-*"});
  Create({"--name", "old"});
  Run({"revoke", "old"});
  const Outcome outcome = Run({"list"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(std::ranges::count(outcome.out, '\n'), 3);
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("ID "), HasSubstr("  ci    acme     ..." + key.substr(key.size() - 4)), HasSubstr("  active  "),
                    HasSubstr("models=chat-* max_concurrent=4\n"), HasSubstr("  revoked 20")));
  EXPECT_THAT(outcome.out, Not(HasSubstr(key)));
}

TEST_F(KeysCommandTest, List_AsJsonHasTheSame) {
  Create({"--name", "ci", "--requests-per-minute", "60", "--expires", "1h"});
  Create({"--name", "old"});
  Run({"revoke", "old"});
  const Json list = *ParseJson(Run({"list", "--json"}).out);
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0]["name"], "ci");
  EXPECT_EQ(list[0]["state"], "active");
  EXPECT_EQ(list[0]["expires_at"].get<int64_t>() - list[0]["created_at"].get<int64_t>(), 3600);
  EXPECT_EQ(list[0]["policy"], (Json{{"tenant", "default"}, {"requests_per_minute", 60}}));
  EXPECT_EQ(list[1]["state"], "revoked");
  EXPECT_TRUE(list[1].contains("revoked_at"));
}

TEST_F(KeysCommandTest, List_WithoutADatabaseIsEmptyAndCreatesNone) {
  EXPECT_THAT(Run({"list"}).out, IsEmpty());
  EXPECT_THAT(Run({"list"}).err, HasSubstr("no keys were created yet"));
  EXPECT_EQ(Run({"list", "--json"}).out, "[]\n");
  EXPECT_FALSE(std::filesystem::exists(database_));
}

TEST_F(KeysCommandTest, Revoke_TakesNameOrId) {
  Create({"--name", "ci"});
  const std::string id = OnlyKey().id;
  EXPECT_THAT(Run({"revoke", "ci"}).err, AllOf(HasSubstr(id + " 'ci'"), HasSubstr("is revoked since")));
  EXPECT_TRUE(OnlyKey().revoked_at);
  EXPECT_EQ(Run({"revoke", id}).exit_code, 0) << "again, by id";
  EXPECT_EQ(Run({"revoke", "ci"}).exit_code, 1);
  EXPECT_THAT(Run({"revoke", "nobody"}).err, HasSubstr("has no usable key called 'nobody'"));
}

TEST_F(KeysCommandTest, BrokenDatabase_IsNamed) {
  folder_.Write("broken.db", std::string(200, 'x'));
  std::filesystem::permissions(folder_.path() / "broken.db", std::filesystem::perms(0600));
  std::ostringstream out, err;
  std::istringstream in;
  Console console{.in = in, .out = out, .err = err};
  EXPECT_EQ(RunCommandLine({"keys", "list", "--database", (folder_.path() / "broken.db").string()}, console), 1);
  EXPECT_THAT(err.str(), HasSubstr("broken.db: file is not a database"));
}

TEST(KeyDatabase, DefaultIsInTheStateFolder) {
  setenv("XDG_STATE_HOME", "/state", 1);
  EXPECT_EQ(DefaultKeyDatabase(), "/state/autoglm/keys.db");
  setenv("XDG_STATE_HOME", "relative", 1);
  const std::string home = std::getenv("HOME") == nullptr ? "/" : std::getenv("HOME");
  EXPECT_EQ(DefaultKeyDatabase(), std::filesystem::path(home) / ".local/state/autoglm/keys.db");
  unsetenv("XDG_STATE_HOME");
  EXPECT_EQ(*ParseKeyDatabase("off"), std::nullopt);
  EXPECT_EQ(*ParseKeyDatabase("auto"), DefaultKeyDatabase());
  EXPECT_EQ(*ParseKeyDatabase("a.db"), "a.db");
  EXPECT_FALSE(ParseKeyDatabase(""));
}

}  // namespace
}  // namespace autoglm
