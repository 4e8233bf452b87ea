#pragma once

#include "telemetry/request_record.h"

namespace autoglm::http {

// What the kernel says of a connection; all 0 where it says nothing. Source: Linux, include/uapi/linux/tcp.h.
TcpFigures TcpFiguresOf(int socket);

}  // namespace autoglm::http
