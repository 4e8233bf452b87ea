#include "telemetry/metric_catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace autoglm {
namespace {

// clang-format off
constexpr MetricInfo kMetrics[] = {
    {"autoglm_time_to_first_token_seconds", MetricType::kHistogram, "seconds", "model_name, slo_class", "From the first byte of a request to its first token.", "time_to_first_token_seconds", "gen_ai.server.time_to_first_token", MetricSource::kServer},
    {"autoglm_time_per_output_token_seconds", MetricType::kHistogram, "seconds", "model_name", "Mean time between the output tokens of a request, after the first.", "time_per_output_token_seconds, inter_token_latency_seconds", "gen_ai.server.time_per_output_token", MetricSource::kServer},
    {"autoglm_request_queue_time_seconds", MetricType::kHistogram, "seconds", "model_name", "From a request's arrival in the queue to its first scheduled step.", "request_queue_time_seconds", "", MetricSource::kServer},
    {"autoglm_request_prefill_time_seconds", MetricType::kHistogram, "seconds", "model_name", "From a request's first scheduled step to its first token.", "request_prefill_time_seconds", "", MetricSource::kServer},
    {"autoglm_request_decode_time_seconds", MetricType::kHistogram, "seconds", "model_name", "From a request's first token to its last.", "request_decode_time_seconds", "", MetricSource::kServer},
    {"autoglm_request_inference_time_seconds", MetricType::kHistogram, "seconds", "model_name", "From a request's first scheduled step to its last token.", "request_inference_time_seconds", "", MetricSource::kServer},
    {"autoglm_e2e_request_latency_seconds", MetricType::kHistogram, "seconds", "model_name, slo_class", "From the first byte of a request to the end of its answer.", "e2e_request_latency_seconds", "gen_ai.server.request.duration", MetricSource::kServer},
    {"autoglm_request_prompt_tokens", MetricType::kHistogram, "tokens", "model_name", "Prompt tokens of a request, cached ones included.", "request_prompt_tokens", "gen_ai.client.token.usage", MetricSource::kServer},
    {"autoglm_request_generation_tokens", MetricType::kHistogram, "tokens", "model_name", "Tokens generated for a request.", "request_generation_tokens", "gen_ai.client.token.usage", MetricSource::kServer},
    {"autoglm_request_stage_seconds", MetricType::kHistogram, "seconds", "model_name, stage", "Time of a request in a stage of its life; what none explains is the stage unexplained.", "", "", MetricSource::kServer},
    {"autoglm_prompt_tokens_total", MetricType::kCounter, "tokens", "model_name", "Prompt tokens of all requests, cached ones included.", "prompt_tokens_total", "", MetricSource::kServer},
    {"autoglm_generation_tokens_total", MetricType::kCounter, "tokens", "model_name", "Tokens generated for all requests.", "generation_tokens_total", "", MetricSource::kServer},
    {"autoglm_prefix_cache_queries_total", MetricType::kCounter, "tokens", "model_name", "Prompt tokens that were looked up in the prefix cache.", "prefix_cache_queries_total", "", MetricSource::kServer},
    {"autoglm_prefix_cache_hits_total", MetricType::kCounter, "tokens", "model_name", "Prompt tokens that were found in the prefix cache.", "prefix_cache_hits_total", "", MetricSource::kServer},
    {"autoglm_spec_decode_num_draft_tokens_total", MetricType::kCounter, "tokens", "model_name", "Tokens that were guessed and computed ahead.", "spec_decode_num_draft_tokens_total", "", MetricSource::kServer},
    {"autoglm_spec_decode_num_accepted_tokens_total", MetricType::kCounter, "tokens", "model_name", "Guessed tokens that were right.", "spec_decode_num_accepted_tokens_total", "", MetricSource::kServer},
    {"autoglm_num_preemptions_total", MetricType::kCounter, "preemptions", "model_name", "Times a running sequence gave its cache blocks back and was queued again.", "num_preemptions_total", "", MetricSource::kServer},
    {"autoglm_num_interrupts_total", MetricType::kCounter, "steps", "model_name", "Steps that were given up for a more urgent request.", "", "", MetricSource::kServer},
    {"autoglm_request_success_total", MetricType::kCounter, "requests", "model_name, finished_reason", "Requests that ended, by reason.", "request_success_total", "", MetricSource::kServer},
    {"autoglm_http_requests_total", MetricType::kCounter, "requests", "path, code", "HTTP requests answered, by route and status code.", "", "", MetricSource::kServer},
    {"autoglm_degraded_requests_total", MetricType::kCounter, "requests", "step", "Requests that got less than they asked for, or nothing, because the engine was busy, by step.", "", "", MetricSource::kServer},
    {"autoglm_num_requests_running", MetricType::kGauge, "requests", "model_name", "Requests in the running batch.", "num_requests_running", "", MetricSource::kServer},
    {"autoglm_num_requests_waiting", MetricType::kGauge, "requests", "model_name", "Requests in the queue.", "num_requests_waiting", "", MetricSource::kServer},
    {"autoglm_backlog_seconds", MetricType::kGauge, "seconds", "model_name", "Work of waiting and running requests, as the engine predicts it.", "", "", MetricSource::kServer},
    {"autoglm_num_requests_promised", MetricType::kGauge, "requests", "model_name", "Places kept free for requests that were told to come back.", "", "", MetricSource::kServer},
    {"autoglm_kv_cache_usage_perc", MetricType::kGauge, "share", "model_name", "Share of the KV cache blocks in use, 0 to 1.", "kv_cache_usage_perc", "", MetricSource::kServer},
    {"autoglm_model_loaded", MetricType::kGauge, "none", "model_name", "Whether the model is loaded, 0 or 1.", "", "", MetricSource::kServer},
    {"autoglm_model_loads_total", MetricType::kCounter, "loads", "model_name", "Times the model was loaded.", "", "", MetricSource::kServer},
    {"autoglm_model_evictions_total", MetricType::kCounter, "evictions", "model_name", "Times the model was unloaded to make room for another.", "", "", MetricSource::kServer},
    {"autoglm_model_load_seconds", MetricType::kGauge, "seconds", "model_name", "How long the last load took until the model took requests.", "", "", MetricSource::kServer},
    {"autoglm_model_weight_bytes", MetricType::kGauge, "bytes", "model_name", "Memory of the model's weights, when they are all there.", "", "", MetricSource::kServer},
    {"autoglm_model_kv_reserved_bytes", MetricType::kGauge, "bytes", "model_name", "Memory reserved for the model's keys and values.", "", "", MetricSource::kServer},
    {"autoglm_model_kv_kept_bytes", MetricType::kGauge, "bytes", "model_name", "Memory of prefixes kept while the model is not loaded.", "", "", MetricSource::kServer},
    {"autoglm_kv_compressed_stored_bytes", MetricType::kGauge, "bytes", "model_name", "Compressed keys and values in memory.", "", "", MetricSource::kServer},
    {"autoglm_kv_compressed_kept_blocks_total", MetricType::kCounter, "blocks", "model_name", "Blocks of keys and values that were compressed when evicted.", "", "", MetricSource::kServer},
    {"autoglm_kv_compressed_read_blocks_total", MetricType::kCounter, "blocks", "model_name", "Compressed blocks that came back into use.", "", "", MetricSource::kServer},
    {"autoglm_kv_compressed_dropped_blocks_total", MetricType::kCounter, "blocks", "model_name", "Compressed blocks that were lost to newer ones.", "", "", MetricSource::kServer},
    {"autoglm_kv_disk_stored_bytes", MetricType::kGauge, "bytes", "model_name", "Keys and values of the model in files, while it is loaded.", "", "", MetricSource::kServer},
    {"autoglm_kv_disk_read_bytes_per_second", MetricType::kGauge, "bytes", "model_name", "How fast blocks came from the disk lately; at first a guess.", "", "", MetricSource::kServer},
    {"autoglm_kv_disk_read_blocks_total", MetricType::kCounter, "blocks", "model_name", "Blocks of keys and values that came back from the disk.", "", "", MetricSource::kServer},
    {"autoglm_kv_disk_written_blocks_total", MetricType::kCounter, "blocks", "model_name", "Blocks of keys and values that were written to the disk.", "", "", MetricSource::kServer},
    {"autoglm_kv_disk_dropped_blocks_total", MetricType::kCounter, "blocks", "model_name", "Blocks that were not written: the queue was full, or the disk.", "", "", MetricSource::kServer},
    {"autoglm_kv_disk_damaged_blocks_total", MetricType::kCounter, "blocks", "model_name", "Files that were not what their names say, and were removed.", "", "", MetricSource::kServer},
    {"autoglm_kv_disk_errors_total", MetricType::kCounter, "blocks", "model_name", "Blocks that the system refused to write or to read.", "", "", MetricSource::kServer},
    {"autoglm_kv_events_published_total", MetricType::kCounter, "events", "model_name", "Changes of the prefix cache that routers were told.", "", "", MetricSource::kServer},
    {"autoglm_kv_events_dropped_total", MetricType::kCounter, "events", "model_name", "Changes lost because the publisher could not keep up; followers were cleared.", "", "", MetricSource::kServer},
    {"autoglm_memory_budget_bytes", MetricType::kGauge, "bytes", "", "What weights and KV of all models may take; 0: no limit.", "", "", MetricSource::kServer},
    {"autoglm_memory_used_bytes", MetricType::kGauge, "bytes", "", "What weights and KV of all models take of the budget.", "", "", MetricSource::kServer},
    {"autoglm_log_lines_dropped_total", MetricType::kCounter, "lines", "", "Log lines lost because the writer could not keep up.", "", "", MetricSource::kBoth},
    {"autoglm_tenant_requests_total", MetricType::kCounter, "requests", "tenant, model_name", "Requests that ended, by tenant; tenants beyond the first hundred count as other.", "", "", MetricSource::kServer},
    {"autoglm_tenant_tokens_total", MetricType::kCounter, "tokens", "tenant, model_name, type", "Tokens by tenant: input, of which cached, and output.", "", "", MetricSource::kServer},
    {"autoglm_gw_http_requests_total", MetricType::kCounter, "requests", "route, code", "Requests of clients that ended, by route and status.", "", "", MetricSource::kGateway},
    {"autoglm_gw_request_duration_seconds", MetricType::kHistogram, "seconds", "route", "From a request's first byte to its answer's last.", "", "gen_ai.server.request.duration", MetricSource::kGateway},
    {"autoglm_gw_time_to_first_token_seconds", MetricType::kHistogram, "seconds", "route", "From a request's first byte to the first of its answer's body.", "", "gen_ai.server.time_to_first_token", MetricSource::kGateway},
    {"autoglm_gw_routing_decision_seconds", MetricType::kHistogram, "seconds", "route", "What it took to choose an upstream.", "", "", MetricSource::kGateway},
    {"autoglm_gw_prefix_match_ratio", MetricType::kHistogram, "share", "route", "Share of a prompt that the chosen upstream has in memory, as far as that is known.", "", "", MetricSource::kGateway},
    {"autoglm_gw_prefix_known_blocks", MetricType::kGauge, "blocks", "route", "Blocks that upstreams say they have in memory, which are routed by.", "", "", MetricSource::kGateway},
    {"autoglm_gw_tokens_total", MetricType::kCounter, "tokens", "route, type", "Tokens of answers, by what upstreams count.", "", "", MetricSource::kGateway},
    {"autoglm_gw_queue_depth", MetricType::kGauge, "requests", "route", "Requests that wait in front of a route.", "", "", MetricSource::kGateway},
    {"autoglm_gw_retry_budget_remaining", MetricType::kGauge, "requests", "route", "Retries that may begin now.", "", "", MetricSource::kGateway},
    {"autoglm_gw_retries_total", MetricType::kCounter, "requests", "route, reason", "Attempts after the first, by why the one before failed.", "", "", MetricSource::kGateway},
    {"autoglm_gw_hedges_total", MetricType::kCounter, "requests", "route, outcome", "Second attempts beside slow first ones, by who was quicker.", "", "", MetricSource::kGateway},
    {"autoglm_gw_continued_streams_total", MetricType::kCounter, "requests", "route, outcome", "Streams whose upstream died, by how that ended.", "", "", MetricSource::kGateway},
    {"autoglm_gw_degraded_requests_total", MetricType::kCounter, "requests", "route, step", "Requests that got less than they asked for, by step.", "", "", MetricSource::kGateway},
    {"autoglm_gw_upstream_requests_total", MetricType::kCounter, "requests", "route, upstream, code", "Attempts at an upstream that ended, by status (0: no answer).", "", "", MetricSource::kGateway},
    {"autoglm_gw_upstream_inflight", MetricType::kGauge, "requests", "route, upstream", "Requests that an upstream has from here.", "", "", MetricSource::kGateway},
    {"autoglm_gw_upstream_available", MetricType::kGauge, "none", "route, upstream", "Whether an upstream is asked: 0 or 1.", "", "", MetricSource::kGateway},
    {"autoglm_gw_cb_state", MetricType::kGauge, "none", "route, upstream", "An upstream's circuit breaker: 0 closed, 1 open, 2 half open.", "", "", MetricSource::kGateway},
    {"autoglm_gw_refused_total", MetricType::kCounter, "requests", "reason", "Requests that the gateway refused, by reason.", "", "", MetricSource::kGateway},
    {"autoglm_gw_ratelimit_total", MetricType::kCounter, "requests", "kind", "Requests that a limit of their key refused, by kind.", "", "", MetricSource::kGateway},
    {"autoglm_gw_fault_injected_total", MetricType::kCounter, "requests", "fault", "Requests that a fault was put into, by its name.", "", "", MetricSource::kGateway},
    {"autoglm_gw_config_reloads_total", MetricType::kCounter, "requests", "outcome", "Times the configuration was read again, by outcome.", "", "", MetricSource::kGateway},
    {"autoglm_gw_audit_lines_dropped_total", MetricType::kCounter, "requests", "", "Lines of the audit log that could not be written.", "", "", MetricSource::kGateway},
    {"autoglm_gw_open_requests", MetricType::kGauge, "requests", "", "Requests of clients that are being served.", "", "", MetricSource::kGateway},
    {"autoglm_gw_request_stage_seconds", MetricType::kHistogram, "seconds", "route, stage", "Time of a request in a stage of its life; what none explains is the stage unexplained.", "", "", MetricSource::kGateway},
    {"autoglm_trace_spans_exported_total", MetricType::kCounter, "spans", "exporter", "Spans that a collector has taken.", "", "", MetricSource::kBoth},
    {"autoglm_trace_spans_dropped_total", MetricType::kCounter, "spans", "exporter", "Spans lost because a collector was away, slow or refused them.", "", "", MetricSource::kBoth},
    {"autoglm_request_records_missed_total", MetricType::kCounter, "records", "", "Records that were overwritten before they were counted by stage.", "", "", MetricSource::kBoth},
    {"autoglm_slo_objective_ratio", MetricType::kGauge, "share", "slo", "What share of requests is to be good.", "", "", MetricSource::kBoth},
    {"autoglm_slo_budget_remaining_ratio", MetricType::kGauge, "share", "slo", "What is left of the error budget of the objective's window; below 0: overdrawn.", "", "", MetricSource::kBoth},
    {"autoglm_slo_burn_rate", MetricType::kGauge, "none", "slo, window", "How many times faster than allowed the error budget is used.", "", "", MetricSource::kBoth},
    {"autoglm_slo_alert_firing", MetricType::kGauge, "none", "slo, severity", "Whether an alert of an objective fires: 0 or 1.", "", "", MetricSource::kBoth},
    {"autoglm_slo_gate_open", MetricType::kGauge, "none", "slo", "Whether changes may be made as far as this objective goes: 0 or 1.", "", "", MetricSource::kBoth},
    {"autoglm_build_info", MetricType::kGauge, "none", "version", "Always 1; the label tells the version.", "", "", MetricSource::kBoth},
    {"process_resident_memory_bytes", MetricType::kGauge, "bytes", "", "Memory of this process in RAM.", "", "", MetricSource::kBoth},
    {"process_cpu_seconds_total", MetricType::kCounter, "seconds", "", "User and system CPU time of this process.", "", "", MetricSource::kBoth},
    {"process_start_time_seconds", MetricType::kGauge, "seconds", "", "When this process began to count, in Unix time.", "", "", MetricSource::kBoth},
};
// clang-format on

std::string_view TypeName(MetricType type) {
  constexpr std::array<std::string_view, 3> kNames = {"counter", "gauge", "histogram"};
  return kNames[static_cast<size_t>(type)];
}

void AppendTable(std::string& out, MetricSource source) {
  out +=
      "| metric | type | unit | labels | meaning | vLLM's name | OpenTelemetry's |\n| --- | --- | --- | --- | --- | --- | --- "
      "|\n";
  for (const MetricInfo& metric : kMetrics) {
    if (metric.source != source) continue;
    out += fmt::format("| `{}` | {} | {} | {} | {} | {} | {} |\n", metric.name, TypeName(metric.type), metric.unit, metric.labels,
                       metric.help, metric.vllm, metric.otel);
  }
}

}  // namespace

std::span<const MetricInfo> MetricCatalogue() { return kMetrics; }

const MetricInfo& MetricNamed(std::string_view name) {
  const auto* found = std::ranges::find(kMetrics, name, &MetricInfo::name);
  AUTOGLM_CHECK(found != std::end(kMetrics));
  return *found;
}

std::string CatalogueMarkdown() {
  std::string out = "## Of a server\n\n";
  AppendTable(out, MetricSource::kServer);
  out += "\n## Of a gateway\n\n";
  AppendTable(out, MetricSource::kGateway);
  out += "\n## Of both\n\n";
  AppendTable(out, MetricSource::kBoth);
  return out;
}

}  // namespace autoglm
