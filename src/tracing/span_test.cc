#include "tracing/span.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace autoglm {
namespace {

using ::testing::Contains;
using ::testing::Pair;

class SpanTest : public testing::Test {
 protected:
  SpanTest() {
    record_.id = "r-1";
    record_.trace = {1, 2};
    record_.span = {3};
    record_.parent = {4};
    record_.begun_unix_ns = 1'000'000'000;
    record_.total_ns = 50'000'000;
    record_.method = names_.IndexOf("POST");
    record_.route = names_.IndexOf("/v1/chat/completions");
    record_.model = names_.IndexOf("smol");
    record_.status = 200;
    record_.num_prompt_tokens = 12;
    record_.first_token_ns = 30'000'000;
  }
  void AddPiece(Stage stage, uint32_t begin_us, uint32_t length_us) {
    record_.spans[record_.num_spans++] = {.begin_us = begin_us, .length_us = length_us, .stage = stage};
  }

  InternedNames names_;
  RequestRecord record_;
};

const Span& Named(const std::vector<Span>& spans, std::string_view name) { return *std::ranges::find(spans, name, &Span::name); }

TEST_F(SpanTest, OfTheWholeRequest) {
  const std::vector<Span> spans = SpansOf(record_, names_);
  ASSERT_EQ(spans.size(), 1U);
  const Span& root = spans.front();
  EXPECT_EQ(root.name, "chat smol");
  EXPECT_EQ(root.kind, SpanKind::kServer);
  EXPECT_EQ(root.id.value, 3U);
  EXPECT_EQ(root.parent.value, 4U);
  EXPECT_EQ(root.end_unix_ns, 1'050'000'000);
  EXPECT_FALSE(root.is_error);
  EXPECT_THAT(root.attributes, Contains(Pair("gen_ai.usage.prompt_tokens", AttributeValue(int64_t{12}))));
  EXPECT_THAT(root.attributes, Contains(Pair("gen_ai.latency.time_to_first_token", AttributeValue(0.03))));
  ASSERT_EQ(root.events.size(), 1U);
  EXPECT_EQ(root.events[0].unix_ns, 1'030'000'000);
}

TEST_F(SpanTest, StagesHangOnIt_EachWithAnIdOfItsOwn) {
  AddPiece(Stage::kQueue, 0, 10);
  AddPiece(Stage::kPrefill, 10, 20);
  const std::vector<Span> spans = SpansOf(record_, names_);
  ASSERT_EQ(spans.size(), 3U);
  std::set<uint64_t> ids;
  for (const Span& span : spans) EXPECT_TRUE(ids.insert(span.id.value).second);
  EXPECT_EQ(spans[2].name, "prefill");
  EXPECT_EQ(spans[2].parent, record_.span);
  EXPECT_EQ(spans[2].begin_unix_ns, 1'000'010'000);
  EXPECT_EQ(spans[2].end_unix_ns, 1'000'030'000);
}

TEST_F(SpanTest, Attempts_HaveTheirPartsBelowThem) {
  record_.is_gateway = true;
  record_.num_attempts = 2;
  record_.attempts[0] = {
      .begin_us = 100, .end_us = 200, .upstream = names_.IndexOf("a"), .reason = names_.IndexOf("status_503"), .status = 503};
  record_.attempts[1] = {.begin_us = 210, .first_byte_us = 300, .end_us = 900, .upstream = names_.IndexOf("b"), .status = 200};
  AddPiece(Stage::kRoute, 50, 10);
  AddPiece(Stage::kWait, 110, 90);
  AddPiece(Stage::kStream, 300, 600);
  const std::vector<Span> spans = SpansOf(record_, names_);
  const Span& first = Named(spans, "attempt a");
  const Span& second = Named(spans, "attempt b");
  EXPECT_EQ(first.id, AttemptSpanId(record_.span, 0));
  EXPECT_EQ(first.kind, SpanKind::kClient);
  EXPECT_TRUE(first.is_error);
  EXPECT_FALSE(second.is_error);
  EXPECT_EQ(Named(spans, "route").parent, record_.span);
  EXPECT_EQ(Named(spans, "wait").parent, first.id);
  EXPECT_EQ(Named(spans, "stream").parent, second.id);
}

TEST_F(SpanTest, TheLastPlaceStandsForTheLastAttempt) {
  record_.num_attempts = 7;
  const std::vector<Span> spans = SpansOf(record_, names_);
  EXPECT_EQ(spans.size(), 1U + RequestRecord::kMaxAttempts);
  EXPECT_EQ(spans.back().id, AttemptSpanId(record_.span, 6));
}

TEST_F(SpanTest, Failures_SayWhat) {
  record_.status = 503;
  record_.reason = names_.IndexOf("no_upstream");
  const Span root = SpansOf(record_, names_).front();
  EXPECT_TRUE(root.is_error);
  EXPECT_THAT(root.attributes, Contains(Pair("autoglm.refused", AttributeValue(std::string("no_upstream")))));
}

}  // namespace
}  // namespace autoglm
