#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "slo/objective.h"

namespace autoglm::slo {

// Whose metrics are asked.
enum class Source { kServer, kGateway };
std::string_view SourceName(Source source);  // "server", "gateway"
Result<Source> ParseSource(std::string_view text);

// The histogram that an objective with a threshold reads, without _bucket.
std::string_view HistogramName(Source source, Indicator indicator);
std::string_view RequestsName(Source source);

// A label matcher for a boundary of a histogram, whether it is written "1" or "1.0": le=~"1|1[.]0", le="0.3".
std::string LeMatcher(double boundary_s);
// A label matcher for a name in which '*' stands for any characters: model_name=~"chat-.*".
std::string NameMatcher(std::string_view label, std::string_view pattern);

// How many requests an objective counts in a window, in PromQL: events, without labels. Their quotient is its error ratio.
struct CountQueries {
  std::string selector;  // the metric that is there whenever requests are: name and matchers
  std::string bad;       // with kWindow where the window is put
  std::string total;     // absent where there were none
};
inline constexpr std::string_view kWindow = "{{window}}";
std::string PutWindow(std::string_view query, std::string_view window);

// Errors: kUnsupported where the metrics do not tell such requests apart; the message names the field.
Result<CountQueries> CountQueriesOf(const Objective& objective, Source source);
// The quantile over 5 minutes, of an objective with a threshold.
Result<std::string> QuantileQuery(const Objective& objective, Source source);

// Good and total as OpenSLO's ratioMetric wants them: counters, without functions.
RawQueries RatioQueriesOf(const Objective& objective, Source source);

// The matchers between the braces, without le; with a comma behind each. Errors: as CountQueriesOf.
Result<std::string> SelectionMatchers(const Objective& objective, Source source);
// The same, with labels that the metrics do not have: for files that must lose nothing.
std::string AllMatchers(const Objective& objective, Source source);
// A pattern of status codes that an availability objective counts: all, and those that are bad.
std::string CountedCodes(const Objective& objective);
std::string BadCodes(const Objective& objective);

}  // namespace autoglm::slo
