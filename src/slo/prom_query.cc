#include "slo/prom_query.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "config/values.h"

namespace autoglm::slo {
namespace {

constexpr NameTable<Source, 2> kSourceNames = {{{"server", Source::kServer}, {"gateway", Source::kGateway}}};
constexpr std::string_view kApiPaths = "/v1/*";  // what availability is about where no path is named

// As the inside of a PromQL string.
std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
  return out;
}

// A field that the metrics of a source do not carry, and what to say of it.
std::optional<std::string> Unknown(const Objective& objective, Source source) {
  const Selection& selection = objective.selection;
  const bool is_requests = objective.indicator == Indicator::kAvailability;
  const auto refuse = [source](std::string_view field, std::string_view of) {
    return fmt::format("{}: the metrics of a {} do not carry it{}", field, SourceName(source), of);
  };
  if (!selection.tenant.empty()) return "tenant: no metric carries it; the built-in evaluator counts by it";
  if (source == Source::kGateway) {
    if (!selection.model.empty()) return refuse("model", "");
    if (!selection.slo_class.empty()) return refuse("class", "");
    if (!selection.path.empty()) return refuse("path", "; name a route");
    return std::nullopt;
  }
  if (!selection.route.empty()) return refuse("route", "");
  if (is_requests && !selection.model.empty()) return refuse("model", " for availability");
  if (is_requests && !selection.slo_class.empty()) return refuse("class", " for availability");
  if (!is_requests && !selection.path.empty()) return refuse("path", " for latencies");
  return std::nullopt;
}

bool IsPlainSelector(std::string_view query) {
  const size_t name_end = query.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:");
  if (name_end == std::string_view::npos) return !query.empty();
  return query[name_end] == '{' && query.ends_with('}') && query.find('}') == query.size() - 1;
}

// How much a raw query counted in a window: a counter's increase; a query with a place for the window as it is, times the window
// where it is a rate; any other expression as a rate, sampled every minute.
std::string RawCount(const std::string& query) {
  const std::string trimmed = query.substr(0, query.find_last_not_of(" \t\n\r") + 1);
  if (IsPlainSelector(trimmed)) return fmt::format("sum(increase({}[{}]))", trimmed, kWindow);
  for (const std::string_view place : {"{{.window}}", "{{ .window }}"}) {
    if (trimmed.find(place) == std::string::npos) continue;
    std::string put = trimmed;
    for (size_t at = put.find(place); at != std::string::npos; at = put.find(place, at + kWindow.size())) {
      put.replace(at, place.size(), kWindow);
    }
    return fmt::format("sum({})", put);
  }
  return fmt::format("sum(sum_over_time(({})[{}:1m]))", trimmed, kWindow);
}

CountQueries RawCounts(const RawQueries& queries) {
  CountQueries counts{.selector = queries.total};
  counts.total = fmt::format("({} > 0)", RawCount(queries.total));
  counts.bad = queries.bad.empty() ? fmt::format("({} - {})", RawCount(queries.total), RawCount(queries.good))
                                   : fmt::format("({} or vector(0))", RawCount(queries.bad));
  return counts;
}

}  // namespace

std::string_view SourceName(Source source) { return NameIn(kSourceNames, source); }

Result<Source> ParseSource(std::string_view text) { return ParseName(text, kSourceNames); }

std::string_view HistogramName(Source source, Indicator indicator) {
  if (source == Source::kServer) {
    return indicator == Indicator::kFirstToken ? "autoglm_time_to_first_token_seconds" : "autoglm_e2e_request_latency_seconds";
  }
  return indicator == Indicator::kFirstToken ? "autoglm_gw_time_to_first_token_seconds" : "autoglm_gw_request_duration_seconds";
}

std::string_view RequestsName(Source source) {
  return source == Source::kServer ? "autoglm_http_requests_total" : "autoglm_gw_http_requests_total";
}

std::string LeMatcher(double boundary_s) {
  const std::string text = NumberText(boundary_s);
  if (boundary_s != std::trunc(boundary_s)) return fmt::format("le=\"{}\"", text);
  return fmt::format("le=~\"{0}|{0}[.]0\"", text);
}

std::string NameMatcher(std::string_view label, std::string_view pattern) {
  if (pattern.find('*') == std::string_view::npos) return fmt::format("{}=\"{}\"", label, Escaped(pattern));
  std::string regex;
  for (const char c : pattern) {
    if (c == '*') {
      regex += ".*";
    } else if (std::string_view("\\.+?()|[]{}^$").find(c) != std::string_view::npos) {
      regex += fmt::format("\\{}", c);
    } else {
      regex += c;
    }
  }
  return fmt::format("{}=~\"{}\"", label, Escaped(regex));
}

std::string PutWindow(std::string_view query, std::string_view window) {
  std::string text(query);
  for (size_t at = text.find(kWindow); at != std::string::npos; at = text.find(kWindow, at + window.size())) {
    text.replace(at, kWindow.size(), window);
  }
  return text;
}

std::string CountedCodes(const Objective& objective) {
  return objective.count_429 ? "code=~\"[1235]..|408|429\"" : "code=~\"[1235]..|408\"";
}

std::string BadCodes(const Objective& objective) { return objective.count_429 ? "code=~\"5..|408|429\"" : "code=~\"5..|408\""; }

Result<std::string> SelectionMatchers(const Objective& objective, Source source) {
  if (const std::optional<std::string> unknown = Unknown(objective, source)) return Fail(ErrorCode::kUnsupported, *unknown);
  return AllMatchers(objective, source);
}

std::string AllMatchers(const Objective& objective, Source source) {
  const Selection& selection = objective.selection;
  std::string matchers;
  const auto add = [&matchers](std::string_view label, std::string_view pattern) {
    if (!pattern.empty()) matchers += NameMatcher(label, pattern) + ",";
  };
  add("model_name", selection.model);
  add("slo_class", selection.slo_class);
  add("route", selection.route);
  const bool is_api = objective.indicator == Indicator::kAvailability && source == Source::kServer && selection.path.empty();
  add("tenant", selection.tenant);
  add("path", is_api ? kApiPaths : std::string_view(selection.path));
  return matchers;
}

Result<CountQueries> CountQueriesOf(const Objective& objective, Source source) {
  if (objective.indicator == Indicator::kRawRatio) return RawCounts(objective.queries);
  AUTOGLM_TRY(const std::string matchers, SelectionMatchers(objective, source));
  CountQueries counts;
  if (objective.indicator == Indicator::kAvailability) {
    counts.selector = fmt::format("{}{{{}{}}}", RequestsName(source), matchers, CountedCodes(objective));
    counts.total = fmt::format("(sum(increase({}[{}])) > 0)", counts.selector, kWindow);
    // A code that nobody got has no series, which is no failure.
    counts.bad =
        fmt::format("(sum(increase({}{{{}{}}}[{}])) or vector(0))", RequestsName(source), matchers, BadCodes(objective), kWindow);
    return counts;
  }
  const std::string_view name = HistogramName(source, objective.indicator);
  const std::string all = matchers.empty() ? "" : fmt::format("{{{}}}", matchers.substr(0, matchers.size() - 1));
  counts.selector = fmt::format("{}_count{}", name, all);
  counts.total = fmt::format("(sum(increase({}[{}])) > 0)", counts.selector, kWindow);
  counts.bad = fmt::format("(sum(increase({}[{}])) - sum(increase({}_bucket{{{}{}}}[{}])))", counts.selector, kWindow, name,
                           matchers, LeMatcher(objective.threshold_s), kWindow);
  return counts;
}

RawQueries RatioQueriesOf(const Objective& objective, Source source) {
  if (objective.indicator == Indicator::kRawRatio) return objective.queries;
  const std::string matchers = AllMatchers(objective, source);
  RawQueries queries;
  if (objective.indicator == Indicator::kAvailability) {
    queries.good = fmt::format("{}{{{}code=~\"[123]..\"}}", RequestsName(source), matchers);
    queries.total = fmt::format("{}{{{}{}}}", RequestsName(source), matchers, CountedCodes(objective));
    return queries;
  }
  const std::string_view name = HistogramName(source, objective.indicator);
  const std::string all = matchers.empty() ? "" : fmt::format("{{{}}}", matchers.substr(0, matchers.size() - 1));
  queries.good = fmt::format("{}_bucket{{{}{}}}", name, matchers, LeMatcher(objective.threshold_s));
  queries.total = fmt::format("{}_count{}", name, all);
  return queries;
}

Result<std::string> QuantileQuery(const Objective& objective, Source source) {
  AUTOGLM_TRY(const std::string matchers, SelectionMatchers(objective, source));
  const std::string all = matchers.empty() ? "" : fmt::format("{{{}}}", matchers.substr(0, matchers.size() - 1));
  return fmt::format("histogram_quantile({}, sum by (le) (rate({}_bucket{}[5m])))", NumberText(objective.target),
                     HistogramName(source, objective.indicator), all);
}

}  // namespace autoglm::slo
