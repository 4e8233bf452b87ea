// slo.json and OpenSLO: whatever is in the file, it is refused with its name, or it is objectives that can be written again, in
// both formats, and rules that can be made.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "slo/exposition.h"
#include "slo/openslo_writer.h"
#include "slo/rules_file.h"
#include "slo/slo_file.h"
#include "slo/slo_lint.h"

namespace autoglm::slo {
namespace {

void CheckObjective(const Objective& objective) {
  AUTOGLM_CHECK(!objective.service.empty() && !objective.name.empty() && objective.min_events >= 1);
  AUTOGLM_CHECK(objective.target > 0 && objective.target < 1 && objective.budget() > 0);
  AUTOGLM_CHECK(objective.has_threshold() == (objective.threshold_s > 0));
  AUTOGLM_CHECK(objective.window_days() >= kMinWindowDays && objective.window_days() <= kMaxWindowDays);
}

void CheckSameAgain(const SloFile& file, const std::string& text) {
  const Result<SloFile> again = ParseSloFile(text, "again");
  AUTOGLM_CHECK(again.has_value() && *again == file);
}

void CheckRules(const SloFile& file, Source source) {
  const Result<RulesFile> rules = WriteRules(file.objectives, {.source = source});
  AUTOGLM_CHECK(rules.has_value() || rules.error().code == ErrorCode::kUnsupported);
  const LintReport report = Lint(file.objectives, {.source = source});
  for (const RuleTiming& timing : report.objectives.front().rules) {
    AUTOGLM_CHECK(timing.error_ratio < 1 && timing.detects_outage_s.has_value());
  }
}

}  // namespace
}  // namespace autoglm::slo

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t num_bytes) {
  using namespace autoglm;
  using namespace autoglm::slo;
  const std::string text(reinterpret_cast<const char*>(data), num_bytes);
  const Result<SloFile> file = ParseSloFile(text, "f");
  if (!file) {
    AUTOGLM_CHECK(file.error().code == ErrorCode::kInvalidArgument && file.error().message.starts_with("f:"));
    for (const Sample& sample : ParseExposition(text)) AUTOGLM_CHECK(!sample.series.name.empty());
    return 0;
  }
  for (const Objective& objective : file->objectives) CheckObjective(objective);
  CheckSameAgain(*file, DumpJson(ToJson(*file)));
  for (const Source source : {Source::kServer, Source::kGateway}) {
    CheckSameAgain(*file, WriteOpenSlo(*file, source));
    CheckRules(*file, source);
  }
  return 0;
}
