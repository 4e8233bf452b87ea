#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/isa.h"
#include "kernels/kernel_table.h"
#include "telemetry/log.h"
#include "weights/packed_matrix.h"

namespace autoglm {

// The values people write behind flags and in autoglm.yaml. Every error is kInvalidArgument with a message that tells what
// is allowed, to be put behind the option's name.

// "8", in [min, max].
Result<int64_t> ParseInteger(std::string_view text, int64_t min, int64_t max);
// As ParseInteger, and "auto" for 0.
Result<int64_t> ParseIntegerOrAuto(std::string_view text, int64_t max);
// "512,4096", each in [min, max]; at least one, at most 64.
Result<std::vector<int64_t>> ParseIntegerList(std::string_view text, int64_t min, int64_t max);
// "0.7", in [min, max].
Result<double> ParseReal(std::string_view text, double min, double max);
// Bytes: "1048576", "512K", "512M", "2G", "1.5G", "2GiB", "2GB"; every unit is a power of 1024.
Result<int64_t> ParseByteSize(std::string_view text);
// "600s", "90m", "12h", "30d", "2w", in [min, max] seconds.
Result<int64_t> ParseSeconds(std::string_view text, int64_t min, int64_t max);
// "fast", "exact".
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
// "1,2,3"; spaces around the numbers are allowed.
Result<std::vector<TokenId>> ParseTokenList(std::string_view text);

}  // namespace autoglm
