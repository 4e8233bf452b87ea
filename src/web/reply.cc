#include "web/reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "openai/error.h"

namespace autoglm {
namespace {

constexpr std::string_view kTimingHeader = "x-autoglm-timing";

// Those that took any time, and the total.
template <typename Visit>
void ForEachStage(const RequestRecord& record, Visit visit) {
  for (size_t i = 0; i < kNumStages; ++i) {
    if (record.stages[i] > 0) visit(StageName(static_cast<Stage>(i)), static_cast<double>(record.stages[i]) * 1e-6);
  }
  visit("total", static_cast<double>(record.total_ns) * 1e-6);
}

// Most requests bring none, which one look at their headers tells.
TraceContext ContextOf(const http::Request& request) {
  const bool brings_any = std::ranges::any_of(request.headers, [](const auto& header) {
    const std::string& name = header.first;
    return name == "traceparent" || name == "x-trace-id" || name.starts_with("b3") || name.starts_with("x-b3-");
  });
  if (!brings_any) return {};
  return TraceContext::Read([&request](std::string_view name) { return request.Header(name); });
}

}  // namespace

http::Response JsonReply(int status, std::string body) { return TextReply(status, std::move(body), "application/json"); }

http::Response TextReply(int status, std::string body, std::string content_type) {
  return {.status = status, .headers = {{"Content-Type", std::move(content_type)}}, .body = std::move(body)};
}

http::Response ErrorReply(const Error& error, int64_t retry_after_seconds) {
  const ErrorBody body = ErrorBodyOf(error);
  http::Response response = JsonReply(body.status, ErrorJson(body));
  if (body.status == 401) response.headers.emplace_back("WWW-Authenticate", R"(Bearer realm="autoglm")");
  const bool is_over_later = (body.status == 429 || body.status == 503) && retry_after_seconds > 0;
  if (is_over_later) response.headers.emplace_back("Retry-After", std::to_string(retry_after_seconds));
  return response;
}

void ReplyChannel::AddCommonHeaders(http::Response& response, TimePoint now) const {
  const auto processing = std::chrono::duration_cast<std::chrono::milliseconds>(now - accepted);
  response.headers.insert(response.headers.end(), headers.begin(), headers.end());
  response.headers.emplace_back("x-request-id", request_id);
  response.headers.emplace_back("openai-processing-ms", std::to_string(processing.count()));
  if (active == nullptr) return;
  response.headers.emplace_back("x-trace-id", active->trace().Hex());
  response.headers.emplace_back("x-span-id", active->span().Hex());
  if (tells_timing) response.headers.emplace_back("Server-Timing", ServerTimingOf(active->Snapshot()));
}

std::shared_ptr<ActiveRequest> OpenRecord(const http::Request& request, http::Exchange& exchange, std::string_view request_id,
                                          RequestLog& log, RecordedBy recorded_by) {
  auto active = log.Begin({.id = request_id,
                           .method = request.method,
                           .accepted = request.accepted,
                           .head_complete = request.head_complete,
                           .body_complete = request.body_complete,
                           .context = ContextOf(request),
                           .num_received_bytes = std::ssize(request.body),
                           .is_gateway = recorded_by == RecordedBy::kGateway});
  exchange.OnDelivered([active](const RequestDelivery& delivery) { active->Delivered(delivery); });
  return active;
}

bool AsksForTiming(const http::Request& request) {
  const std::string_view asked = request.Header(kTimingHeader);
  return !asked.empty() && asked != "0" && asked != "false";
}

ReplyChannel OpenReplyChannel(const http::Request& request, std::shared_ptr<http::Exchange> exchange, std::string request_id,
                              RequestLog& log) {
  ReplyChannel channel{.exchange = std::move(exchange), .request_id = std::move(request_id), .accepted = request.accepted};
  channel.active = OpenRecord(request, *channel.exchange, channel.request_id, log, RecordedBy::kServer);
  channel.tells_timing = AsksForTiming(request);
  return channel;
}

std::string ServerTimingOf(const RequestRecord& record, std::string_view prefix) {
  std::string text;
  ForEachStage(record, [&text, prefix](std::string_view name, double milliseconds) {
    text += fmt::format("{}{}{};dur={:.3f}", text.empty() ? "" : ", ", prefix, name, milliseconds);
  });
  return text;
}

std::string TimingJson(const RequestRecord& record) {
  std::string text;
  ForEachStage(record, [&text](std::string_view name, double milliseconds) {
    text += fmt::format("{}\"{}\":{:.6f}", text.empty() ? "{" : ",", name, milliseconds);
  });
  return text + "}";
}

}  // namespace autoglm
