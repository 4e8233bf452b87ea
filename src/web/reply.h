#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/server.h"
#include "telemetry/active_request.h"
#include "telemetry/request_log.h"

namespace autoglm {

http::Response JsonReply(int status, std::string body);
http::Response TextReply(int status, std::string body, std::string content_type);
// In OpenAI's form. A request that may be tried again (429, 503) gets Retry-After, unless that is 0: waiting does not help. One
// that lacks credentials (401) is told which.
http::Response ErrorReply(const Error& error, int64_t retry_after_seconds);

// The way back to the client of one request, with the headers that every answer carries.
struct ReplyChannel {
  std::shared_ptr<http::Exchange> exchange;
  std::string request_id;
  TimePoint accepted;
  std::shared_ptr<ActiveRequest> active = {};                     // null: nothing is recorded
  bool tells_timing = false;                                      // the client has asked where the time went
  std::vector<std::pair<std::string, std::string>> headers = {};  // more that are this answer's own

  // These, x-request-id and openai-processing-ms; x-trace-id and x-span-id; and, where asked for, Server-Timing as far as it is
  // known.
  void AddCommonHeaders(http::Response& response, TimePoint now) const;
};

// Opens a request's record, which is told how the answer leaves.
enum class RecordedBy { kServer, kGateway };
std::shared_ptr<ActiveRequest> OpenRecord(const http::Request& request, http::Exchange& exchange, std::string_view request_id,
                                          RequestLog& log, RecordedBy recorded_by);
// Whether the client wants to be told: it sends x-autoglm-timing.
bool AsksForTiming(const http::Request& request);

// Opens the request's record, and closes it when the answer has left. Who asks for x-autoglm-timing gets Server-Timing.
ReplyChannel OpenReplyChannel(const http::Request& request, std::shared_ptr<http::Exchange> exchange, std::string request_id,
                              RequestLog& log);

// "queue;dur=12.3, prefill;dur=45.6, total;dur=78.9": milliseconds by stage, those that took none left out.
// Source: W3C Server Timing.
// `prefix` stands before each name.
std::string ServerTimingOf(const RequestRecord& record, std::string_view prefix = {});
// The same as a JSON object: {"queue":12.3,"total":78.9}.
std::string TimingJson(const RequestRecord& record);

}  // namespace autoglm
