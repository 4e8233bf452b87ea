#include "config/environment.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace autoglm {
namespace {

class EnvironmentTest : public testing::Test {
 protected:
  EnvironmentTest() {
    setenv("AUTOGLM_TEST_A", "first", 1);
    setenv("AUTOGLM_TEST_2", "${AUTOGLM_TEST_A}$", 1);
    setenv("AUTOGLM_TEST_EMPTY", "", 1);
    unsetenv("AUTOGLM_TEST_UNSET");
  }
  ~EnvironmentTest() override {
    for (const char* name : {"AUTOGLM_TEST_A", "AUTOGLM_TEST_2", "AUTOGLM_TEST_EMPTY"}) unsetenv(name);
  }
};

TEST_F(EnvironmentTest, Names_StandForTheirValues) {
  EXPECT_EQ(PutEnvironmentIn("plain"), "plain");
  EXPECT_EQ(PutEnvironmentIn("${AUTOGLM_TEST_A}"), "first");
  EXPECT_EQ(PutEnvironmentIn("a ${AUTOGLM_TEST_A}, ${AUTOGLM_TEST_A}${AUTOGLM_TEST_EMPTY}!"), "a first, first!");
}

TEST_F(EnvironmentTest, WhatAValueHolds_IsNotReadAgain) {
  EXPECT_EQ(PutEnvironmentIn("${AUTOGLM_TEST_2}${AUTOGLM_TEST_A}"), "${AUTOGLM_TEST_A}$first");
}

TEST_F(EnvironmentTest, Dollars_StandForThemselves) {
  EXPECT_EQ(PutEnvironmentIn("$AUTOGLM_TEST_A costs $5, $$, }{$"), "$AUTOGLM_TEST_A costs $5, $$, }{$");
  EXPECT_EQ(PutEnvironmentIn("$${AUTOGLM_TEST_A}"), "${AUTOGLM_TEST_A}");
  EXPECT_EQ(PutEnvironmentIn("$${"), "${");
}

TEST_F(EnvironmentTest, WhatIsNotSet_IsRefusedByName) {
  EXPECT_EQ(PutEnvironmentIn("${AUTOGLM_TEST_A}${AUTOGLM_TEST_UNSET}").error().message,
            "there is no variable AUTOGLM_TEST_UNSET in the environment");
}

TEST_F(EnvironmentTest, WhatIsNoName_IsRefused) {
  for (const char* text :
       {"${", "${AUTOGLM_TEST_A", "${}", "${2}", "${A-B}", "${A:-b}", "${ AUTOGLM_TEST_A}", "${${AUTOGLM_TEST_A}}"}) {
    EXPECT_EQ(PutEnvironmentIn(text).error().message,
              "'${' needs a variable's name and '}' behind it; '$${' stands for '${' itself")
        << text;
  }
}

}  // namespace
}  // namespace autoglm
