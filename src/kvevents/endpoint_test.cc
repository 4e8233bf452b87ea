#include "kvevents/endpoint.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

TEST(Endpoint, NamesAreConnectedToAndAddressesBound) {
  for (const char* bound : {"tcp://*:5557", "tcp://127.0.0.1:5557", "tcp://[::]:5557", "ipc:///tmp/events", "inproc://events"}) {
    EXPECT_FALSE(IsConnectedTo(bound)) << bound;
  }
  for (const char* connected : {"tcp://router:5557", "tcp://router.default.svc:5557", "tcp://localhost:5557"}) {
    EXPECT_TRUE(IsConnectedTo(connected)) << connected;
  }
}

TEST(Endpoint, EveryModelHasItsOwn) {
  EXPECT_EQ(EndpointOfModel("tcp://*:5557", 0), "tcp://*:5557");
  EXPECT_EQ(EndpointOfModel("tcp://*:5557", 2), "tcp://*:5559");
  EXPECT_EQ(EndpointOfModel("tcp://[::]:5557", 1), "tcp://[::]:5558");
  EXPECT_EQ(EndpointOfModel("ipc:///tmp/events", 1), "ipc:///tmp/events_1");
}

}  // namespace
}  // namespace autoglm
