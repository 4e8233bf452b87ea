#pragma once

#include <cstdint>

#include "base/random.h"
#include "gateway/mirror_sender.h"
#include "http/client.h"
#include "http/event_loop.h"

namespace autoglm::gateway {

// What one I/O thread has for all its requests. On that thread only.
struct GatewayLoop {
  GatewayLoop(http::EventLoop& own_loop, uint64_t seed) : loop(own_loop), client(own_loop), random(seed) {}

  http::EventLoop& loop;
  http::Client client;
  MirrorSender mirrors;  // behind the client, whose calls they are
  Random random;
};

}  // namespace autoglm::gateway
