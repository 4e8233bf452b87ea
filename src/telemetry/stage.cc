#include "telemetry/stage.h"

namespace autoglm {

std::string_view StageName(Stage stage) {
  static constexpr std::array<std::string_view, kNumStages> kNames = {
      "receive_head",  "receive_body", "auth",         "rate_limit", "parse",   "handle",     "model_load",
      "template",      "tokenize",     "admission",    "kv_restore", "queue",   "preempted",  "prefill",
      "prefill_stall", "decode",       "decode_stall", "line",       "route",   "connect",    "send",
      "wait",          "stream",       "retry_wait",   "fault",      "deliver", "unexplained"};
  return kNames[static_cast<size_t>(stage)];
}

}  // namespace autoglm
