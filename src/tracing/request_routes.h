#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "http/server.h"
#include "telemetry/request_log.h"

namespace autoglm {

// Answers of servers and gateways about their requests' records, for those that `may_see` says yes to:
//   GET /v1/requests?limit=&active=1&kept=1&min_ms=&status=&min_status=&route=&model=&tenant=   the newest first
//   GET /v1/requests/{id}/timing
//   GET /v1/traces/{trace id}                                                       the records that belong to one trace
// `path` is decoded; what is none of these gets 404.
http::Response AnswerAboutRequests(const RequestLog& log, std::string_view path, std::string_view query,
                                   const RequestLog::Filter& may_see);

// Whether AnswerAboutRequests knows the path.
bool IsAboutRequests(std::string_view path);

}  // namespace autoglm
