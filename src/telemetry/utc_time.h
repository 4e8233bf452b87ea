#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace autoglm {

// RFC 3339, UTC, milliseconds: "2026-11-26T18:03:05.042Z".
std::string FormatUtc(std::chrono::system_clock::time_point time);

// As of now, since the epoch.
int64_t UnixNanoseconds();
double UnixSeconds();

}  // namespace autoglm
