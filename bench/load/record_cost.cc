// What a request's record costs, piece by piece: nanoseconds of one thread, the median of many runs.
// Built by hand against a release build: see docs/observability.md.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "engine/step_meter.h"
#include "telemetry/request_log.h"

namespace {

using namespace autoglm;

double NanosecondsOf(int64_t count, const std::function<void()>& call) {
  constexpr int kRuns = 15;
  std::vector<double> found;
  for (int run = 0; run < kRuns; ++run) {
    const auto begun = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < count; ++i) call();
    found.push_back(std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begun).count() /
                    static_cast<double>(count));
  }
  std::ranges::nth_element(found, found.begin() + kRuns / 2);
  return found[kRuns / 2];
}

}  // namespace

int main() {
  RequestLog log(Clock::Real());
  const auto request = [&log] {
    const TimePoint now = Clock::Real().Now();
    const auto active = log.Begin(
        {.id = "36aa8a0a-bcf0-62f4-9c4b-8377a8cb772c", .method = "POST", .accepted = now, .head_complete = now, .body_complete = now});
    for (const Stage stage : {Stage::kHandle, Stage::kAuth, Stage::kParse, Stage::kModelLoad, Stage::kTemplate, Stage::kTokenize,
                              Stage::kRateLimit, Stage::kAdmission, Stage::kQueue}) {
      active->Enter(stage);
    }
    active->Append(now, Clock::Real().Now(), {}, Stage::kDeliver);
    active->Answered(200);
    active->Delivered({.ended = Clock::Real().Now(), .is_complete = true});
  };
  std::printf("a record, from its opening to the ring: %.0f ns\n", NanosecondsOf(100'000, request));
  StepMeter meter;
  const auto step = [&meter] {
    meter.Begin();
    (void)meter.End();
  };
  std::printf("metering a step: %.0f ns\n", NanosecondsOf(100'000, step));
  const auto consume = [&log] { log.Consume([](const RequestRecord&) {}); };
  std::printf("reading the ring when nothing is new: %.0f ns\n", NanosecondsOf(100'000, consume));
  return 0;
}
