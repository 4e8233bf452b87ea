#include "cli/top_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/metric_view.h"
#include "cli/parsed_option.h"
#include "cli/signal_watcher.h"
#include "cli/text_format.h"
#include "cli/url_fetch.h"
#include "config/values.h"
#include "json/json.h"

namespace autoglm {
namespace {

constexpr std::chrono::milliseconds kPatience{3'000};
constexpr int kMaxActive = 8;
constexpr int kBarColumns = 24;

struct TopArguments {
  std::string url = "http://127.0.0.1:8080";
  std::string key;
  double interval_s = 1;
  bool once = false;
};

// What is shown, of one moment.
struct TopState {
  Json summary;
  Json active;  // of GET /v1/requests
  Json status;  // of GET /gateway/status; null at a server
  MetricView metrics;
};

std::string Milliseconds(std::optional<double> seconds) {
  if (!seconds) return "-";
  return FormatMilliseconds(*seconds * 1000);
}

std::string Share(double share) { return fmt::format("{:.0f} %", 100 * share); }

std::string Meter(double share) {
  const int filled = std::clamp(static_cast<int>(share * kBarColumns + 0.5), 0, kBarColumns);
  std::string meter;
  for (int i = 0; i < kBarColumns; ++i) meter += i < filled ? "█" : "░";
  return meter;
}

std::string Cell(const std::string& text, size_t columns) {
  std::string cell = StripControlCharacters(text).substr(0, columns);
  return cell + std::string(columns - cell.size(), ' ');
}

void AppendQuantiles(std::string& out, const std::string& title, const MetricView& metrics, const std::string& name,
                     const MetricView::Labels& labels = {}) {
  out += fmt::format("  {:<20} p50 {:>9}   p95 {:>9}   p99 {:>9}\n", title, Milliseconds(metrics.Quantile(0.5, name, labels)),
                     Milliseconds(metrics.Quantile(0.95, name, labels)), Milliseconds(metrics.Quantile(0.99, name, labels)));
}

// Where the time of the requests that ended went, the largest stages first.
void AppendStages(std::string& out, const MetricView& metrics, const std::string& name) {
  std::vector<std::pair<double, std::string>> stages;
  double total = 0;
  for (const std::string& stage : metrics.LabelValues(name + "_sum", "stage")) {
    stages.emplace_back(metrics.Increase(name + "_sum", {{"stage", stage}}), stage);
    total += stages.back().first;
  }
  std::ranges::sort(stages, std::greater<>());
  if (total <= 0) return;
  out += "\n  Where the time goes\n";
  for (size_t i = 0; i < std::min<size_t>(stages.size(), 6) && stages[i].first > 0; ++i) {
    const double share = stages[i].first / total;
    out += fmt::format("    {} {} {:>5}\n", Cell(stages[i].second, 16), Meter(share), Share(share));
  }
}

void AppendModels(std::string& out, const TopState& state) {
  out += fmt::format("\n  {} {:>8} {:>8} {:>9}  {:<{}} {:>7} {:>10}\n", Cell("MODEL", 32), "RUNNING", "WAITING", "BACKLOG",
                     "KV CACHE", kBarColumns + 6, "HITS", "TOKENS/S");
  for (const Json& model : state.summary.value("models", Json::array())) {
    const std::string name = model.value("name", "");
    const MetricView::Labels labels{{"model_name", name}};
    const double queries = state.metrics.Increase("autoglm_prefix_cache_queries_total", labels);
    const double hits = state.metrics.Increase("autoglm_prefix_cache_hits_total", labels);
    const double usage = model.value("kv_usage", 0.0);
    out += fmt::format("  {} {:>8} {:>8} {:>8.1f}s  {} {:>5} {:>7} {:>10.1f}\n", Cell(name, 32), model.value("running", 0),
                       model.value("waiting", 0), model.value("backlog_s", 0.0), Meter(usage), Share(usage),
                       queries > 0 ? Share(hits / queries) : "-", state.metrics.Rate("autoglm_generation_tokens_total", labels));
  }
}

void AppendUpstreams(std::string& out, const TopState& state) {
  out += fmt::format("\n  {} {:<12} {:<10} {:>8} {:>10} {:>10} {:>12}\n", Cell("UPSTREAM", 32), "STATE", "BREAKER", "INFLIGHT",
                     "REQUESTS", "FAILURES", "RESPONSE");
  for (const Json& route : state.status.value("routes", Json::array())) {
    for (const Json& upstream : route.value("upstreams", Json::array())) {
      const Json& response = upstream.contains("response_ms") ? upstream["response_ms"] : Json();
      out += fmt::format("  {} {:<12} {:<10} {:>8} {:>10} {:>10} {:>12}\n", Cell(upstream.value("name", ""), 32),
                         upstream.value("state", ""), upstream.value("breaker", ""), upstream.value("inflight", 0),
                         upstream.value("requests", 0), upstream.value("failures", 0),
                         response.is_number() ? Milliseconds(response.get<double>() / 1000) : std::string("-"));
    }
  }
}

void AppendActive(std::string& out, const TopState& state) {
  std::vector<Json> active;
  for (const Json& record : state.active.value("data", Json::array())) {
    if (record.value("method", "") == "POST") active.push_back(record);
  }
  std::ranges::sort(active, std::greater<>(), [](const Json& record) { return record.value("total_ns", 0.0); });
  if (active.size() > kMaxActive) active.resize(kMaxActive);
  out += fmt::format("\n  {} {:>10}  {}\n", Cell("OLDEST REQUESTS", 38), "AGE", "STAGE");
  for (const Json& record : active) {
    out += fmt::format("  {} {:>10}  {}\n", Cell(record.value("id", ""), 38), Milliseconds(record.value("total_ns", 0.0) / 1e9),
                       StripControlCharacters(record.value("state", "")));
  }
}

std::string Render(const TopState& state, const TopArguments& arguments, const Console& console) {
  const bool is_gateway = state.summary.value("kind", "server") == "gateway";
  const MetricView& metrics = state.metrics;
  const std::string requests = is_gateway ? "autoglm_gw_http_requests_total" : "autoglm_http_requests_total";
  // Those that generate: looking is a request, too.
  const double rate = metrics.Rate(is_gateway ? requests : "autoglm_request_success_total");
  double errors = 0;
  for (const std::string& code : metrics.LabelValues(requests, "code")) {
    if (code.starts_with('5') || code == "429") errors += metrics.Rate(requests, {{"code", code}});
  }
  std::string out = fmt::format("{}autoglm {}{} at {}   version {}   up {}{}\n\n", Bold(console),
                                is_gateway ? "gateway" : "server", ResetStyle(console), arguments.url,
                                state.summary.value("version", "?"), FormatSeconds(state.summary.value("uptime_s", 0.0)),
                                state.summary.value("is_draining", false) ? "   DRAINING" : "");
  out += fmt::format("  {:.1f} requests/s   {:.1f} errors/s   {} active   {:.1f} tokens/s   CPU {:.0f} %   memory {}\n\n", rate,
                     errors, state.summary.value("active", 0),
                     metrics.Rate(is_gateway ? "autoglm_gw_tokens_total" : "autoglm_generation_tokens_total",
                                  is_gateway ? MetricView::Labels{{"type", "output"}} : MetricView::Labels{}),
                     100 * metrics.Rate("process_cpu_seconds_total"),
                     FormatBytes(static_cast<int64_t>(metrics.Value("process_resident_memory_bytes"))));
  if (is_gateway) {
    AppendQuantiles(out, "first token", metrics, "autoglm_gw_time_to_first_token_seconds");
    AppendQuantiles(out, "whole request", metrics, "autoglm_gw_request_duration_seconds");
    AppendStages(out, metrics, "autoglm_gw_request_stage_seconds");
    AppendUpstreams(out, state);
  } else {
    AppendQuantiles(out, "first token", metrics, "autoglm_time_to_first_token_seconds");
    AppendQuantiles(out, "between tokens", metrics, "autoglm_time_per_output_token_seconds");
    AppendQuantiles(out, "whole request", metrics, "autoglm_e2e_request_latency_seconds");
    AppendStages(out, metrics, "autoglm_request_stage_seconds");
    AppendModels(out, state);
  }
  AppendActive(out, state);
  return out;
}

Result<std::string> Fetch(const TopArguments& arguments, const std::string& path) {
  return FetchUrl({.url = UrlOf(arguments.url, path), .bearer_token = arguments.key, .timeout = kPatience});
}

Status Refresh(TopState& state, const TopArguments& arguments) {
  AUTOGLM_TRY(const std::string summary, Fetch(arguments, "/console/data/summary"));
  AUTOGLM_TRY(state.summary, ParseJson(summary));
  AUTOGLM_TRY(const std::string metrics, Fetch(arguments, "/metrics"));
  state.metrics.Take(metrics, std::chrono::steady_clock::now());
  AUTOGLM_TRY(const std::string active, Fetch(arguments, "/v1/requests?active=1&limit=100"));
  AUTOGLM_TRY(state.active, ParseJson(active));
  if (state.summary.value("kind", "") != "gateway") return {};
  AUTOGLM_TRY(const std::string status, Fetch(arguments, "/gateway/status"));
  AUTOGLM_TRY(state.status, ParseJson(status));
  return {};
}

Result<int> RunTop(const TopArguments& arguments, Console& console) {
  const auto interval = std::chrono::milliseconds(static_cast<int64_t>(arguments.interval_s * 1000));
  AUTOGLM_TRY(const std::unique_ptr<SignalWatcher> signals, SignalWatcher::Install({SIGINT, SIGTERM}));
  const bool is_live = console.out_is_terminal && !arguments.once;
  TopState state;
  AUTOGLM_TRY_VOID(Refresh(state, arguments));  // rates need a moment before
  while (!signals->Wait(interval)) {
    const Status refreshed = Refresh(state, arguments);
    if (!is_live) {
      AUTOGLM_TRY_VOID(refreshed);
      console.out << Render(state, arguments, console);
      return 0;
    }
    // Home and clear below, so that nothing flickers.
    console.out << "\x1b[H\x1b[J" << (refreshed ? Render(state, arguments, console) : refreshed.error().message + "\n")
                << "\n  Ctrl-C ends this.\n"
                << std::flush;
  }
  return 0;
}

}  // namespace

void AddTopCommand(CLI::App& app, CommandAction& action) {
  CLI::App* command = app.add_subcommand("top", "Watch a server or a gateway at work.");
  const auto arguments = std::make_shared<TopArguments>();
  AddTextOption(*command, {"--url", "URL", "of a server, or of a gateway's admin port (default: http://127.0.0.1:8080)"},
                arguments->url);
  AddTextOption(*command, {"--key", "KEY", "API key (default: $AUTOGLM_API_KEY)"}, arguments->key)->envname("AUTOGLM_API_KEY");
  AddParsedOption<double>(*command, {"--interval", "SECONDS", "between two looks (default: 1)"}, arguments->interval_s,
                          [](const std::string& text) { return ParseReal(text, 0.1, 3600); });
  AddFlag(*command, {"--once", "", "print one look and end; so too where the output is no terminal"}, arguments->once);
  command->footer(
      "Examples:\n"
      "  autoglm top\n"
      "  autoglm top --url http://127.0.0.1:9901 --once");
  command->callback([arguments, &action] { action = [arguments](Console& console) { return RunTop(*arguments, console); }; });
}

}  // namespace autoglm
