#include "telemetry/trace_context.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <unordered_set>
#include <vector>

namespace autoglm {
namespace {

constexpr const char* kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr const char* kSpan = "00f067aa0ba902b7";

TraceContext Read(const std::map<std::string, std::string, std::less<>>& headers) {
  return TraceContext::Read([&](std::string_view name) {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string_view() : std::string_view(found->second);
  });
}

TEST(TraceContextTest, Traceparent) {
  const TraceContext context =
      Read({{"traceparent", std::string("00-") + kTrace + "-" + kSpan + "-01"}, {"tracestate", "vendor=1"}});
  EXPECT_EQ(context.trace.Hex(), kTrace);
  EXPECT_EQ(context.parent.Hex(), kSpan);
  EXPECT_EQ(context.is_sampled, true);
  EXPECT_EQ(context.state, "vendor=1");
  EXPECT_EQ(Traceparent(context.trace, context.parent, true), std::string("00-") + kTrace + "-" + kSpan + "-01");
}

TEST(TraceContextTest, MalformedTraceparents_CountAsAbsent) {
  const std::string good = std::string("00-") + kTrace + "-" + kSpan + "-01";
  EXPECT_TRUE(Read({{"traceparent", good}}).trace.is_set());
  // A later version may go on behind what is known.
  EXPECT_TRUE(Read({{"traceparent", "01" + good.substr(2) + "-more"}}).trace.is_set());
  const std::vector<std::string> malformed = {good + "-more",
                                              "ff" + good.substr(2),
                                              good.substr(0, 54),
                                              "00-" + std::string(32, '0') + "-" + kSpan + "-01",
                                              std::string("00-") + kTrace + "-0000000000000000-01",
                                              "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                                              std::string("00_") + kTrace + "-" + kSpan + "-01",
                                              std::string("00-") + kTrace + "-" + kSpan + "-0x"};
  for (const std::string& bad : malformed) {
    EXPECT_FALSE(Read({{"traceparent", bad}}).trace.is_set()) << bad;
  }
}

TEST(TraceContextTest, B3_InOneHeaderAndInSeveral) {
  EXPECT_EQ(Read({{"b3", std::string(kTrace) + "-" + kSpan + "-0"}}).is_sampled, false);
  EXPECT_EQ(Read({{"b3", std::string(kSpan) + "-" + kSpan}}).trace.Hex(), std::string(16, '0') + kSpan);
  const TraceContext several = Read({{"x-b3-traceid", kTrace}, {"x-b3-spanid", kSpan}, {"x-b3-sampled", "1"}});
  EXPECT_EQ(several.trace.Hex(), kTrace);
  EXPECT_EQ(several.parent.Hex(), kSpan);
  EXPECT_EQ(several.is_sampled, true);
}

TEST(TraceContextTest, OwnHeaders) {
  const TraceContext context = Read({{"x-trace-id", kTrace}, {"x-span-id", kSpan}});
  EXPECT_EQ(context.trace.Hex(), kTrace);
  EXPECT_EQ(context.parent.Hex(), kSpan);
  EXPECT_FALSE(context.is_sampled);
  EXPECT_FALSE(Read({{"x-trace-id", "not hex"}}).trace.is_set());
}

TEST(TraceContextTest, TheFirstWholeOne_Counts) {
  const std::string other = "1111111111111111" + std::string(16, '2');
  EXPECT_EQ(Read({{"traceparent", "garbage"}, {"x-trace-id", other}}).trace.Hex(), other);
  EXPECT_EQ(Read({{"traceparent", std::string("00-") + kTrace + "-" + kSpan + "-00"}, {"x-trace-id", other}}).trace.Hex(),
            kTrace);
}

TEST(TraceContextTest, ChildrenAreTheirOwn) {
  const SpanId span = NewSpanId();
  std::unordered_set<uint64_t> ids = {span.value};
  for (uint64_t i = 0; i < 1000; ++i) EXPECT_TRUE(ids.insert(span.Child(i).value).second);
  EXPECT_EQ(span.Child(7), span.Child(7));
  EXPECT_NE(NewTraceId(), NewTraceId());
}

}  // namespace
}  // namespace autoglm
