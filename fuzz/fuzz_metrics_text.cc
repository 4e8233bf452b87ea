// Metrics of servers: whatever they answer, there is a report within bounds, or none.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "discovery/metrics_text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  const auto report = discovery::ReportFromMetrics({reinterpret_cast<const char*>(data), num_bytes});
  if (!report) return 0;
  AUTOGLM_CHECK(report->num_running >= 0 && report->num_waiting >= 0);
  AUTOGLM_CHECK(report->kv_usage >= 0 && report->kv_usage <= 1);
  return 0;
}
