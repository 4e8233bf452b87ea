#include "telemetry/metrics.h"

#include <fmt/format.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <string_view>
#include <utility>

#include "telemetry/log.h"

namespace autoglm {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;

// The bounds other LLM servers use, so that dashboards compare, with finer ones below for small models.
const Buckets kFirstTokenSeconds = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,  .75,
                                    1,    2.5,  5,   7.5, 10,  20,  40,  80, 160, 640, 2560};
const Buckets kPerTokenSeconds = {.0005, .001, .002, .005, .01, .025, .05, .075, .1, .15, .2, .3,
                                  .4,    .5,   .75,  1,    2.5, 5,    7.5, 10,   20, 40,  80};
const Buckets kRequestSeconds = {.005, .01, .025, .05, .1, .2, .3, .5,  .8,  1,   1.5, 2,    2.5, 5,
                                 10,   15,  20,   30,  40, 50, 60, 120, 240, 480, 960, 1920, 7680};
const Buckets kTokens = {1,    2,    5,     10,    20,    50,     100,    200,    500,    1000,
                         2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000};

double ProcessCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// /proc/self/statm: total and resident size in pages (proc(5)).
double ResidentMemoryBytes() {
  std::ifstream statm("/proc/self/statm");
  double total_pages = 0;
  double resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double UnixSeconds() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

}  // namespace

struct ServerMetrics::Families {
  explicit Families(const std::string& model_name);

  prometheus::Histogram& AddHistogram(const std::string& name, const std::string& help, const Buckets& buckets) {
    return prometheus::BuildHistogram().Name(name).Help(help).Labels(model).Register(registry).Add({}, buckets);
  }
  prometheus::Counter& AddCounter(const std::string& name, const std::string& help) {
    return prometheus::BuildCounter().Name(name).Help(help).Labels(model).Register(registry).Add({});
  }
  prometheus::Gauge& AddGauge(const std::string& name, const std::string& help) {
    return prometheus::BuildGauge().Name(name).Help(help).Labels(model).Register(registry).Add({});
  }
  void AddProcessFacts();

  prometheus::Registry registry;
  const prometheus::Labels model;
  prometheus::Family<prometheus::Counter>& requests_finished;
  prometheus::Family<prometheus::Counter>& http_requests;
  prometheus::Gauge& resident_memory;
  prometheus::Counter& cpu_seconds;
};

ServerMetrics::Families::Families(const std::string& model_name)
    : model{{"model_name", model_name}},
      requests_finished(prometheus::BuildCounter()
                            .Name("autoglm_request_success_total")
                            .Help("Requests that ended, by reason.")
                            .Labels(model)
                            .Register(registry)),
      http_requests(prometheus::BuildCounter()
                        .Name("autoglm_http_requests_total")
                        .Help("HTTP requests answered, by route and status code.")
                        .Labels(model)
                        .Register(registry)),
      resident_memory(prometheus::BuildGauge()
                          .Name("process_resident_memory_bytes")
                          .Help("Memory of this process in RAM.")
                          .Register(registry)
                          .Add({})),
      cpu_seconds(prometheus::BuildCounter()
                      .Name("process_cpu_seconds_total")
                      .Help("User and system CPU time of this process.")
                      .Register(registry)
                      .Add({})) {
  // A series that exists from the start makes the first event visible to rate().
  for (const char* reason : {"stop", "length", "cancelled", "error"}) requests_finished.Add({{"finished_reason", reason}});
  AddProcessFacts();
}

void ServerMetrics::Families::AddProcessFacts() {
  prometheus::BuildGauge()
      .Name("process_start_time_seconds")
      .Help("When this process began to count, in Unix time.")
      .Register(registry)
      .Add({})
      .Set(UnixSeconds());
  prometheus::BuildGauge()
      .Name("autoglm_build_info")
      .Help("Always 1; the label tells the version.")
      .Register(registry)
      .Add({{"version", AUTOGLM_VERSION}})
      .Set(1);
}

ServerMetrics::ServerMetrics(const std::string& model_name) : ServerMetrics(std::make_unique<Families>(model_name), model_name) {}

ServerMetrics::ServerMetrics(std::unique_ptr<Families> families, const std::string&)
    : time_to_first_token(families->AddHistogram("autoglm_time_to_first_token_seconds",
                                                 "From the first byte of a request to its first token.", kFirstTokenSeconds)),
      time_per_output_token(families->AddHistogram("autoglm_time_per_output_token_seconds",
                                                   "Mean time between the output tokens of a request, after the first.",
                                                   kPerTokenSeconds)),
      queue_time(families->AddHistogram("autoglm_request_queue_time_seconds",
                                        "From a request's arrival in the queue to its first scheduled step.", kRequestSeconds)),
      prefill_time(families->AddHistogram("autoglm_request_prefill_time_seconds",
                                          "From a request's first scheduled step to its first token.", kRequestSeconds)),
      decode_time(families->AddHistogram("autoglm_request_decode_time_seconds", "From a request's first token to its last.",
                                         kRequestSeconds)),
      e2e_latency(families->AddHistogram("autoglm_e2e_request_latency_seconds",
                                         "From the first byte of a request to the end of its answer.", kRequestSeconds)),
      request_prompt_tokens(
          families->AddHistogram("autoglm_request_prompt_tokens", "Prompt tokens of a request, cached ones included.", kTokens)),
      request_generation_tokens(
          families->AddHistogram("autoglm_request_generation_tokens", "Tokens generated for a request.", kTokens)),
      prompt_tokens(families->AddCounter("autoglm_prompt_tokens_total", "Prompt tokens of all requests, cached ones included.")),
      generation_tokens(families->AddCounter("autoglm_generation_tokens_total", "Tokens generated for all requests.")),
      prefix_cache_queries(
          families->AddCounter("autoglm_prefix_cache_queries_total", "Prompt tokens that were looked up in the prefix cache.")),
      prefix_cache_hits(
          families->AddCounter("autoglm_prefix_cache_hits_total", "Prompt tokens that were found in the prefix cache.")),
      preemptions(families->AddCounter("autoglm_num_preemptions_total",
                                       "Times a running sequence gave its cache blocks back and was queued again.")),
      num_requests_running(families->AddGauge("autoglm_num_requests_running", "Requests in the running batch.")),
      num_requests_waiting(families->AddGauge("autoglm_num_requests_waiting", "Requests in the queue.")),
      kv_cache_usage(families->AddGauge("autoglm_kv_cache_usage_perc", "Share of the KV cache blocks in use, 0 to 1.")),
      log_lines_dropped(
          families->AddCounter("autoglm_log_lines_dropped_total", "Log lines lost because the writer could not keep up.")),
      families_(std::move(families)) {}

ServerMetrics::~ServerMetrics() = default;

std::string ServerMetrics::RenderText() const {
  families_->resident_memory.Set(ResidentMemoryBytes());
  SetCounterTotal(families_->cpu_seconds, ProcessCpuSeconds());
  SetCounterTotal(log_lines_dropped, static_cast<double>(NumDroppedLogLines()));
  return prometheus::TextSerializer().Serialize(families_->registry.Collect());
}

prometheus::Counter& ServerMetrics::RequestsFinished(const std::string& finished_reason) {
  return families_->requests_finished.Add({{"finished_reason", finished_reason}});
}

prometheus::Counter& ServerMetrics::HttpRequests(const std::string& path, int code) {
  return families_->http_requests.Add({{"path", path}, {"code", fmt::format("{}", code)}});
}

void SetCounterTotal(prometheus::Counter& counter, double total) {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  const double missing = total - counter.Value();
  if (missing > 0) counter.Increment(missing);
}

}  // namespace autoglm
