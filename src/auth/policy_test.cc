#include "auth/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm {
namespace {

using testing::StartsWith;

std::string JsonError(const std::string& text) {
  const Result<Policy> policy = PolicyFromJson(*ParseJson(text));
  EXPECT_FALSE(policy) << text;
  return policy ? "" : policy.error().message;
}

TEST(Policy, WithoutModels_AllMayBeUsed) { EXPECT_TRUE(Policy().MayUse("anything")); }

TEST(Policy, Star_StandsForAnyCharacters) {
  const Policy policy{.models = {"small", "chat-*", "*-it@*8"}};
  for (const char* name : {"small", "chat-", "chat-9b", "gemma-it@int8", "-it@8", "a-it@b-it@8"})
    EXPECT_TRUE(policy.MayUse(name)) << name;
  for (const char* name : {"", "smal", "smaller", "Small", "chat", "a-it@int", "it@8"}) EXPECT_FALSE(policy.MayUse(name)) << name;
  EXPECT_TRUE(Policy{.models = {"*"}}.MayUse(""));
  EXPECT_TRUE(Policy{.models = {"a**b*"}}.MayUse("a-b"));
}

TEST(Policy, HostileName_IsAnsweredAtOnce) {
  std::string pattern;
  for (int i = 0; i < 120; ++i) pattern += "a*";
  EXPECT_FALSE((Policy{.models = {pattern + "b"}}.MayUse(std::string(1000, 'a'))));
  EXPECT_FALSE((Policy{.models = {"*"}}.MayUse(std::string(2000, 'a')))) << "no model has such a name";
}

TEST(Policy, Json_KeepsEverything) {
  const Policy policy{.tenant = "acme",
                      .models = {"small", "chat-*"},
                      .highest_priority = -3,
                      .max_context_tokens = 1,
                      .max_output_tokens = 2,
                      .requests_per_minute = 3,
                      .tokens_per_minute = 4,
                      .max_concurrent = 5,
                      .budget = 12.5,
                      .budget_period = BudgetPeriod::kDay,
                      .budget_of = BudgetOwner::kTenant,
                      .acts_for_tenants = true};
  EXPECT_EQ(*PolicyFromJson(PolicyToJson(policy)), policy);
  EXPECT_EQ(*PolicyFromJson(PolicyToJson(Policy())), Policy());
  EXPECT_EQ(DumpJson(PolicyToJson(Policy())), R"({"tenant":"default"})");
}

TEST(Policy, Scopes_TakeModelsAwayAndAddNone) {
  const Policy policy{.models = {"small", "chat-*"}, .scope_models = {{"chat-9b", "large"}}};
  EXPECT_TRUE(policy.MayUse("chat-9b"));
  for (const char* name : {"small", "chat-27b", "large"}) EXPECT_FALSE(policy.MayUse(name)) << name;
  EXPECT_TRUE((Policy{.scope_models = {{"*"}}}.MayUse("anything")));
  EXPECT_FALSE((Policy{.scope_models = {std::vector<std::string>()}}.MayUse("anything"))) << "no scope, no model";
}

TEST(Policy, Json_RefusesBudgetsThatMakeNoSense) {
  EXPECT_THAT(JsonError(R"({"budget":-1})"), StartsWith("budget: must be a number from 0 to"));
  EXPECT_THAT(JsonError(R"({"budget":1e13})"), StartsWith("budget: must be a number from 0 to"));
  EXPECT_THAT(JsonError(R"({"budget":"12"})"), StartsWith("budget"));
  EXPECT_THAT(JsonError(R"({"budget":1,"budget_period":"week"})"),
              StartsWith("budget_period must be one of day, month, total, not 'week'"));
  EXPECT_THAT(JsonError(R"({"budget":1,"budget_of":"planet"})"), StartsWith("budget_of must be one of key, tenant"));
}

TEST(Policy, Json_RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(JsonError(R"({"tenant":"a","max_images":3})"), StartsWith("max_images: is not known"));
  EXPECT_THAT(JsonError(R"({"max_concurrent":-1})"), StartsWith("max_concurrent: must be a whole number"));
  EXPECT_THAT(JsonError(R"({"tokens_per_minute":1000000000001})"), StartsWith("tokens_per_minute: must be"));
  EXPECT_THAT(JsonError(R"({"tenant":""})"), StartsWith("tenant: must be 1 to 256 bytes"));
  EXPECT_THAT(JsonError(R"({"tenant":"a\nb"})"), StartsWith("tenant: "));
  EXPECT_THAT(JsonError(R"({"models":[1]})"), StartsWith("models"));
  EXPECT_THAT(JsonError(R"({"models":[""]})"), StartsWith("models: must be"));
  JsonError("[]");
}

}  // namespace
}  // namespace autoglm
