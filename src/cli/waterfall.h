#pragma once

#include <string>
#include <vector>

#include "cli/console.h"
#include "json/json.h"

namespace autoglm {

// Records of one trace (tracing/record_json.h) as a picture of their time: a line for each piece, bars on one scale, what a
// request asked another server for below it. `columns` wide.
std::string FormatWaterfall(const std::vector<Json>& records, int columns, const Console& console);

}  // namespace autoglm
