#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "kernels/isa.h"
#include "kernels/kernel_table.h"
#include "telemetry/log.h"
#include "weights/packed_matrix.h"

namespace autoglm {

// Values behind flags and in autoglm.yaml that are about kernels, weights and the log; config/values.h has the others. Every
// error is kInvalidArgument with a message that tells what is allowed, to be put behind the option's name.

// "fast", "mixed", "exact".
Result<Arithmetic> ParseArithmetic(std::string_view text);
std::string_view ArithmeticName(Arithmetic arithmetic);
// "bf16", "int8", "f32"; "auto" gives none.
Result<std::optional<KvType>> ParseKvType(std::string_view text);
std::string_view KvTypeName(KvType type);
// "as-stored", "int8".
Result<WeightPrecision> ParsePrecision(std::string_view text);
std::string_view PrecisionName(WeightPrecision precision);
// "auto", "off": whether to draft tokens for streams that repeat themselves.
Result<bool> ParseSpeculation(std::string_view text);
// "debug", "info", "warning", "error".
Result<LogLevel> ParseLogLevel(std::string_view text);
std::string_view LogLevelName(LogLevel level);

}  // namespace autoglm
