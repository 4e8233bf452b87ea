#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "telemetry/stage.h"
#include "telemetry/trace_context.h"

namespace autoglm {

// Text of at most N bytes within a record; what is longer is cut.
template <size_t N>
struct ShortText {
  std::array<char, N> bytes{};
  uint8_t size = 0;

  void operator=(std::string_view text) {
    size = static_cast<uint8_t>(std::min(text.size(), N));
    std::copy_n(text.begin(), size, bytes.begin());
  }
  std::string_view view() const { return {bytes.data(), size}; }
};

// A piece of a request's time, for pictures of it: stages whole to the nanosecond are in RequestRecord::stages.
struct StageSpan {
  uint32_t begin_us = 0;  // from the request's beginning
  uint32_t length_us = 0;
  uint32_t num_tokens = 0;  // that were computed in it
  uint16_t batch = 0;       // sequences in the largest of its steps
  Stage stage = Stage::kUnexplained;
  uint8_t num_parts = 1;  // pieces that were put together here, because a record holds only so many

  uint64_t end_us() const { return uint64_t{begin_us} + length_us; }
};

// What a gateway did at an upstream.
struct AttemptRecord {
  uint32_t begin_us = 0;
  uint32_t first_byte_us = 0;  // 0: none came
  uint32_t end_us = 0;         // 0: it goes on
  uint16_t upstream = 0;       // in RequestLog::names(), as the next
  uint16_t reason = 0;         // why it failed; 0: it did not
  uint16_t status = 0;         // 0: no answer
  bool is_retry = false;
  bool is_hedge = false;
  bool is_continuation = false;  // goes on with a stream that broke off elsewhere
  bool is_answer = false;        // what the client got
};

// What the kernel knows of the client's connection at the end of a request: Linux's TCP_INFO. All 0: not asked for.
struct TcpFigures {
  uint32_t rtt_us = 0;
  uint32_t rtt_variation_us = 0;
  uint32_t min_rtt_us = 0;
  uint32_t num_retransmits = 0;  // of the connection's whole life, as the next four
  uint32_t busy_us = 0;          // with bytes to send
  uint32_t receiver_limited_us = 0;
  uint32_t buffer_limited_us = 0;
  uint32_t delivery_bytes_per_s = 0;
};

enum class RequestState : uint8_t { kActive, kDone };

// Everything that is known of one request, in a fixed size. Times are monotonic, from the request's first byte on.
struct RequestRecord {
  static constexpr size_t kMaxSpans = 24;
  static constexpr size_t kMaxAttempts = 4;  // the last one stands for all further ones

  ShortText<64> id;
  RequestState state = RequestState::kActive;
  Stage stage = Stage::kUnexplained;  // that it is in, while it is active
  bool is_client_gone = false;
  bool is_gateway = false;
  bool is_look = false;  // at the server itself: metrics, health, these records
  bool violates_slo = false;
  bool is_sampled = false;  // its trace is kept
  TraceId trace;
  SpanId span;
  SpanId parent;

  int64_t begun_unix_ns = 0;
  int64_t begun_ns = 0;  // steady clock
  int64_t total_ns = 0;
  StageTimes stages{};  // add up to the total

  // In RequestLog::names().
  uint16_t method = 0;
  uint16_t route = 0;
  uint16_t model = 0;
  uint16_t tenant = 0;
  uint16_t key = 0;
  uint16_t slo_class = 0;
  uint16_t finish = 0;  // why the answer ended
  uint16_t reason = 0;  // why it was refused
  uint16_t upstream = 0;

  uint16_t status = 0;  // 499: the client left
  uint8_t num_choices = 0;
  uint8_t num_spans = 0;
  uint8_t num_attempts = 0;
  uint32_t num_prompt_tokens = 0;
  uint32_t num_cached_tokens = 0;
  uint32_t num_completion_tokens = 0;
  uint32_t num_steps = 0;
  uint32_t num_prefill_steps = 0;
  uint16_t num_preemptions = 0;
  uint16_t largest_batch = 0;
  float mean_batch = 0;
  float max_tokens = 0;    // asked for; 0: not said
  float temperature = -1;  // -1: not said
  float top_p = -1;

  int64_t first_token_ns = 0;    // 0: there was none
  int64_t cpu_ns = 0;            // of the process in its steps, by its share of their tokens, and of its handling
  int64_t run_queue_ns = 0;      // that the engine's thread could run and had no processor, in its steps
  int64_t write_blocked_ns = 0;  // that bytes waited for the client's connection; at the same time as other stages
  int64_t num_received_bytes = 0;
  int64_t num_sent_bytes = 0;
  TcpFigures tcp;

  std::array<AttemptRecord, kMaxAttempts> attempts{};
  std::array<StageSpan, kMaxSpans> spans{};  // last, so that those not used need not be copied

  int64_t Of(Stage one) const { return stages[static_cast<size_t>(one)]; }
  int64_t SumOfStages() const;
  size_t num_used_bytes() const { return sizeof(RequestRecord) - (kMaxSpans - num_spans) * sizeof(StageSpan); }
};
static_assert(std::is_trivially_copyable_v<RequestRecord>);
static_assert(offsetof(RequestRecord, spans) + sizeof(RequestRecord::spans) == sizeof(RequestRecord));

}  // namespace autoglm
