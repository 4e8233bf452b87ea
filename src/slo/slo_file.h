#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/json.h"
#include "slo/objective.h"

namespace autoglm::slo {

// When changes should wait. A gate that is closed is advice to whoever deploys; nothing here refuses requests.
struct GatePolicy {
  bool close_on_page = true;              // while a page fires
  bool close_on_ticket = false;           // while a ticket fires
  bool close_on_exhausted_budget = true;  // while no more than this is left of a budget:
  double least_budget = 0;                // share of the budget, in [0, 1)
  std::vector<std::string> ignored;       // names or ids of objectives that do not close it

  bool operator==(const GatePolicy&) const = default;
};

// slo.json, or an OpenSLO file.
struct SloFile {
  std::vector<Objective> objectives;  // at least one
  GatePolicy gate;

  bool operator==(const SloFile&) const = default;
};

inline constexpr size_t kMaxObjectives = 256;
inline constexpr int kMinWindowDays = 7;
inline constexpr int kMaxWindowDays = 90;

// docs/slo.md has every field. What is no JSON, or has an apiVersion, is read as OpenSLO. Errors: kInvalidArgument with the
// file's name and the field's: "slo.json: slo[1].unit must be ..."; of OpenSLO "FILE:LINE: ".
Result<SloFile> ParseSloFile(std::string_view text, std::string_view file_name);
// Errors: as ReadTextFile and ParseSloFile.
Result<SloFile> LoadSloFile(const std::filesystem::path& path);

// slo.json again: reading it gives an equal file.
Json ToJson(const SloFile& file);

// The parts that slo.json and OpenSLO share. Errors: kInvalidArgument.
// One objective; `path` goes before the names of its fields. It may be without a name.
Result<Objective> ObjectiveFromJson(const Json& json, const std::string& path);
Json ToJson(const Objective& objective);
Result<GatePolicy> GateFromJson(const Json& json);
Json ToJson(const GatePolicy& gate);
// Sets indicator, target or the slo_class from names such as "95th_percentile_latency".
Status ReadObjectiveName(std::string_view text, Objective& objective);
// One line of at most 1050 bytes, as OpenSLO allows; may be empty.
Result<std::string> ParseDescription(std::string_view text);
// "30d", "4w"; within kMinWindowDays and kMaxWindowDays.
Result<std::chrono::hours> ParseWindow(std::string_view text);
// Of what is complete but for what everybody may leave out: gives a name, and refuses two of one name.
Status NameObjectives(std::vector<Objective>& objectives);

}  // namespace autoglm::slo
