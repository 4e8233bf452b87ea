#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"

namespace autoglm {

// Where a request's time goes, at a server and at a gateway. At any moment a request is in one stage, so that the stages of one
// add up to its total; what none of the others explains is a stage of its own.
enum class Stage : uint8_t {
  kReceiveHead,  // first byte to the end of the head
  kReceiveBody,
  kAuth,
  kRateLimit,
  kParse,   // at a gateway: looking through the body
  kHandle,  // the work of requests that neither generate nor go to an upstream
  // A server's.
  kModelLoad,  // waiting until the model is in memory
  kTemplate,
  kTokenize,
  kAdmission,
  kKvRestore,     // waiting for keys and values that lie compressed or on the disk
  kQueue,         // until the first step that it is part of
  kPreempted,     // in the queue again, because others needed its blocks
  kPrefill,       // in steps that compute its prompt
  kPrefillStall,  // between such steps: others had theirs
  kDecode,        // in steps that generate its tokens
  kDecodeStall,
  // A gateway's.
  kLine,       // waiting in front of the route
  kRoute,      // choosing an upstream
  kConnect,    // to it
  kSend,       // the request to it
  kWait,       // for the first byte of its answer
  kStream,     // until its last
  kRetryWait,  // between two attempts
  kFault,      // put in on purpose
  // From when all of the answer was known to when the kernel had its last byte.
  kDeliver,
  kUnexplained,
};
inline constexpr size_t kNumStages = static_cast<size_t>(Stage::kUnexplained) + 1;

// As metrics, traces, headers and pages call it: "receive_head".
std::string_view StageName(Stage stage);

inline int64_t Nanoseconds(Duration duration) { return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count(); }

// Nanoseconds by stage.
using StageTimes = std::array<int64_t, kNumStages>;

}  // namespace autoglm
