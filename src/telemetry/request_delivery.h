#pragma once

#include <cstdint>

#include "base/clock.h"
#include "telemetry/request_record.h"

namespace autoglm {

// How a request's answer left, and what its connection knows of it.
struct RequestDelivery {
  TimePoint ended{};
  bool is_complete = false;  // else the client has gone
  int64_t num_sent_bytes = 0;
  Duration write_blocked{};
  TcpFigures tcp = {};
};

}  // namespace autoglm
