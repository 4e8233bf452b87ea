// What a Kubernetes API server tells of a service: the first line is a list, each line behind it a watch event. Whatever they
// are, they are refused with a reason, or there are endpoints with a port.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "discovery/endpoint_slices.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  std::string_view text(reinterpret_cast<const char*>(data), num_bytes);
  discovery::EndpointSlices slices("http");
  for (bool is_first = true; !text.empty(); is_first = false) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const Result<Json> json = ParseJson(line);
    if (!json) continue;
    if (is_first) {
      [[maybe_unused]] const auto replaced = slices.Replace(*json);
    } else if (const auto event = slices.Apply(*json); !event) {
      AUTOGLM_CHECK(!event.error().message.empty());
    }
  }
  for (const discovery::FoundEndpoint& endpoint : slices.Endpoints()) AUTOGLM_CHECK(endpoint.port > 0);
  return 0;
}
