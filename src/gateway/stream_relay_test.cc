#include "gateway/stream_relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "gateway/continuation.h"

namespace autoglm::gateway {
namespace {

using ::testing::ElementsAre;
using Kind = StreamRelay::Kind;

TEST(StreamRelay, WholeEvents_GoOnAtOnce) {
  StreamRelay relay(Kind::kPlain);
  EXPECT_EQ(relay.Feed("data: a\n\ndata: b\n\n"), "data: a\n\ndata: b\n\n");
  EXPECT_EQ(relay.num_events(), 2);
}

TEST(StreamRelay, EventInPieces_WaitsForItsEnd) {
  StreamRelay relay(Kind::kPlain);
  EXPECT_EQ(relay.Feed("data: a\n\ndat"), "data: a\n\n");
  EXPECT_EQ(relay.Feed("a: b"), "");
  EXPECT_EQ(relay.Feed("\n"), "");
  EXPECT_EQ(relay.Feed("\ndata: c"), "data: b\n\n");
  relay.DropPartial();
  EXPECT_EQ(relay.TakeRest(), "");
}

TEST(StreamRelay, LinesMayEndAsOnOtherSystems) {
  StreamRelay relay(Kind::kPlain);
  EXPECT_EQ(relay.Feed("data: a\r\n\r\ndata: b\r\n"), "data: a\r\n\r\n");
  EXPECT_EQ(relay.Feed("\r\n"), "data: b\r\n\r\n");
}

TEST(StreamRelay, End_IsSeen) {
  StreamRelay done(Kind::kPlain);
  done.Feed("data: [DONE]\n\n");
  EXPECT_TRUE(done.has_ended());
  StreamRelay finished(Kind::kPlain);
  finished.Feed("data: {\"choices\":[{\"finish_reason\":null}]}\n\n");
  EXPECT_FALSE(finished.has_ended());
  finished.Feed("data: {\"choices\":[{\"finish_reason\": \"stop\"}]}\n\n");
  EXPECT_TRUE(finished.has_ended());
}

TEST(StreamRelay, Usage_IsFoundWhereItIsGiven) {
  StreamRelay relay(Kind::kPlain);
  relay.Feed("data: {\"usage\":null}\n\n");
  EXPECT_FALSE(relay.usage());
  relay.Feed("data: {\"usage\":{\"prompt_tokens\":7,\"completion_tokens\": 9,\"total_tokens\":16}}\n\n");
  ASSERT_TRUE(relay.usage());
  EXPECT_EQ(relay.usage()->input, 7);
  EXPECT_EQ(relay.usage()->output, 9);
}

TEST(FindUsage, KnowsBothKindsOfNames) {
  EXPECT_EQ(FindUsage(R"({"usage":{"input_tokens":3,"output_tokens":4}})")->output, 4);
  EXPECT_EQ(FindUsage(R"({"usage":{"prompt_tokens":3,"total_tokens":3}})")->output, 0);
  EXPECT_FALSE(FindUsage(R"({"usage":{"prompt_tokens":"many"}})"));
  EXPECT_FALSE(FindUsage("{}"));
}

// As our own engines write them.
constexpr const char* kFirst =
    ": autoglm-stream {\"id\":\"chatcmpl-1\",\"created\":5,\"seed\":9}\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
constexpr const char* kSecond =
    ": autoglm-tokens 17,905\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\u00e9\\n\\ud83d\\ude00\"}}]}\n\n";

TEST(StreamRelay, CommentsOfOurEngines_AreKeptAndNotPassedOn) {
  StreamRelay relay(Kind::kContinuable);
  const std::string passed = relay.Feed(kFirst) + relay.Feed(kSecond) + relay.Feed(": ping\n\n");
  EXPECT_EQ(passed.find("autoglm"), std::string::npos);
  EXPECT_NE(passed.find(": ping"), std::string::npos);
  EXPECT_EQ(relay.num_events(), 2);
  EXPECT_THAT(relay.tokens(), ElementsAre(17, 905));
  // a, two bytes, a line feed, four bytes.
  EXPECT_EQ(relay.text_bytes(), 1 + 2 + 1 + 4);
  EXPECT_EQ(ContinuationMembers(relay),
            R"("autoglm_continue":{"id":"chatcmpl-1","created":5,"seed":9,"token_ids":[17,905],"text_bytes":8},)");
}

TEST(StreamRelay, TokensOfAnEventThatWasCut_DoNotCount) {
  StreamRelay relay(Kind::kContinuable);
  relay.Feed(kFirst);
  relay.Feed(std::string(kSecond).substr(0, 60));
  relay.DropPartial();
  EXPECT_TRUE(relay.tokens().empty());
  EXPECT_EQ(relay.text_bytes(), 0);
}

TEST(StreamRelay, TextOutsideTheBasicAlphabet_IsCountedInBytes) {
  StreamRelay relay(Kind::kContinuable);
  relay.Feed("data: {\"text\":\"\xE4\xBD\xA0\\u4f60\\\"\\\\\"}\n\n");
  EXPECT_EQ(relay.text_bytes(), 3 + 3 + 1 + 1);
}

}  // namespace
}  // namespace autoglm::gateway
