#include "tracing/request_routes.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "json/json.h"
#include "tracing/record_json.h"
#include "web/reply.h"
#include "web/url.h"

namespace autoglm {
namespace {

constexpr std::string_view kRequests = "/v1/requests";
constexpr std::string_view kTimingSuffix = "/timing";
constexpr std::string_view kTraces = "/v1/traces/";
constexpr int64_t kDefaultLimit = 50;
constexpr int64_t kMaxLimit = 1000;

http::Response NotFound(std::string message) {
  return ErrorReply({.code = ErrorCode::kNotFound, .message = std::move(message), .param = {}}, 0);
}

// The id within "/v1/requests/{id}/timing".
std::optional<std::string_view> TimedId(std::string_view path) {
  if (!path.starts_with(kRequests) || !path.ends_with(kTimingSuffix)) return std::nullopt;
  path.remove_prefix(kRequests.size());
  if (path.size() <= kTimingSuffix.size() + 1 || path.front() != '/') return std::nullopt;
  return path.substr(1, path.size() - 1 - kTimingSuffix.size());
}

// What a list is asked for.
struct ListQuery {
  int64_t limit = kDefaultLimit;
  bool is_active = false;
  bool is_kept = false;
  int64_t min_ms = 0;
  int64_t status = 0;
  int64_t min_status = 0;
  std::string route;
  std::string model;
  std::string tenant;

  bool Wants(const RequestRecord& record, const InternedNames& names) const {
    const auto fits = [&](const std::string& wanted, uint16_t name) { return wanted.empty() || names.NameOf(name) == wanted; };
    return record.total_ns >= min_ms * 1'000'000 && (status == 0 || record.status == status) && record.status >= min_status &&
           fits(route, record.route) && fits(model, record.model) && fits(tenant, record.tenant);
  }
};

Result<int64_t> ParseCount(std::string_view name, std::string_view text, int64_t max) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value >= 0 && value <= max) return value;
  return Fail(
      ErrorCode::kInvalidArgument,
      std::string(name) + " must be a whole number from 0 to " + std::to_string(max) + ", not '" + std::string(text) + "'",
      std::string(name));
}

Status SetField(ListQuery& query, std::string_view name, const std::string& value) {
  constexpr int64_t kMaxMilliseconds = 86'400'000;
  if (name == "limit") {
    AUTOGLM_TRY(query.limit, ParseCount(name, value, kMaxLimit));
  } else if (name == "active") {
    query.is_active = value != "0";
  } else if (name == "kept") {
    query.is_kept = value != "0";
  } else if (name == "min_ms") {
    AUTOGLM_TRY(query.min_ms, ParseCount(name, value, kMaxMilliseconds));
  } else if (name == "status") {
    AUTOGLM_TRY(query.status, ParseCount(name, value, 999));
  } else if (name == "min_status") {
    AUTOGLM_TRY(query.min_status, ParseCount(name, value, 999));
  } else if (name == "route") {
    query.route = value;
  } else if (name == "model") {
    query.model = value;
  } else if (name == "tenant") {
    query.tenant = value;
  } else {
    return Fail(ErrorCode::kInvalidArgument, "There is no field '" + std::string(name) + "' to choose requests by.",
                std::string(name));
  }
  return {};
}

Result<ListQuery> ParseListQuery(std::string_view text) {
  ListQuery query;
  while (!text.empty()) {
    const size_t end = std::min(text.find('&'), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (part.empty()) continue;
    const size_t equals = std::min(part.find('='), part.size());
    const std::string value = PercentDecode(part.substr(std::min(equals + 1, part.size())));
    AUTOGLM_TRY_VOID(SetField(query, part.substr(0, equals), value));
  }
  return query;
}

http::Response List(const RequestLog& log, std::string_view text, const RequestLog::Filter& may_see) {
  const Result<ListQuery> query = ParseListQuery(text);
  if (!query) return ErrorReply(query.error(), 0);
  const auto wants = [&](const RequestRecord& record) { return query->Wants(record, log.names()) && may_see(record); };
  const auto limit = static_cast<size_t>(query->limit);
  std::vector<RequestRecord> records;
  if (query->is_active) {
    records = log.Active(static_cast<size_t>(kMaxLimit));
    std::erase_if(records, [&](const RequestRecord& record) { return !wants(record); });
    records.resize(std::min(records.size(), limit));
  } else {
    records = query->is_kept ? log.LastKept(limit, wants) : log.Last(limit, wants);
  }
  Json list = Json::array();
  for (const RequestRecord& record : records) list.push_back(RecordSummaryJson(record, log.names()));
  return JsonReply(
      200,
      DumpJson({{"object", "list"}, {"finished", log.num_finished()}, {"active", log.num_active()}, {"data", std::move(list)}}));
}

http::Response Trace(const RequestLog& log, std::string_view hex, const RequestLog::Filter& may_see) {
  const auto trace = TraceId::Parse(hex);
  Json list = Json::array();
  if (trace) {
    for (const RequestRecord& record : log.FindTrace(*trace)) {
      if (may_see(record)) list.push_back(RecordJson(record, log.names()));
    }
  }
  if (list.empty()) return NotFound("No request of this trace is known here (any more).");
  return JsonReply(200, DumpJson({{"trace_id", trace->Hex()}, {"data", std::move(list)}}));
}

}  // namespace

bool IsAboutRequests(std::string_view path) {
  return path == kRequests || TimedId(path).has_value() || path.starts_with(kTraces);
}

http::Response AnswerAboutRequests(const RequestLog& log, std::string_view path, std::string_view query,
                                   const RequestLog::Filter& may_see) {
  if (path == kRequests) return List(log, query, may_see);
  if (path.starts_with(kTraces)) return Trace(log, path.substr(kTraces.size()), may_see);
  const auto id = TimedId(path);
  if (!id) return NotFound("There is nothing at " + std::string(path));
  const auto record = log.Find(*id, may_see);
  if (!record) return NotFound("No request '" + std::string(*id) + "' is known here (any more).");
  return JsonReply(200, DumpJson(RecordJson(*record, log.names())));
}

}  // namespace autoglm
