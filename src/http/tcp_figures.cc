#include "http/tcp_figures.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace autoglm::http {
namespace {

uint32_t Clamped(uint64_t value) {
  return static_cast<uint32_t>(std::min<uint64_t>(value, std::numeric_limits<uint32_t>::max()));
}

}  // namespace

TcpFigures TcpFiguresOf(int socket) {
  tcp_info info{};
  socklen_t size = sizeof(info);  // an older kernel fills in less
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
  constexpr uint32_t kUnknown = std::numeric_limits<uint32_t>::max();  // no round trip was measured yet
  return {.rtt_us = info.tcpi_rtt,
          .rtt_variation_us = info.tcpi_rttvar,
          .min_rtt_us = info.tcpi_min_rtt == kUnknown ? 0 : info.tcpi_min_rtt,
          .num_retransmits = info.tcpi_total_retrans,
          .busy_us = Clamped(info.tcpi_busy_time),
          .receiver_limited_us = Clamped(info.tcpi_rwnd_limited),
          .buffer_limited_us = Clamped(info.tcpi_sndbuf_limited),
          .delivery_bytes_per_s = Clamped(info.tcpi_delivery_rate)};
}

}  // namespace autoglm::http
