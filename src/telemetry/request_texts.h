#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "telemetry/trace_context.h"

namespace autoglm {

// What a request asked and was answered, as JSON: the messages of OpenTelemetry's gen_ai.input.messages and
// gen_ai.output.messages.
struct RequestText {
  std::string input_messages;
  std::string output_messages;
};

// Texts of requests from their end until their records have been seen. Bounded: the oldest go first. Any thread.
class RequestTexts {
 public:
  explicit RequestTexts(size_t max_bytes = size_t{64} << 20) : max_bytes_(max_bytes) {}

  void Add(const SpanId& request, RequestText text);
  std::optional<RequestText> Take(const SpanId& request);
  // Whoever takes them has seen all records by now. Texts from before the call before this one are of records that were missed,
  // and nobody will ask for them.
  void EndPass();

 private:
  std::optional<RequestText> RemoveLocked(const SpanId& request);

  const size_t max_bytes_;
  std::mutex mutex_;  // of all below
  std::unordered_map<uint64_t, RequestText> texts_;
  std::deque<uint64_t> order_;  // the oldest first; some are gone
  size_t num_new_ = 0;          // at the end of order_, since the last pass
  size_t num_bytes_ = 0;
};

}  // namespace autoglm
