// KV events of engines: whatever comes is refused with a reason, or can be applied and forgotten without a trace.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "discovery/exact_prefix_index.h"
#include "discovery/kv_event_batch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  const auto events = discovery::ParseEventBatch(std::span(data, num_bytes));
  if (!events) {
    AUTOGLM_CHECK(!events.error().message.empty());
    return 0;
  }
  discovery::ExactPrefixIndex index({.max_blocks = 1000});
  index.Apply("engine", *events);
  AUTOGLM_CHECK(index.num_blocks() <= 1000);
  for (const discovery::EngineEvent& event : *events) (void)index.Find(event.tokens);
  index.Forget("engine");
  AUTOGLM_CHECK(index.num_blocks() == 0);
  return 0;
}
