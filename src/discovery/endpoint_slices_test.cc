#include "discovery/endpoint_slices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm::discovery {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using WatchEvent = EndpointSlices::WatchEvent;

// As the API server writes them, fields that do not matter included.
std::string Slice(const std::string& name, const std::string& endpoints, const std::string& type = "IPv4",
                  const std::string& ports = R"([{"name":"http","protocol":"TCP","port":8000}])") {
  return R"({"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"name":")" + name +
         R"(","namespace":"default","uid":"1","resourceVersion":"7","labels":{"kubernetes.io/service-name":"llm"}},"addressType":")" +
         type + R"(","endpoints":)" + endpoints + R"(,"ports":)" + ports + "}";
}
std::string Endpoint(const std::string& address,
                     const std::string& conditions = R"({"ready":true,"serving":true,"terminating":false})") {
  return R"({"addresses":[")" + address + R"("],"conditions":)" + conditions +
         R"(,"targetRef":{"kind":"Pod","name":"pod"},"nodeName":"n","zone":"z1"})";
}
std::string List(const std::string& slices) {
  return R"({"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"100"},"items":[)" +
         slices + "]}";
}

std::vector<std::string> Hosts(const EndpointSlices& slices) {
  std::vector<std::string> hosts;
  for (const FoundEndpoint& endpoint : slices.Endpoints()) hosts.push_back(endpoint.host + ":" + std::to_string(endpoint.port));
  return hosts;
}

class EndpointSlicesTest : public testing::Test {
 protected:
  void Replace(const std::string& slices) { ASSERT_TRUE(slices_.Replace(ParseJson(List(slices)).value())); }
  Result<WatchEvent> Apply(const std::string& type, const std::string& object) {
    return slices_.Apply(ParseJson(R"({"type":")" + type + R"(","object":)" + object + "}").value());
  }

  EndpointSlices slices_{"http"};
};

TEST_F(EndpointSlicesTest, AListHasTheEndpointsOfAllSlices) {
  Replace(Slice("a", "[" + Endpoint("10.0.0.1") + "," + Endpoint("10.0.0.2") + "]") + "," +
          Slice("b", "[" + Endpoint("10.0.0.3") + "]"));
  EXPECT_THAT(Hosts(slices_), ElementsAre("10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000"));
  EXPECT_EQ(slices_.Endpoints().front().region, "z1");
  EXPECT_EQ(slices_.resource_version(), "100");
  Replace("");
  EXPECT_THAT(Hosts(slices_), IsEmpty());
}

TEST_F(EndpointSlicesTest, WatchingChangesThemOneByOne) {
  Replace(Slice("a", "[" + Endpoint("10.0.0.1") + "]"));
  EXPECT_EQ(Apply("ADDED", Slice("b", "[" + Endpoint("10.0.0.2") + "]")), WatchEvent::kChange);
  EXPECT_THAT(Hosts(slices_), ElementsAre("10.0.0.1:8000", "10.0.0.2:8000"));
  EXPECT_EQ(slices_.resource_version(), "7");
  EXPECT_EQ(Apply("MODIFIED", Slice("a", "[" + Endpoint("10.0.0.9") + "]")), WatchEvent::kChange);
  EXPECT_EQ(Apply("DELETED", Slice("b", "null")), WatchEvent::kChange);
  EXPECT_THAT(Hosts(slices_), ElementsAre("10.0.0.9:8000"));
  EXPECT_EQ(Apply("BOOKMARK", R"({"kind":"EndpointSlice","metadata":{"resourceVersion":"500","creationTimestamp":null}})"),
            WatchEvent::kBookmark);
  EXPECT_EQ(slices_.resource_version(), "500");
  EXPECT_THAT(Hosts(slices_), ElementsAre("10.0.0.9:8000"));
}

TEST_F(EndpointSlicesTest, ReadyOnesAreTaken) {
  Replace(Slice("a", "[" + Endpoint("10.0.0.1", R"({"ready":false})") + "," + Endpoint("10.0.0.2", "{}") + "," +
                         Endpoint("10.0.0.3", "null") + "," +
                         Endpoint("10.0.0.4", R"({"ready":false,"serving":true,"terminating":true})") + "]"));
  EXPECT_THAT(Hosts(slices_), ElementsAre("10.0.0.2:8000", "10.0.0.3:8000"));
}

TEST_F(EndpointSlicesTest, ThoseThatEndServeWhileThereIsNobodyElse) {
  Replace(Slice("a", "[" + Endpoint("10.0.0.1", R"({"ready":false,"serving":true,"terminating":true})") + "," +
                         Endpoint("10.0.0.2", R"({"ready":false,"serving":false,"terminating":true})") + "]"));
  EXPECT_THAT(Hosts(slices_), ElementsAre("10.0.0.1:8000"));
}

TEST_F(EndpointSlicesTest, PortsAreFoundByName) {
  const std::string ports =
      R"([{"name":"zmq","port":5557},{"name":"dns","protocol":"UDP","port":53},{"name":"http","port":9000}])";
  Replace(Slice("a", "[" + Endpoint("10.0.0.1") + "]", "IPv4", ports));
  EXPECT_THAT(Hosts(slices_), ElementsAre("10.0.0.1:9000"));
  EndpointSlices first("");
  ASSERT_TRUE(first.Replace(ParseJson(List(Slice("a", "[" + Endpoint("10.0.0.1") + "]", "IPv4", ports))).value()));
  EXPECT_THAT(Hosts(first), ElementsAre("10.0.0.1:5557"));
  for (const char* none : {"null", "[]", R"([{"name":"http"}])", R"([{"name":"http","port":99999}])"}) {
    Replace(Slice("a", "[" + Endpoint("10.0.0.1") + "]", "IPv4", none));
    EXPECT_THAT(Hosts(slices_), IsEmpty()) << none;
  }
}

TEST_F(EndpointSlicesTest, OfTwoFamiliesOneCounts) {
  Replace(Slice("a", "[" + Endpoint("fd00::1") + "]", "IPv6") + "," + Slice("b", "[" + Endpoint("10.0.0.1") + "]"));
  EXPECT_THAT(Hosts(slices_), ElementsAre("10.0.0.1:8000"));
  Replace(Slice("a", "[" + Endpoint("fd00::1") + "]", "IPv6"));
  EXPECT_THAT(Hosts(slices_), ElementsAre("fd00::1:8000"));
}

TEST_F(EndpointSlicesTest, WhatIsGoneOnTheServerMustBeListedAnew) {
  Replace("");
  EXPECT_EQ(Apply("ERROR",
                  R"({"kind":"Status","status":"Failure","message":"too old resource version","reason":"Expired","code":410})"),
            WatchEvent::kGone);
  const auto other = Apply("ERROR", R"({"kind":"Status","message":"etcd is gone","code":500})");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().message, "etcd is gone");
}

TEST_F(EndpointSlicesTest, OtherShapesAreRefusedAndChangeNothing) {
  Replace(Slice("a", "[" + Endpoint("10.0.0.1") + "]"));
  for (
      const char* list :
      {"5", "{}", R"({"metadata":{},"items":[]})", R"({"metadata":{"resourceVersion":"1"},"items":5})",
       R"({"metadata":{"resourceVersion":"1"},"items":[{}]})",
       R"({"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"a"},"ports":[{"name":"http","port":1}],"endpoints":[5]}]})"}) {
    EXPECT_FALSE(slices_.Replace(ParseJson(list).value())) << list;
  }
  for (const char* event : {"5", "{}", R"({"type":"ADDED"})", R"({"type":"ADDED","object":{}})", R"({"type":5,"object":{}})",
                            R"({"type":"ADDED","object":{"metadata":{"name":""}}})"}) {
    EXPECT_FALSE(slices_.Apply(ParseJson(event).value())) << event;
  }
  EXPECT_THAT(Hosts(slices_), ElementsAre("10.0.0.1:8000"));
  EXPECT_EQ(slices_.resource_version(), "100");
}

TEST(FoundEndpoint, BecomesAnUpstreamLikeTheOthers) {
  const gateway::UpstreamConfig like{.spec = {.weight = 2}, .api_key = "k", .kv_events = "tcp://{host}:5557"};
  const auto upstreams = UpstreamsAt({{.host = "fd00::1", .port = 80, .weight = 0.5, .region = "z1"},
                                      {.host = "10.0.0.1", .port = 80},
                                      {.host = "10.0.0.1", .port = 80, .weight = 3}},
                                     like);
  ASSERT_EQ(upstreams.size(), 2u);
  EXPECT_EQ(upstreams[0].url, "http://10.0.0.1:80");
  EXPECT_EQ(upstreams[0].spec.name, upstreams[0].url);
  EXPECT_EQ(upstreams[1].url, "http://[fd00::1]:80");
  EXPECT_EQ(upstreams[1].spec.weight, 1);
  EXPECT_EQ(upstreams[1].spec.region, "z1");
  EXPECT_EQ(upstreams[1].kv_events, "tcp://[fd00::1]:5557");
  EXPECT_EQ(upstreams[1].api_key, "k");
  gateway::UpstreamConfig encrypted = like;
  encrypted.tls.emplace();
  EXPECT_EQ(UpstreamsAt({{.host = "a", .port = 443}}, encrypted).front().url, "https://a:443");
}

}  // namespace
}  // namespace autoglm::discovery
