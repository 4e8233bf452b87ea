#include "telemetry/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <mutex>
#include <string>

#include "telemetry/metric_catalogue.h"
#include "telemetry/utc_time.h"

namespace autoglm {
namespace {

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

prometheus::Gauge& AddGauge(prometheus::Registry& registry, const std::string& name, const prometheus::Labels& labels) {
  return prometheus::BuildGauge().Name(name).Help(std::string(MetricNamed(name).help)).Register(registry).Add(labels);
}

}  // namespace

ProcessMetrics::ProcessMetrics(prometheus::Registry& registry)
    : resident_memory_(AddGauge(registry, "process_resident_memory_bytes", {})),
      cpu_seconds_(prometheus::BuildCounter()
                       .Name("process_cpu_seconds_total")
                       .Help(std::string(MetricNamed("process_cpu_seconds_total").help))
                       .Register(registry)
                       .Add({})) {
  AddGauge(registry, "process_start_time_seconds", {}).Set(UnixSeconds());
  AddGauge(registry, "autoglm_build_info", {{"version", AUTOGLM_VERSION}}).Set(1);
}

void ProcessMetrics::Update() {
  resident_memory_.Set(ResidentMemoryBytes());
  SetCounterTotal(cpu_seconds_, ProcessCpuSeconds());
}

void SetCounterTotal(prometheus::Counter& counter, double total) {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  const double missing = total - counter.Value();
  if (missing > 0) counter.Increment(missing);
}

}  // namespace autoglm
